"""Fragments of a few pixels are told from true small sections."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.anatomy.schema import load_schema
from refrad.segmentation.fragments import FragmentRule, find_fragments, reference_sections
from refrad.segmentation.plausibility import load_norms
from refrad.segmentation.structure_finder import OutlierRule, find_structures

LUT = np.arange(256).astype(np.uint8)
LIVER, VESSEL, GLAND = 5, 52, 8
RULE = FragmentRule(12, 0.1)
NONE = np.zeros(256)


def body():
    """A liver of 20 slices that shrinks to 2 x 2 px at both ends, a vessel of 3 x 3 px, and a gland of 2 x 3 px in three slices."""
    labels = np.zeros((64, 64, 30), np.uint8)
    for k in range(20):
        half = max(1, round(15 * np.sin(np.pi * (k + 0.5) / 20)))
        labels[20 - half : 20 + half, 20 - half : 20 + half, k + 3] = LIVER
    labels[2, 2, :] = 0
    labels[60:63, 50:53, :] = VESSEL
    labels[50:52, 60:63, 10:13] = GLAND
    return labels


def fragments_of(labels, rule=RULE, reference=NONE):
    structures = find_structures(labels, LUT, (3.0, 3.0), OutlierRule(0.0, 0.2))
    is_fragment = find_fragments(structures, labels, LUT, reference, rule)
    names = zip(structures["index"].tolist(), structures["class_id"].tolist(), strict=True)
    return [name for name, flag in zip(names, is_fragment, strict=True) if flag]


def test_whole_body_has_no_fragments():
    labels = body()
    assert {(labels[:, :, k] == LIVER).sum() for k in (3, 22)} == {4}
    assert fragments_of(labels) == []


def test_speck_apart_from_the_organ_is_a_fragment():
    labels = body()
    labels[40, 40:45, 27] = LIVER  # behind the end of the organ
    labels[40:42, 30:35, 1] = LIVER
    assert fragments_of(labels) == [(1, LIVER), (27, LIVER)]


def test_speck_next_to_the_last_section_is_a_fragment_unless_it_touches():
    labels = body()
    labels[40, 40:45, 23] = LIVER
    assert fragments_of(labels) == [(23, LIVER)]
    labels[40, 40:45, 23] = 0
    labels[15:25, 15:25, 22] = LIVER
    labels[20, 18:23, 23] = LIVER
    assert fragments_of(labels) == []


def test_specks_in_a_row_are_fragments():
    labels = body()
    labels[40, 40:45, 26:29] = LIVER
    assert fragments_of(labels) == [(k, LIVER) for k in (26, 27, 28)]


def test_organ_of_specks_alone_is_found_by_its_reference_volume(root):
    anatomy = root / "workflow" / "anatomy"
    schema = load_schema(anatomy / "classes.yaml")
    reference = reference_sections(load_norms(anatomy / "plausibility.yaml"), schema) / 9.0
    names = {name: schema.by_name[name].id for name in ("kidney_left", "adrenal_gland_left", "aorta")}
    assert reference[names["kidney_left"]] * 9 == pytest.approx(131_000 ** (2 / 3)) and reference[names["aorta"]] == 0
    labels = np.zeros((30, 30, 9), np.uint8)
    for place, number in enumerate(names.values()):
        labels[10 * place + 1, 1:6, 4] = number
    assert fragments_of(labels) == []
    assert fragments_of(labels, reference=reference) == [(4, names["kidney_left"])]


@pytest.mark.parametrize(
    "place", [np.s_[0:2, 9:14], np.s_[28:30, 9:14], np.s_[9:14, 0:2], np.s_[9:14, 28:30], np.s_[9:14, 9:11]]
)
def test_edge_of_an_organ_that_the_field_of_view_cuts_is_kept(place):
    labels = np.zeros((30, 30, 9), np.uint8)
    labels[(*place, slice(2, 7))] = LIVER
    is_cut = place != np.s_[9:14, 9:11]
    assert len(fragments_of(labels, reference=np.full(256, 2000.0))) == (0 if is_cut else 5)
    labels[9:21, 9:21, :] = LIVER  # the organ is there: then the reference does not decide
    assert fragments_of(labels) == []


@pytest.mark.parametrize(
    ("rule", "count"),
    [
        (FragmentRule(12, 0.1), 1),
        (FragmentRule(5, 0.1), 1),
        (FragmentRule(4, 0.1), 0),
        (FragmentRule(0, 1.0), 0),
        (FragmentRule(12, 0.001), 0),
        (FragmentRule(12, 0.0), 0),
    ],
)
def test_fragment_is_small_in_pixels_and_for_its_class(rule, count):
    labels = body()
    labels[40, 40:45, 27] = LIVER
    assert len(fragments_of(labels, rule)) == count


@given(st.integers(0, 1000), st.sampled_from([0, 1, 2]))
def test_fragments_do_not_depend_on_direction(seed, axis):
    r = np.random.default_rng(seed)
    labels = body()
    for _ in range(6):
        x, y, z = (int(r.integers(0, size - 3)) for size in labels.shape)
        labels[x : x + 2, y : y + 2, z] = LIVER
    flipped = np.flip(labels, axis)
    last = labels.shape[2] - 1
    there = fragments_of(labels)
    back = [(last - k, number) for k, number in fragments_of(flipped)] if axis == 2 else fragments_of(flipped)
    assert there == sorted(back)


@given(st.integers(0, 1000))
def test_sections_above_the_limits_are_never_fragments(seed):
    labels = np.random.default_rng(seed).integers(0, 3, (9, 9, 4)).astype(np.uint8)
    structures = find_structures(labels, LUT, (3.0, 3.0), OutlierRule(0.0, 0.0))
    is_fragment = find_fragments(structures, labels, LUT, NONE, FragmentRule(12, 0.9))
    assert (structures["area"][is_fragment] <= 12).all()
