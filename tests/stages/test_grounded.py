import pytest

from refrad.tables import EntityTable, TripletTable, read_table


@pytest.fixture
def ready(study):
    study.structures()
    return study


def kept(study):
    return [
        row for row in read_table(study.path("triplets"), TripletTable).iter_rows(named=True) if row["reason"] is None
    ]


def entities(study):
    return read_table(study.path("entities"), EntityTable).rows(named=True)


def test_both_kidneys_get_a_box_each(ready):
    text = "Both kidneys are normal."
    ready.grounded([ready.caption("c", text)], ready.mention("c", text, "kidneys", 2, 3))
    found = [
        (one["text"], one["class_id"], one["x_min"])
        for one in entities(ready)
        if one["triplet"] == kept(ready)[0]["triplet"]
    ]
    assert found == [("kidneys", 2, 3), ("kidneys", 3, 24)]


def test_a_caption_without_reference_meets_the_slices_where_its_organs_are_large(ready):
    text = "Kidneys and liver."
    ready.grounded(
        [ready.caption("c", text)], ready.mention("c", text, "Kidneys", 2, 3) + ready.mention("c", text, "liver", 5)
    )
    best = kept(ready)[0]
    assert best["index"] in {1, 2, 3}  # the slices that show all three organs
    assert {one["class_id"] for one in entities(ready) if one["triplet"] == best["triplet"]} == {2, 3, 5}


def test_a_reference_meets_the_image_that_it_names(ready):
    text = "Liver cyst"
    reference = {"caption": "c", "instance": None, "series_number": 3, "image_first": 5, "image_last": 5}
    ready.grounded([ready.caption("c", text, tie="reference")], ready.mention("c", text, "Liver", 5), [reference])
    assert [row["instance"] for row in kept(ready)] == ["i4"]


@pytest.mark.parametrize(
    ("tie", "reference", "classes", "assertion", "reason"),
    [
        ("structure", None, [], "present", "no_mention"),
        ("structure", None, [1], "present", "no_common_class"),
        ("structure", None, [5], "absent", "only_absent_mentions"),
        (
            "reference",
            {"instance": None, "series_number": 9, "image_first": 1, "image_last": 1},
            [5],
            "present",
            "reference_not_found",
        ),
        (
            "explicit",
            {"instance": "i5", "series_number": None, "image_first": None, "image_last": None},
            [5],
            "present",
            "no_common_class",
        ),
    ],
)
def test_a_caption_that_meets_no_image_is_aside_with_its_reason(ready, tie, reference, classes, assertion, reason):
    text = "The organ."
    references = [reference | {"caption": "c"}] if reference else []
    mentions = ready.mention("c", text, "organ", *classes, assertion=assertion)
    metrics = ready.grounded([ready.caption("c", text, tie=tie)], mentions, references)
    assert metrics["flow"] == {"taken": 1, "used": 0, "aside": {reason: 1}}
    assert kept(ready) == []


def test_a_negated_finding_still_shows_its_organ(ready):
    text = "No lesion of the liver."
    ready.grounded([ready.caption("c", text)], ready.mention("c", text, "liver", 5, assertion="negated"))
    assert kept(ready)


def test_a_word_that_comes_twice_keeps_both_places(ready):
    text = "Liver large, liver smooth."
    second = {
        "caption": "c",
        "start": 13,
        "end": 18,
        "text": "liver",
        "class_id": 5,
        "assertion": "present",
        "backend": "lexicon",
    }
    ready.grounded([ready.caption("c", text)], [*ready.mention("c", text, "Liver", 5), second])
    first = kept(ready)[0]["triplet"]
    assert [(one["start"], one["end"]) for one in entities(ready) if one["triplet"] == first] == [(0, 5), (13, 18)]
