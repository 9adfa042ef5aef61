"""The commands of the pages on captions and mentions, typed as they stand there."""

import json
import re
import shlex

import pytest

from refrad.cli import main

GOLD = [
    {
        "id": 1,
        "language": "de",
        "sentence": "Leber und linke Niere normal.",
        "entities": [{"text": "Leber", "start": 0, "end": 5, "classes": ["liver"]}],
        "optional_classes": ["kidney_left"],
    },
    {"id": "b", "language": "en", "sentence": "The spleen is normal."},
    {"id": "b", "sentence": "Die Milz ist normal."},
]


@pytest.fixture
def run(root, tmp_path, monkeypatch, capsys):
    """Runs a command in a folder that has what the pages speak of; gives what it printed."""
    (tmp_path / "workflow").symlink_to(root / "workflow")
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("Frau {{NAME:Musterfrau}} am {{DATE:03.04.2021}}.", encoding="utf-8")
    lines = [json.dumps(row, ensure_ascii=False) for row in GOLD]
    (tmp_path / "sentences.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    def command(page, name):
        (line,) = re.findall(
            rf"^    refrad ({name} .*)$", (root / "docs" / page).read_text(encoding="utf-8"), re.MULTILINE
        )
        assert main(shlex.split(line)) == 0
        return capsys.readouterr().out

    return command


def test_mentions_of_a_sentence_are_printed_as_json(run):
    entities = json.loads(run("mentions.md", "find-mentions"))["entities"]
    assert [tuple(one) for one in entities] == [("text", "start", "end", "classes", "assertion")] * len(entities)
    found = {(name, one["assertion"]) for one in entities for name in one["classes"]}
    assert {("kidney_left", "absent"), ("kidney_right", "present"), ("kidney_cyst_right", "present")} <= found


def test_sentences_are_scored_and_predicted(run, tmp_path):
    printed = run("mentions.md", "score-mentions")
    assert printed.count("\n") == 1 and printed.startswith("de  precision 1.000  recall 1.000  F1 1.000")
    lines = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
    assert lines == [
        {"id": 1, "classes": ["kidney_left", "liver"]},
        {"id": "b", "classes": ["spleen"]},
        {"id": "b", "classes": ["spleen"]},
    ]


def test_scrub_is_measured(run):
    printed = run("captions.md", "score-scrub")
    assert "NAME   recall 1.000  (1 of 1)" in printed and "DATE   recall 1.000  (1 of 1)" in printed


@pytest.mark.parametrize("line", ['{"id": 1}', "[]", "{", '{"id": 1, "language": "fr", "sentence": "x"}'])
def test_broken_line_is_named(root, tmp_path, capsys, line):
    (tmp_path / "gold.jsonl").write_text(line + "\n")
    assert (
        main(["score-mentions", str(tmp_path / "gold.jsonl"), "--lexicon", str(root / "workflow/anatomy/lexicon.yaml")])
        == 1
    )
    assert "line 1" in capsys.readouterr().err
