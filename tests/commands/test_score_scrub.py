"""Scrubbing of letters with labelled identifiers: the identifiers are removed, and few other words.

The labels of letters.tsv are offsets into the letters of the shared data; english.txt and german.txt are synthetic.
"""

from pathlib import Path

import pytest

from refrad.commands.score_scrub import Letter, count_scrubbed, main, read_labelled, read_marked

DATA = Path(__file__).parents[1] / "privacy" / "data"


@pytest.mark.parametrize("name", ["english.txt", "german.txt"])
def test_made_up_reports_keep_their_anatomy_and_no_identifier(lexicon, name):
    outcome = count_scrubbed([read_marked(DATA / name)], lexicon, headers=False)
    assert outcome.gone == outcome.labels and outcome.labels.total() > 20
    assert outcome.anatomy_gone == 0 and outcome.words_gone / outcome.words < 0.1


@pytest.mark.parametrize("headers", [False, True])
def test_letters_are_read(shared, lexicon, headers):
    letters = list(read_labelled(shared / "reports" / "de_grascco", DATA / "letters.tsv"))
    outcome = count_scrubbed(letters, lexicon, headers=headers)
    recall = {kind: outcome.gone[kind] / count for kind, count in outcome.labels.items()}
    assert recall["NAME"] > 0.98 and recall["DATE"] > 0.97 and recall["PLACE"] == recall["PHONE"] == recall["ID"] == 1
    assert outcome.anatomy_gone == 0 and outcome.words_gone / outcome.words < 0.01


def test_word_that_stays_counts_against_recall(lexicon):
    outcome = count_scrubbed([Letter("Leber von Musterfrau normal.", [("NAME", 10, 20)])], lexicon, headers=False)
    assert (outcome.labels["NAME"], outcome.gone["NAME"], outcome.words_gone) == (1, 0, 0)


@pytest.mark.parametrize(("text", "read"), [("Befund:\nzu Musterfrau", 1), ("zu Musterfrau\nBefund:\nMilz normal.", 0)])
def test_identifier_left_in_a_letterhead_is_told_apart(lexicon, text, read):
    start = text.index("Musterfrau")
    outcome = count_scrubbed([Letter(text, [("NAME", start, start + 10)])], lexicon, headers=False)
    assert (outcome.gone["NAME"], outcome.read["NAME"]) == (0, read)


def test_command_prints_recall_by_type(root, capsys, monkeypatch):
    monkeypatch.chdir(root)
    main(letters=DATA)
    printed = capsys.readouterr().out
    assert "NAME   recall" in printed and "of anatomy" in printed and "Ellison" not in printed
