from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from refrad.segmentation import structure_finder as structures
from refrad.segmentation.structure_finder import OutlierRule, class_mask

LUT = np.arange(256).astype(np.uint8)
ALL = OutlierRule(0.0, 0.0)


def find_structures(*arguments, **options):
    """The rows, one by one."""
    found = structures.find_structures(*arguments, **options)
    assert all(values.dtype == np.int32 for values in found.values())
    rows = zip(*(values.tolist() for values in found.values()), strict=True)
    return [SimpleNamespace(**dict(zip(found, row, strict=True))) for row in rows]


def naive(labels, lut, spacing, rule):
    """The same by one class and slice after the other."""
    found = {}
    for index in range(labels.shape[2]):
        for class_id in set(lut[labels[:, :, index]].ravel()) - {0}:
            mask = class_mask(labels[:, :, index], lut, class_id, spacing, rule)
            if mask.any():
                ys, xs = np.nonzero(mask)
                found[index, int(class_id)] = (
                    *(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, mask.sum()),
                    ndimage.label(mask, np.ones((3, 3)))[1],
                )
    return found


@st.composite
def label_volumes(draw):
    """Blocks of a few labels with holes, down to single pixels and up to full images."""
    r = np.random.default_rng(draw(st.integers(0, 100_000)))
    columns, rows, slices, size = (draw(st.integers(1, 5)) for _ in range(4))
    blocks = r.integers(0, draw(st.integers(1, 4)), (columns, rows, slices), endpoint=True)
    labels = np.kron(blocks, np.ones((size, size, 1))).astype(np.uint8)
    return labels * (r.random(labels.shape) > draw(st.sampled_from([0, 0.2, 0.6]))).astype(np.uint8)


@given(label_volumes(), st.sampled_from([0.0, 0.2, 0.6]), st.sampled_from([0.0, 6.0]), st.integers(1, 3), st.booleans())
def test_structures_agree_with_the_masks(labels, share, area, slab, merged):
    rule = OutlierRule(area, share)
    lut = np.minimum(LUT, 2) if merged else LUT
    found = find_structures(labels, lut, (1.0, 1.0), rule, slab=slab)
    made = {
        (one.index, one.class_id): (one.x_min, one.y_min, one.x_max, one.y_max, one.area, one.components)
        for one in found
    }
    assert made == naive(labels, lut, (1.0, 1.0), rule)
    assert [(one.index, one.class_id) for one in found] == sorted(made)


@given(label_volumes(), st.sampled_from(["C", "F"]))
def test_structures_do_not_depend_on_memory_order(labels, order):
    rule = OutlierRule(2.0, 0.2)
    assert find_structures(np.asarray(labels, order=order), LUT, (1.0, 1.0), rule) == find_structures(
        labels, LUT, (1.0, 1.0), rule
    )


@given(label_volumes())
def test_flipped_volume_has_flipped_boxes(labels):
    rule = OutlierRule(2.0, 0.2)
    width = labels.shape[0]
    there = find_structures(labels, LUT, (1.0, 1.0), rule)
    back = find_structures(np.flip(labels, 0), LUT, (1.0, 1.0), rule)
    assert [(one.index, one.class_id, one.x_min, one.x_max, one.area) for one in there] == [
        (one.index, one.class_id, width - one.x_max, width - one.x_min, one.area) for one in back
    ]


def test_stray_voxel_does_not_enlarge_the_box():
    labels = np.zeros((30, 20, 1), np.uint8)
    labels[2:12, 3:9, 0] = 5
    labels[28, 18, 0] = 5
    (one,) = find_structures(labels, LUT, (1.0, 1.0), OutlierRule(2.0, 0.2))
    assert (one.x_min, one.y_min, one.x_max, one.y_max, one.area) == (2, 3, 12, 9, 60)


def test_native_labels_of_one_class_are_one_structure():
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[1:4, 1:4, 0], labels[4:7, 1:4, 0] = 7, 8
    lut = np.zeros(256, np.uint8)
    lut[[7, 8]] = 3
    (one,) = find_structures(labels, lut, (1.0, 1.0), ALL)
    assert (one.class_id, one.area, one.components) == (3, 18, 1)


@pytest.mark.parametrize(("spacing", "kept"), [((1.0, 1.0), 0), ((3.0, 3.0), 1)])
def test_minimum_area_is_in_mm2(spacing, kept):
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[:2, :2, 0] = 1
    assert len(find_structures(labels, LUT, spacing, OutlierRule(30.0, 0.0))) == kept
