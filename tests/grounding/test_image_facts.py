"""Facts of an image from the rows of its tables: what its captions affirm, deny and find."""

from pathlib import Path

import pytest

from refrad.anatomy.schema import load_schema
from refrad.grounding.image_facts import PairedCaption, image_facts
from refrad.grounding.vqa_findings import Finding

SCHEMA = load_schema(Path(__file__).resolve().parents[2] / "workflow" / "anatomy" / "classes.yaml")
VOLUME = {"modality": "CT", "plane": "axial", "contrast": True, "spacing_x": 0.5, "split": "test", "patient": "p"}


def structure(class_id, area=100):
    return {"instance": "i", "class_id": class_id, "area": area, "x_min": 10, "x_max": 50, "y_min": 0, "y_max": 9}


def mentions(assertion, *class_ids):
    return [{"class_id": class_id, "assertion": assertion} for class_id in class_ids]


def caption(text, *rows, tie="reference", language="en"):
    return PairedCaption({"text": text, "tie": tie, "language": language}, [row for group in rows for row in group], ())


def facts_of(*captions, visible=(2, 3, 5)):
    """The facts of an image whose captions name all of the visible classes."""
    return ungrounded_facts_of(*(entry._replace(classes=visible) for entry in captions), visible=visible)


def ungrounded_facts_of(*captions, visible=(2, 3, 5)):
    return image_facts("i", VOLUME, [structure(class_id) for class_id in visible], captions, SCHEMA)


CYST = caption("14 mm cyst of the left kidney.", mentions("present", 23), mentions("present", 3))


def test_areas_widths_and_volume_are_those_of_the_image():
    facts = facts_of(CYST)
    assert (facts.instance, facts.modality, facts.plane, facts.contrast, facts.split) == (
        "i",
        "CT",
        "axial",
        True,
        "test",
    )
    assert facts.areas == dict.fromkeys((2, 3, 5), 100) and facts.widths == dict.fromkeys((2, 3, 5), 20.0)


def test_texts_are_sorted_by_language():
    german = caption("Leber o.B.", mentions("present", 5), language="de")
    assert facts_of(german, CYST).texts == {"de": ["Leber o.B."], "en": ["14 mm cyst of the left kidney."]}


@pytest.mark.parametrize(
    ("assertion", "class_id", "affirmed", "denied"),
    [
        ("present", 5, {5}, set()),
        ("uncertain", 5, {5}, set()),
        ("negated", 5, set(), set()),  # no lesion of the liver
        ("absent", 4, set(), {4}),
        ("present", 23, {23}, set()),
        ("negated", 23, set(), {23}),
    ],
)
def test_assertions_affirm_and_deny_classes(assertion, class_id, affirmed, denied):
    facts = facts_of(caption("x", mentions(assertion, class_id)))
    assert (facts.affirmed, facts.denied) == (affirmed, denied)


def test_finding_is_that_of_the_named_image():
    assert facts_of(CYST).findings == {"en": [Finding(3, "cyst", "14 mm")]}


@pytest.mark.parametrize(("visible", "count"), [((3, 5), 0), ((3, 23), 1)])
def test_image_of_the_largest_kidney_shows_a_cyst_if_it_is_a_visible_class(visible, count):
    tied = CYST._replace(row=CYST.row | {"tie": "structure"})
    assert len(facts_of(tied, visible=visible).findings["en"]) == count


def test_image_without_a_grounded_caption_has_facts_of_its_labels():
    facts = ungrounded_facts_of(caption("Normal variant."))
    assert (facts.grounded, facts.named, facts.texts) == (False, {"en": []}, {"en": ["Normal variant."]})
    assert facts.areas.keys() == {2, 3, 5} and facts.findings == {"en": []}


def test_ungrounded_caption_is_not_contradicted_and_not_asked_about():
    removed = caption("Spleen removed, cyst as before.", mentions("absent", 1))
    facts = ungrounded_facts_of(CYST._replace(classes=(3,)), removed)
    assert facts.texts == {"en": [CYST.row["text"]]} and facts.grounded
    assert facts.denied == {1} and {23, 24} <= facts.affirmed


@pytest.mark.parametrize(
    "entry",
    [
        caption("14 mm cyst of the spleen.", mentions("present", 1)),
        caption("14 mm cyst of the liver.", mentions("uncertain", 5)),
        caption("14 mm cyst of the liver.", mentions("present", 5), mentions("negated", 2)),
        caption("14 mm cyst of liver and kidney.", mentions("present", 5), mentions("present", 2)),
    ],
    ids=["not visible", "uncertain", "partly denied", "two organs"],
)
def test_caption_that_is_not_plain_gives_no_finding(entry):
    assert facts_of(entry).findings == {"en": []}


def test_part_that_a_caption_names_is_its_structure():
    lobe = caption(
        "8 mm nodule of the right upper lobe of the lung.", mentions("present", 119), mentions("present", 12)
    )
    assert facts_of(lobe, visible=(12, 14)).findings == {"en": [Finding(12, "nodule", "8 mm")]}
