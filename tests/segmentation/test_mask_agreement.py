"""Masks that do not fit the content of their image: flipped, shifted, of another patient, in the wrong tissue."""

import itertools

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.demo.bodies import make_body
from refrad.demo.rendering import render
from refrad.segmentation.mask_agreement import correlation_ratio, find_disagreement, sample_points, spread_within
from refrad.segmentation.precomputed import native_ids

IDS = {"CT": native_ids("total"), "MR": native_ids("total_mr")}
AFFINE = np.diag([-4.0, -4.0, 5.0, 1.0])  # columns to the left, rows to the back, slices to the head
AFFINE[:3, 3] = [190, 150, 150]
SHAPE = (96, 76, 60)
FLIPS = [flips for flips in itertools.product((False, True), repeat=3) if any(flips)]
SEEDS = (1, 4, 6)


def imaged(seed, modality):
    """Image int16 and labels uint8 of a made-up body."""
    values, labels = render(make_body(seed), AFFINE, SHAPE, modality, IDS[modality])
    return values.astype(np.int16), labels


@pytest.fixture(scope="module")
def bodies():
    return {(seed, modality): imaged(seed, modality) for seed in SEEDS for modality in ("CT", "MR")}


def reason(values, labels, modality, labels_affine=AFFINE, affine=AFFINE):
    return find_disagreement(labels, labels_affine, values, affine, IDS[modality], is_ct=modality == "CT")


def flipped(labels, flips):
    return np.flip(labels, [axis for axis in range(3) if flips[axis]])


def test_correlation_ratio_is_the_share_that_the_groups_explain():
    # Around their mean 3 the values vary by 9 + 1 + 1 + 9 = 20, around those of the groups, 1 and 5, by 1 + 1 + 1 + 1 = 4.
    values, groups = np.array([0.0, 2.0, 4.0, 6.0]), np.array([1, 1, 2, 2], np.uint8)
    assert correlation_ratio(values, groups) == pytest.approx(1 - 4 / 20)
    assert correlation_ratio(values, np.array([1, 2, 2, 1], np.uint8)) == pytest.approx(0.0), "both have the mean 3"
    assert correlation_ratio(np.full(4, 7.0), groups) == 0.0


def test_spread_leaves_out_what_is_not_labelled():
    # Group 1 varies around 1 by 1 and 1, group 2 around 5 by 1 and 1; the 90 of the background is left out.
    values, groups = np.array([0.0, 2.0, 4.0, 6.0, 90.0]), np.array([1, 1, 2, 2, 0], np.uint8)
    assert spread_within(values, groups) == pytest.approx(1.0)
    assert spread_within(values, np.zeros(5, np.uint8)) == 0.0


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("seed", SEEDS)
def test_mask_of_its_own_image_agrees(bodies, seed, modality):
    values, labels = bodies[seed, modality]
    assert reason(values, labels, modality) == ""
    slab = (slice(None), slice(None), slice(24, 32))
    assert reason(values[slab], labels[slab], modality) == "", "eight slices"
    window = (slice(20, 60), slice(20, 60), slice(10, 30))
    assert reason(values[window], labels[window], modality) == "", "a small field of view"
    for organ in ("liver", "spleen", "aorta"):
        alone = np.where(labels == IDS[modality][organ], labels, 0)
        assert reason(values, alone, modality) == "", f"{organ} alone"


@pytest.mark.parametrize("flips", FLIPS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_flipped_mask_is_found(bodies, flips, modality):
    for seed in SEEDS:
        values, labels = bodies[seed, modality]
        assert reason(values, flipped(labels, flips), modality) == "mask_flipped"


@pytest.mark.parametrize(("axis", "voxels"), [(0, 3), (0, -6), (1, 3), (1, -5), (2, 3), (2, -6)])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_mask_that_is_12_mm_or_more_beside_is_found(bodies, axis, voxels, modality):
    for seed in SEEDS:
        values, labels = bodies[seed, modality]
        assert reason(values, np.roll(labels, voxels, axis), modality) != ""


@pytest.mark.parametrize(("modality", "least"), [("CT", 6), ("MR", 5)])
def test_mask_of_another_body_is_found_in_most_cases(bodies, modality, least):
    """Two bodies may be alike: docs/masks.md says so."""
    pairs = itertools.permutations(SEEDS, 2)
    assert sum(reason(bodies[a, modality][0], bodies[b, modality][1], modality) != "" for a, b in pairs) >= least


@given(
    order=st.permutations([0, 1, 2]),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    coarser=st.integers(1, 2),
    modality=st.sampled_from(["CT", "MR"]),
)
def test_axes_in_any_order_and_direction_agree_with_a_right_affine(bodies, order, flips, coarser, modality):
    values, labels = bodies[1, modality]
    turned, affine = labels.transpose(order)[::coarser], AFFINE[:, [*order, 3]].copy()
    affine[:3, 0] *= coarser
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
            turned = np.flip(turned, axis)
    assert reason(values, turned, modality, affine) == ""


@given(order=st.permutations([0, 1, 2]), flips=st.sampled_from(FLIPS))
def test_flip_is_found_in_any_order_of_the_axes(bodies, order, flips):
    values, labels = bodies[4, "CT"]
    turned = flipped(labels.transpose(order), flips)
    assert reason(values, turned, "CT", AFFINE[:, [*order, 3]]) == "mask_flipped"


def test_organ_in_air_and_dark_bone_are_found_in_ct_without_any_other_place_to_compare(bodies):
    values, labels = bodies[1, "CT"]
    lung = np.isin(labels, [IDS["CT"][name] for name in IDS["CT"] if name.startswith("lung_")])
    liver = np.where(labels == IDS["CT"]["liver"], 1, 0).astype(np.uint8)
    assert reason(values, lung.astype(np.uint8) * IDS["CT"]["heart"], "CT") == "mask_disagrees", "heart of air"
    assert reason(values, liver * IDS["CT"]["hip_left"], "CT") == "mask_disagrees", "a hip as dark as the liver"
    assert reason(values, lung.astype(np.uint8) * IDS["CT"]["colon"], "CT") == "", "a colon may be full of gas"


@pytest.mark.parametrize(("modality", "gas", "fluid"), [("CT", -900, 300), ("MR", 0, 1200)])
def test_gut_with_gas_above_its_fluid_is_no_reason(bodies, modality, gas, fluid):
    """Stomach and colon of a patient on the back: gas in front, contrast agent or water behind."""
    ids = IDS[modality]
    some = [ids[name] for name in ("stomach", "gallbladder", "pancreas", "adrenal_gland_left", "duodenum", "spleen")]
    for seed in SEEDS:
        values, labels = bodies[seed, modality]
        filled = values.copy()
        for name in ("stomach", "colon"):
            inside = np.nonzero(labels == ids[name])
            filled[inside] = np.where(inside[1] < np.median(inside[1]), gas, fluid)
        for wanted in (np.unique(labels), some):
            mask = np.where(np.isin(labels, wanted), labels, 0).astype(np.uint8)
            for slab in (slice(None), slice(20, 30)):
                assert reason(filled[:, :, slab], mask[:, :, slab], modality) == "", (seed, slab)
        assert reason(filled, flipped(labels, (False, False, True)), modality) != "", seed


def test_too_few_voxels_prove_nothing(bodies):
    values, labels = bodies[1, "CT"]
    few = np.zeros_like(labels)
    few[40:48, 30:38, 2:10] = IDS["CT"]["heart"]
    assert np.count_nonzero(few) == 512
    assert reason(values, few, "CT") == reason(values, np.zeros_like(labels), "CT") == ""


@pytest.mark.parametrize("value", [0, 700])
def test_image_without_contrast_proves_nothing_in_mr(bodies, value):
    labels = bodies[1, "MR"][1]
    assert reason(np.full(SHAPE, value, np.int16), flipped(labels, (True, False, True)), "MR") == ""


def test_points_of_a_small_organ_are_those_of_its_own_size():
    labels = np.zeros((400, 400, 200), np.uint8)
    labels[101:121, 203:223, 51:61] = 7
    points = sample_points(labels, np.array([1.0, 1.0, 2.0]))
    assert points.labelled == 20 * 20 * 10, "each voxel of it"
    # 5 mm are five columns and rows, but, in whole voxels, two slices of 2 mm.
    assert points.indices.min(1).tolist() == [96, 198, 49] and points.indices.max(1).tolist() == [125, 227, 62]
    assert np.array_equal(labels[tuple(points.indices)], points.labels)


REAL = {"CT": ("example_ct_sm.nii.gz", "example_seg.nii.gz"), "MR": ("example_mr_sm.nii.gz", "example_seg_mr.nii.gz")}


@pytest.fixture(params=["CT", "MR"])
def real(shared, request):
    """Modality, image, labels and affine of a real abdomen."""
    image, mask = (nib.load(shared / "nifti-seg" / "totalseg" / name) for name in REAL[request.param])
    labels = np.asarray(mask.dataobj).astype(np.uint8)
    return request.param, np.asarray(image.dataobj).astype(np.int16), labels, image.affine


def test_real_masks_agree_and_their_flips_and_shifts_are_found(real):
    modality, values, labels, affine = real
    assert reason(values, labels, modality, affine, affine) == ""
    for flips in FLIPS:
        assert reason(values, flipped(labels, flips), modality, affine, affine) in ("mask_flipped", "mask_disagrees")
    for axis, voxels in itertools.product(range(3), (4, -4)):  # 12 mm
        assert reason(values, np.roll(labels, voxels, axis), modality, affine, affine) == "mask_disagrees"


def test_real_organs_alone_agree(real):
    modality, values, labels, affine = real
    for label in np.unique(labels[labels > 0]):
        alone = np.where(labels == label, labels, 0)
        assert reason(values, alone, modality, affine, affine) == ""
