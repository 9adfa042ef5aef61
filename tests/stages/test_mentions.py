"""Stage mentions: anatomical mentions of captions by the lexicon."""

import pytest

from refrad.core.contracts import CaptionTable, MentionTable
from refrad.core.tables import read_table


@pytest.fixture
def find(study, root):
    lexicon = root / "workflow" / "anatomy" / "lexicon.yaml"

    def run(*captions):
        study.write(
            CaptionTable,
            "captions",
            [study.caption(f"c{n}", text, language=language) for n, (text, language) in enumerate(captions)],
        )
        metrics = study.run("mentions", lexicon=lexicon)
        return read_table(study.path("mentions"), MentionTable).to_dicts(), metrics

    return run


def test_paired_organ_gives_a_row_for_each_side(find):
    rows, metrics = find(("Beide Nieren regelrecht.", "de"))
    assert {row["class_id"] for row in rows} == {2, 3} and len({(row["start"], row["end"]) for row in rows}) == 1
    assert metrics["made"]["mentions"] == 1


def test_spans_are_verbatim_in_the_caption(find):
    text = "Größe der Leber und linke Niere normal."
    rows, _ = find((text, "de"))
    assert [text[row["start"] : row["end"]] for row in rows] == [row["text"] for row in rows] != []


def test_captions_without_anatomy_are_counted(find):
    rows, metrics = find(("Keine freie Flüssigkeit.", "de"), ("The liver is normal.", "en"))
    assert {row["caption"] for row in rows} == {"c1"}
    assert metrics["flow"] == {"taken": 2, "used": 1, "aside": {"no_mention": 1}}


def test_rows_have_their_backend(find):
    rows, _ = find(("The liver is normal.", "en"))
    assert {row["backend"] for row in rows} == {"lexicon"}


def test_lexicon_class_missing_from_the_schema_is_named(study, root, tmp_path):
    lexicon = root / "workflow" / "anatomy" / "lexicon.yaml"
    broken = tmp_path / "lexicon.yaml"
    broken.write_text(
        lexicon.read_text(encoding="utf-8").replace("classes: [liver]", "classes: [livre]"), encoding="utf-8"
    )
    study.write(CaptionTable, "captions", [study.caption("c", "The liver is normal.")])
    with pytest.raises(ValueError, match="livre"):
        study.run("mentions", lexicon=broken)
