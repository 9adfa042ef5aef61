from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.anatomy.schema import load_schema
from refrad.grounding.pairing import GroundableMention, PairingError, Slice, StudyImages, class_matcher, ground_mentions


@pytest.fixture(scope="module")
def schema(root):
    return load_schema(root / "workflow" / "anatomy" / "classes.yaml")


def ids(schema, *names):
    return [schema.by_name[name].id for name in names]


@pytest.mark.parametrize(("finer", "via"), [((), "exact"), (("kidney_left",), "whole")])
def test_phrase_finer_than_its_class_is_boxed_by_the_whole(schema, finer, via):
    (kidney,) = ids(schema, "kidney_left")
    mention = GroundableMention(0, 11, "Nierenstein", (kidney,), frozenset(ids(schema, *finer)))
    (entity,) = ground_mentions([mention], {kidney: 9}, class_matcher(schema, "expand"))
    assert entity.via == via


@pytest.mark.parametrize(
    ("classes", "visible", "one_sided"),
    [
        (["kidney_left", "kidney_right"], ["kidney_left", "kidney_right"], {False}),
        (["kidney_left", "kidney_right"], ["kidney_right"], {True}),
        (["kidney_right"], ["kidney_right"], {False}),
        (["lung_left", "lung_right"], ["lung_upper_lobe_left", "lung_lower_lobe_left"], {True}),
        (["lung_left", "lung_right"], ["lung_upper_lobe_left", "lung_lower_lobe_right"], {False}),
        (["heart", "lung_left", "lung_right"], ["heart"], {False}),
        (["kidney_left", "kidney_cyst_left"], ["kidney_left"], {False}),
    ],
)
def test_phrase_of_both_sides_with_one_in_the_image_is_marked(schema, classes, visible, one_sided):
    mention = GroundableMention(0, 1, "x", tuple(ids(schema, *classes)))
    areas = dict.fromkeys(ids(schema, *visible), 9)
    entities = ground_mentions([mention], areas, class_matcher(schema, "expand"), schema.twin)
    assert {entity.one_sided for entity in entities} == one_sided


def test_lungs_on_ct_are_the_lobes_that_are_there(schema):
    left, right, upper, lower = ids(schema, "lung_left", "lung_right", "lung_upper_lobe_left", "lung_lower_lobe_right")
    found = ground_mentions(
        [GroundableMention(4, 9, "lungs", (left, right))], {upper: 1, lower: 1}, class_matcher(schema, "expand")
    )
    assert [(one.class_id, one.via) for one in found] == [(upper, "part"), (lower, "part")]


def test_single_level_on_mr_is_matched_to_the_whole_and_marked(schema):
    level, vertebrae = ids(schema, "vertebrae_L4", "vertebrae")
    found = ground_mentions([GroundableMention(0, 2, "L4", (level,))], {vertebrae: 1}, class_matcher(schema, "expand"))
    assert [(one.class_id, one.via) for one in found] == [(vertebrae, "whole")]


@pytest.mark.parametrize("names", [("vertebrae_S1", "vertebrae"), ("vertebrae", "vertebrae_S1")])
def test_closest_match_of_a_mention_counts(schema, names):
    visible = {schema.by_name["vertebrae"].id: 1}
    found = ground_mentions(
        [GroundableMention(0, 2, "x", tuple(ids(schema, *names)))], visible, class_matcher(schema, "expand")
    )
    assert [one.via for one in found] == ["exact"]


@pytest.mark.parametrize("mode", ["strict", "expand"])
def test_cyst_is_grounded_on_a_cyst_and_not_on_its_kidney(schema, mode):
    kidney, cyst = ids(schema, "kidney_left", "kidney_cyst_left")
    alone, compound = GroundableMention(0, 4, "cyst", (cyst,)), GroundableMention(0, 11, "Nierenzyste", (kidney, cyst))
    match = class_matcher(schema, mode)
    assert ground_mentions([alone], {kidney: 9}, match) == []
    assert [one.class_id for one in ground_mentions([alone], {kidney: 9, cyst: 2}, match)] == [cyst]
    assert [one.class_id for one in ground_mentions([compound], {kidney: 9}, match)] == [kidney]
    assert [one.class_id for one in ground_mentions([compound], {kidney: 9, cyst: 2}, match)] == [kidney, cyst]


def test_general_word_near_a_level_means_that_level(schema):
    spine, t11, t12 = ids(schema, "vertebrae", "vertebrae_T11", "vertebrae_T12")
    mentions = [GroundableMention(0, 8, "Endplate", (spine,)), GroundableMention(23, 26, "T12", (t12,))]
    assert {one.class_id for one in ground_mentions(mentions, {t11: 1, t12: 1}, class_matcher(schema, "expand"))} == {
        t12
    }


def test_strict_mode_accepts_the_class_itself_only(schema):
    left, upper = ids(schema, "lung_left", "lung_upper_lobe_left")
    assert (
        ground_mentions([GroundableMention(0, 4, "lung", (left,))], {upper: 1}, class_matcher(schema, "strict")) == []
    )
    assert (
        len(ground_mentions([GroundableMention(0, 4, "lobe", (upper,))], {upper: 1}, class_matcher(schema, "strict")))
        == 1
    )


def test_entities_are_in_the_order_of_their_spans(schema):
    mentions = [GroundableMention(10, 16, "spleen", (1,)), GroundableMention(0, 5, "liver", (5,))]
    assert [one.text for one in ground_mentions(mentions, {1: 1, 5: 1}, class_matcher(schema, "strict"))] == [
        "liver",
        "spleen",
    ]


def picture(name, volume, index, series=1, number=None, **areas):
    return Slice(name, volume, index, series, number or index + 1, {int(key[1:]): area for key, area in areas.items()})


def test_chosen_slices_are_of_different_volumes_first(schema):
    images = [picture(f"a{k}", "a", k, c5=100 - k) for k in range(8)] + [picture("b0", "b", 0, series=2, c5=40)]
    chosen = StudyImages(images).with_largest([GroundableMention(0, 1, "x", (5,))], class_matcher(schema, "strict"), 3)
    assert [one.instance for one in chosen] == ["a0", "b0", "a3"]


def test_number_that_two_series_share_is_ambiguous():
    study = StudyImages([picture("a", "va", 0, series=2), picture("b", "vb", 0, series=2)])
    with pytest.raises(PairingError, match="reference_ambiguous"):
        study.with_numbers(2, 1, 1)


def test_plane_decides_between_series_with_the_same_number():
    planes = ("axial", "coronal", "oblique")
    study = StudyImages([replace(picture(plane, plane, 0, series=n), plane=plane) for n, plane in enumerate(planes)])
    assert [image.instance for image in study.with_numbers(None, 1, 1, "coronal")] == ["coronal"]
    with pytest.raises(PairingError, match="reference_not_found"):
        study.with_numbers(None, 1, 1, "sagittal")


def test_range_of_images_meets_all_of_them():
    study = StudyImages([picture(f"a{k}", "a", k) for k in range(5)])
    assert [one.instance for one in study.with_numbers(1, 2, 4)] == ["a1", "a2", "a3"]


classes = st.integers(1, 121)
mentions = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 9), st.lists(classes, min_size=1, max_size=4)), max_size=6
).map(lambda found: [GroundableMention(start, start + length, "x", tuple(ids)) for start, length, ids in found])


@given(mentions, st.sets(classes, max_size=30))
def test_strict_entities_are_the_common_classes_once_per_span(schema, found, visible):
    entities = ground_mentions(found, dict.fromkeys(visible, 1), class_matcher(schema, "strict"))
    wanted = {(one.start, one.end, c) for one in found for c in one.classes if c in visible}
    assert sorted((one.start, one.end, one.class_id) for one in entities) == sorted(wanted)
    assert bool(entities) == bool({c for one in found for c in one.classes} & visible)
    assert {one.via for one in entities} <= {"exact"}
    assert [one.start for one in entities] == sorted(one.start for one in entities)


@given(mentions, st.sets(classes, max_size=30))
def test_expanded_entities_include_strict_ones_within_the_hierarchy(schema, found, visible):
    areas = dict.fromkeys(visible, 1)
    strict, expand = (ground_mentions(found, areas, class_matcher(schema, mode)) for mode in ("strict", "expand"))
    assert set(strict) <= set(expand)
    for one in expand:
        named = {c for m in found if (m.start, m.end) == (one.start, one.end) for c in m.classes}
        related = {"exact": {one.class_id}, "part": schema.wholes(one.class_id), "whole": schema.parts(one.class_id)}
        assert one.class_id in visible and named & related[one.via]


@given(mentions, st.sets(classes, max_size=30), st.randoms())
def test_order_of_mentions_changes_nothing(schema, found, visible, random):
    shuffled = random.sample(found, len(found))
    areas = dict.fromkeys(visible, 1)
    keys = [
        {(one.start, one.end, one.class_id) for one in ground_mentions(some, areas, class_matcher(schema, "expand"))}
        for some in (found, shuffled)
    ]
    assert keys[0] == keys[1]
