import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.imaging.structures import OutlierRule, class_mask, find_structures

LUT = np.arange(256).astype(np.uint8)
ALL = OutlierRule(0.0, 0.0)


def naive(labels, lut, spacing, rule):
    """The same by one class and slice after the other."""
    found = {}
    for index in range(labels.shape[2]):
        for class_id in set(lut[labels[:, :, index]].ravel()) - {0}:
            mask = class_mask(labels[:, :, index], lut, class_id, spacing, rule)
            if mask.any():
                ys, xs = np.nonzero(mask)
                found[index, int(class_id)] = (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, mask.sum())
    return found


@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.2, 0.6]), st.sampled_from([0.0, 6.0]))
def test_boxes_and_areas_are_those_of_the_masks(seed, share, area):
    r = np.random.default_rng(seed)
    labels = np.kron(r.integers(0, 4, (5, 4, 3)), np.ones((3, 3, 1))).astype(np.uint8) * (r.random((15, 12, 3)) > 0.2)
    rule = OutlierRule(area, share)
    made = {
        (one.index, one.class_id): (one.x_min, one.y_min, one.x_max, one.y_max, one.area)
        for one in find_structures(labels.astype(np.uint8), LUT, (1.0, 1.0), rule)
    }
    assert made == naive(labels.astype(np.uint8), LUT, (1.0, 1.0), rule)


def test_a_stray_voxel_does_not_stretch_the_box():
    labels = np.zeros((30, 20, 1), np.uint8)
    labels[2:12, 3:9, 0] = 5
    labels[28, 18, 0] = 5
    (one,) = find_structures(labels, LUT, (1.0, 1.0), OutlierRule(2.0, 0.2))
    assert (one.x_min, one.y_min, one.x_max, one.y_max, one.area) == (2, 3, 12, 9, 60)


def test_two_native_labels_of_one_class_are_one_structure():
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[1:4, 1:4, 0], labels[4:7, 1:4, 0] = 7, 8
    lut = np.zeros(256, np.uint8)
    lut[[7, 8]] = 3
    (one,) = find_structures(labels, lut, (1.0, 1.0), ALL)
    assert (one.class_id, one.area, one.components) == (3, 18, 1)


@pytest.mark.parametrize(("spacing", "kept"), [((1.0, 1.0), 0), ((3.0, 3.0), 1)])
def test_the_least_area_is_in_mm2(spacing, kept):
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[:2, :2, 0] = 1
    assert len(find_structures(labels, LUT, spacing, OutlierRule(30.0, 0.0))) == kept
