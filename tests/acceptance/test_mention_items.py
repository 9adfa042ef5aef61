"""Judging of mentions by their labels."""

from dataclasses import replace

import pytest
from tests.acceptance.answer_sheet import labelled_items

from refrad.anatomy.schema import Schema


@pytest.fixture(scope="module")
def items(prompts, anatomy):
    return {item.request.data["sentence"]: item for item in labelled_items("mentions", prompts, anatomy)}


def verdict(item, *mentions):
    """The verdict on mentions that are given as (span, classes, assertion)."""
    form = type(item.right)
    rows = [{"span": span, "classes": classes.split(), "assertion": how} for span, classes, how in mentions]
    (verdict,) = item.judge(form.model_validate({"mentions": rows}))
    return verdict.reason


LUNG = "Infiltrate in the left lung."
STONE = "Nierenstein links 5 mm, rechte Niere unauffällig."
AORTA = "Herz normal groß, Aorta nicht erweitert."
CYST = "14 mm cyst of the left kidney."


@pytest.mark.parametrize(
    ("sentence", "mentions", "reason"),
    [
        (LUNG, [("left lung", "lung_upper_lobe_left lung_lower_lobe_left", "present")], ""),
        (LUNG, [("left lung", "lung_left", "present")], ""),
        (LUNG, [("left lung", "lung_upper_lobe_left", "present")], "class missing"),
        (STONE, [("Nierenstein links", "kidney_left", "present")], "class missing"),
        (
            STONE,
            [("Nierenstein links", "kidney_left", "present"), ("rechte Niere", "kidney_right spleen", "present")],
            "class added",
        ),
        (
            STONE,
            [("Nierenstein links", "kidney_left", "present"), ("rechte Niere", "kidney_right", "negated")],
            "assertion changed",
        ),
        (AORTA, [("Herz", "heart", "present"), ("Aorta", "aorta", "present")], ""),
        (AORTA, [("Herz", "heart", "present"), ("Aorta", "aorta", "negated")], ""),
        (AORTA, [("Herz", "heart", "present"), ("Aorta", "aorta", "absent")], "assertion changed"),
        (CYST, [("left kidney", "kidney_left", "present")], ""),
        (CYST, [("cyst", "kidney_cyst_left", "present"), ("left kidney", "kidney_left", "present")], ""),
        ("Osteolyse einer Rippe links.", [], ""),
        ("Osteolyse einer Rippe links.", [("Rippe links", "rib_left_4", "present")], "class added"),
    ],
)
def test_mentions_are_judged_by_their_label(items, sentence, mentions, reason):
    assert verdict(items[sentence], *mentions) == reason


def test_sentences_of_classes_that_a_schema_lacks_are_left_out(prompts, anatomy):
    schema = Schema(tuple(entry for entry in anatomy.schema.classes if entry.name != "spleen"))
    fewer = labelled_items("mentions", prompts, replace(anatomy, schema=schema))
    every = labelled_items("mentions", prompts, anatomy)
    with_spleen = {item.name for item in every if "spleen" in f"{item.right} {item.wrong}"}
    assert {item.name for item in every} - {item.name for item in fewer} == with_spleen != set()
