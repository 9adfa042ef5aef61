"""Stage grounded: captions are paired with images, and mentions with boxes."""

import pytest

from refrad.core.contracts import CopyTable, EntityTable, SliceTable, TripletTable, VolumeTable
from refrad.core.tables import read_table


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


def test_both_kidneys_have_a_box_each(ready):
    text = "Both kidneys are normal."
    ready.grounded([ready.caption("c", text)], ready.mention("c", text, "kidneys", 2, 3))
    found = [
        (one["text"], one["class_id"], one["x_min"])
        for one in entities(ready)
        if one["triplet"] == kept(ready)[0]["triplet"]
    ]
    assert found == [("kidneys", 2, 3), ("kidneys", 3, 24)]


def test_caption_without_reference_gets_slices_of_large_organs(ready):
    text = "Kidneys and liver."
    ready.grounded(
        [ready.caption("c", text)], ready.mention("c", text, "Kidneys", 2, 3) + ready.mention("c", text, "liver", 5)
    )
    best = kept(ready)[0]
    assert best["index"] in {1, 2, 3}  # the slices that show all three organs
    assert {one["class_id"] for one in entities(ready) if one["triplet"] == best["triplet"]} == {2, 3, 5}


def test_reference_is_paired_with_the_image_it_names(ready):
    text = "Liver cyst"
    reference = {"caption": "c", "instance": None, "series_number": 3, "image_first": 5, "image_last": 5, "plane": None}
    ready.grounded([ready.caption("c", text, tie="reference")], ready.mention("c", text, "Liver", 5), [reference])
    assert [row["instance"] for row in kept(ready)] == ["i4"]


@pytest.mark.parametrize(("plane", "used"), [("axial", 1), ("coronal", 0)])
def test_image_of_a_plane_is_in_no_other_plane(ready, plane, used):
    text = "Liver cyst"
    reference = {"caption": "c", "instance": None, "series_number": None, "image_first": 5, "image_last": 5}
    mentions = ready.mention("c", text, "Liver", 5)
    metrics = ready.grounded([ready.caption("c", text, tie="reference")], mentions, [reference | {"plane": plane}])
    assert metrics["flow"]["used"] == used


@pytest.mark.parametrize(
    ("tie", "reference", "classes", "assertion", "reason"),
    [
        ("structure", None, [], "present", "no_mention"),
        ("structure", None, [1], "present", "no_common_class"),
        ("structure", None, [5], "absent", "only_absent_mentions"),
        (
            "reference",
            {"instance": None, "series_number": 9, "image_first": 1, "image_last": 1, "plane": None},
            [5],
            "present",
            "reference_not_found",
        ),
        (
            "explicit",
            {"instance": "i5", "series_number": None, "image_first": None, "image_last": None, "plane": None},
            [5],
            "present",
            "no_common_class",
        ),
    ],
)
def test_caption_without_an_image_has_a_reason(ready, tie, reference, classes, assertion, reason):
    text = "The organ."
    references = [reference | {"caption": "c"}] if reference else []
    mentions = ready.mention("c", text, "organ", *classes, assertion=assertion)
    metrics = ready.grounded([ready.caption("c", text, tie=tie)], mentions, references)
    assert metrics["flow"] == {"taken": 1, "used": 0, "aside": {reason: 1}}
    assert kept(ready) == []


def leave_out(ready, relation, **columns):
    """Add the volume w of slices j0, j1, ..., with the image numbers 11, 12, ..., a copy of v that stage copies leaves out."""
    copy = ready.volume() | {"volume": "w", "series": "w", "series_number": 4} | columns
    ready.write(VolumeTable, "volumes", [ready.volume(), copy])
    slices = [
        {"instance": f"{letter}{k}", "volume": volume, "axis": 2, "index": k, "instance_number": first + k}
        for volume, letter, first in (("v", "i", 1), ("w", "j", 11))
        for k in range(6)
    ]
    ready.write(SliceTable, "slices", slices)
    left_out = {"volume": "w", "original": "v", "relation": relation, "kind": "same_voxels", "reason": "duplicate"}
    ready.write(CopyTable, "copies", [left_out])


@pytest.mark.parametrize("relation", ["patient", "another_patient", "earlier_delivery"])
def test_report_of_a_copied_study_has_no_image(ready, relation):
    leave_out(ready, relation, study="copy")
    text = "The liver."
    captions = [ready.caption("c", text), ready.caption("d", text) | {"study": "copy"}]
    mentions = ready.mention("c", text, "liver", 5) + ready.mention("d", text, "liver", 5)
    metrics = ready.grounded(captions, mentions)
    assert metrics["flow"] == {"taken": 2, "used": 1, "aside": {"copied_study": 1}}


@pytest.mark.parametrize(
    ("tie", "reference", "instance"),
    [
        ("reference", {"series_number": 4, "image_first": 15, "image_last": 15}, "i4"),
        ("reference", {"series_number": 3, "image_first": 5, "image_last": 5}, "i4"),
        ("reference", {"image_first": 15, "image_last": 15}, "i4"),
        ("explicit", {"instance": "j2"}, "i2"),
        ("structure", None, None),
    ],
)
def test_images_of_a_copied_series_are_those_of_its_original(ready, tie, reference, instance):
    leave_out(ready, "study")
    empty = dict.fromkeys(("instance", "series_number", "image_first", "image_last", "plane"))
    references = [empty | reference | {"caption": "c"}] if reference else []
    ready.grounded([ready.caption("c", "Liver", tie=tie)], ready.mention("c", "Liver", "Liver", 5), references)
    assert {row["volume"] for row in kept(ready)} == {"v"}
    assert instance is None or [row["instance"] for row in kept(ready)] == [instance]


@pytest.mark.parametrize(("first", "used"), [(1, 1), (3, 0)])
def test_image_number_of_copies_is_ambiguous_if_it_differs(ready, first, used):
    leave_out(ready, "study")
    slices = read_table(ready.path("slices"), SliceTable).to_dicts()
    for row in slices[6:]:
        row["instance_number"] = first + row["index"]
    ready.write(SliceTable, "slices", slices)
    reference = {
        "caption": "c",
        "instance": None,
        "series_number": None,
        "image_first": 3,
        "image_last": 3,
        "plane": None,
    }
    mentions = ready.mention("c", "Liver", "Liver", 5)
    metrics = ready.grounded([ready.caption("c", "Liver", tie="reference")], mentions, [reference])
    assert metrics["flow"]["used"] == used


def test_copies_that_the_config_keeps_stay(ready):
    leave_out(ready, "study")
    (row,) = read_table(ready.path("copies"), CopyTable).to_dicts()
    ready.write(CopyTable, "copies", [row | {"reason": None}])
    reference = {"caption": "c", "instance": "j2", "series_number": None, "image_first": None, "image_last": None}
    references = [reference | {"plane": None}]
    metrics = ready.grounded(
        [ready.caption("c", "Liver", tie="explicit")], ready.mention("c", "Liver", "Liver", 5), references
    )
    assert metrics["flow"]["aside"] == {"no_common_class": 1}  # j2 has no structures here, and is not i2


def test_negated_finding_still_shows_its_organ(ready):
    text = "No lesion of the liver."
    ready.grounded([ready.caption("c", text)], ready.mention("c", text, "liver", 5, assertion="negated"))
    assert kept(ready)


def test_repeated_word_has_both_spans(ready):
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


def test_stray_voxel_does_not_stretch_the_box(ready):
    reference = {
        "caption": "c",
        "instance": "i2",
        "series_number": None,
        "image_first": None,
        "image_last": None,
        "plane": None,
    }
    ready.grounded([ready.caption("c", "Liver", tie="explicit")], ready.mention("c", "Liver", "Liver", 5), [reference])
    (box,) = entities(ready)
    assert (box["x_min"], box["y_min"], box["x_max"], box["y_max"]) == (2, 4, 22, 14)


@pytest.mark.parametrize(("mode", "met"), [("strict", False), ("expand", True)])
def test_general_word_meets_finer_classes_by_hierarchy_only(ready, mode, met):
    ready.labels[ready.labels == 5] = 10  # as if the liver were an upper lobe
    ready.save_labels()
    ready.structures()
    text = "The left lung is clear."
    metrics = ready.grounded([ready.caption("c", text)], ready.mention("c", text, "left lung", 118), mode=mode)
    assert metrics["flow"]["used"] == int(met)
    assert {(one["class_id"], one["via"]) for one in entities(ready)} == ({(10, "part")} if met else set())


def test_coarser_match_is_marked(ready):
    ready.labels[ready.labels == 5] = 19  # native label of total_mr: all vertebrae
    ready.save_labels()
    ready.structures(task="total_mr")
    text = "Fracture of L4."
    ready.grounded([ready.caption("c", text)], ready.mention("c", text, "L4", 28))
    assert {(one["class_id"], one["via"]) for one in entities(ready)} == {(121, "whole")}


def test_part_of_an_organ_is_boxed_by_the_whole_of_it(ready):
    text = "Liver segment VII and both kidneys."
    mentions = [*ready.mention("c", text, "Liver", 5), *ready.mention("c", text, "segment VII", 5)]
    ready.grounded([ready.caption("c", text)], mentions)
    assert {(row["text"], row["via"], row["one_sided"]) for row in entities(ready)} == {
        ("Liver", "whole", False),
        ("segment VII", "whole", False),
    }


def test_one_side_of_a_phrase_of_both_is_counted(ready):
    ready.labels[ready.labels == 5] = 8  # as if the liver were the right adrenal gland
    ready.save_labels()
    ready.structures()
    text = "Both adrenal glands are normal."
    mentions = [row for side in (8, 9) for row in ready.mention("c", text, "Both adrenal glands", side)]
    metrics = ready.grounded([ready.caption("c", text)], mentions)
    assert {(row["class_id"], row["via"], row["one_sided"]) for row in entities(ready)} == {(8, "exact", True)}
    assert metrics["tables"]["sides of phrases"] == {"one of two in the image": len(entities(ready))}


def test_mention_outside_its_caption_grounds_nothing(ready):
    mentions = [
        one | {"start": one["start"] + 1, "end": one["end"] + 1} for one in ready.mention("c", "Liver x", "Liver", 5)
    ]
    metrics = ready.grounded([ready.caption("c", "Liver x")], mentions)
    assert metrics["flow"]["aside"] == {"mention_not_verbatim": 1}


def test_yield_adds_up_to_the_captions_in_use(ready):
    texts = ["Liver", "No anatomy", "Spleen is gone", "Liver, image 5", "Liver, image 99", "Liver, image 6", "Stomach"]
    captions = [
        ready.caption(f"c{n}", text, tie="reference" if "image" in text else "structure")
        for n, text in enumerate(texts)
    ]
    references = [
        {
            "caption": f"c{n}",
            "instance": None,
            "series_number": 3,
            "image_first": image,
            "image_last": image,
            "plane": None,
        }
        for n, image in ((3, 5), (4, 99), (5, 6), (3, 98))
    ]
    mentions = [row for n in (0, 3, 4, 5) for row in ready.mention(f"c{n}", texts[n], "Liver", 5)]
    mentions += ready.mention("c2", texts[2], "Spleen", 1, assertion="absent") + ready.mention(
        "c6", "Stomach", "Stomach", 6
    )
    metrics = ready.grounded(captions, mentions, references)
    flow, steps = metrics["flow"], list(metrics["tables"]["yield"].values())
    assert sorted(steps, reverse=True) == [7, 6, 5, 5, 4, 2]
    assert flow["taken"] == flow["used"] + sum(flow["aside"].values()) == 7 and min(steps) == flow["used"] == 2
    assert metrics["tables"]["references"] == {"found": 2, "reference_not_found": 2}
    pairs = read_table(ready.path("triplets"), TripletTable)
    assert metrics["tables"]["pairs"] == {"kept": 3, "no_common_class": 1}
    assert metrics["made"]["pairs"] == len(pairs) == sum(metrics["tables"]["pairs"].values())
    assert pairs["reason"].drop_nulls().to_list() == ["no_common_class"]


def test_translation_has_the_same_images_and_its_own_spans(ready):
    german, english = "Leberzyste", "Cyst of the liver"
    captions = [ready.caption("a", german, language="de"), ready.caption("b", english)]
    ready.grounded(captions, ready.mention("a", german, "Leber", 5) + ready.mention("b", english, "liver", 5))
    by_caption = {name: sorted(one["instance"] for one in kept(ready) if one["caption"] == name) for name in "ab"}
    assert by_caption["a"] == by_caption["b"] != []
    assert {(one["text"], one["start"]) for one in entities(ready)} == {("Leber", 0), ("liver", 12)}


def named_image(number, caption="c"):
    """The reference of a caption to an image of the series."""
    columns = {"series_number": 3, "image_first": number, "image_last": number, "plane": None}
    return {"caption": caption, "instance": None} | columns


@pytest.mark.parametrize(
    ("classes", "assertion", "reason"),
    [([], "present", "no_mention"), ([5], "absent", "only_absent_mentions"), ([1], "present", "no_common_class")],
)
def test_caption_that_names_an_image_is_paired_without_a_box(ready, classes, assertion, reason):
    text = "The organ, image 3."
    mentions = ready.mention("c", text, "organ", *classes, assertion=assertion)
    metrics = ready.grounded([ready.caption("c", text, tie="reference")], mentions, [named_image(3)])
    (pair,) = read_table(ready.path("triplets"), TripletTable).rows(named=True)
    assert (pair["instance"], pair["reason"]) == ("i2", reason) and entities(ready) == []
    assert metrics["flow"]["aside"] == {reason: 1}  # the caption is not grounded all the same
    assert metrics["made"]["ungrounded pairs"] == metrics["tables"]["captions by their pairs"]["ungrounded"] == 1


def test_caption_of_a_series_without_anatomy_has_no_image(ready):
    series = named_image(None) | {"image_last": None}
    metrics = ready.grounded([ready.caption("c", "Good quality.", tie="reference")], [], [series])
    assert metrics["made"]["pairs"] == 0 and metrics["flow"]["aside"] == {"no_mention": 1}


def test_image_of_a_volume_without_labels_is_not_in_the_dataset(ready):
    volumes = [ready.volume(), ready.volume() | {"volume": "w", "series": "w", "series_number": 4}]
    ready.write(VolumeTable, "volumes", volumes)
    slices = read_table(ready.path("slices"), SliceTable).to_dicts()
    ready.write(SliceTable, "slices", [*slices, slices[0] | {"instance": "j0", "volume": "w"}])
    reference = named_image(1) | {"series_number": 4}
    metrics = ready.grounded([ready.caption("c", "Good quality.", tie="reference")], [], [reference])
    assert metrics["tables"]["pairs"] == {"not_labelled": 1} and metrics["made"]["ungrounded pairs"] == 0


def test_pairs_add_up_to_those_with_and_without_boxes(ready):
    texts = ["Liver, images 5 and 6", "Normal, image 2", "Spleen, image 3", "No image"]
    captions = [ready.caption(f"c{n}", text, tie="reference" if n < 3 else "structure") for n, text in enumerate(texts)]
    references = [named_image(5, "c0"), named_image(6, "c0"), named_image(2, "c1"), named_image(3, "c2")]
    mentions = ready.mention("c0", texts[0], "Liver", 5) + ready.mention("c2", texts[2], "Spleen", 1)
    metrics = ready.grounded(captions, mentions, references)
    made, tables = metrics["made"], metrics["tables"]
    # Image 5 shows the liver, image 6 (i5) nothing; image 2 has no caption with anatomy, image 3 no spleen.
    assert (made["pairs"], made["triplets"], made["ungrounded pairs"]) == (4, 1, 3)
    assert tables["pairs"] == {"kept": 1, "no_common_class": 2, "no_mention": 1}
    assert tables["captions by their pairs"] == {"grounded": 1, "ungrounded": 2, "without": 1}
