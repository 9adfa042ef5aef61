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
    columns = structures.find_structures(*arguments, **options)
    assert all(values.dtype == np.int32 for values in columns.values())
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    return [SimpleNamespace(**dict(zip(columns, row, strict=True))) for row in rows]


def naive(labels, lut, spacing, rule):
    """The same by one class and slice after the other."""
    rows = {}
    for index in range(labels.shape[2]):
        for class_id in set(lut[labels[:, :, index]].ravel()) - {0}:
            mask = class_mask(labels[:, :, index], lut, class_id, spacing, rule)
            if mask.any():
                ys, xs = np.nonzero(mask)
                rows[index, int(class_id)] = (
                    *(xs.min(), ys.min(), xs.max() + 1, ys.max() + 1, mask.sum()),
                    ndimage.label(mask, np.ones((3, 3)))[1],
                )
    return rows


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
    rows = find_structures(labels, lut, (1.0, 1.0), rule, slab=slab)
    boxes = {
        (row.index, row.class_id): (row.x_min, row.y_min, row.x_max, row.y_max, row.area, row.components)
        for row in rows
    }
    assert boxes == naive(labels, lut, (1.0, 1.0), rule)
    assert [(row.index, row.class_id) for row in rows] == sorted(boxes)


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
    assert [(row.index, row.class_id, row.x_min, row.x_max, row.area) for row in there] == [
        (row.index, row.class_id, width - row.x_max, width - row.x_min, row.area) for row in back
    ]


def test_stray_voxel_does_not_enlarge_the_box():
    labels = np.zeros((30, 20, 1), np.uint8)
    labels[2:12, 3:9, 0] = 5
    labels[28, 18, 0] = 5
    (row,) = find_structures(labels, LUT, (1.0, 1.0), OutlierRule(2.0, 0.2))
    assert (row.x_min, row.y_min, row.x_max, row.y_max, row.area) == (2, 3, 12, 9, 60)


def test_native_labels_of_one_class_are_one_structure():
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[1:4, 1:4, 0], labels[4:7, 1:4, 0] = 7, 8
    lut = np.zeros(256, np.uint8)
    lut[[7, 8]] = 3
    (row,) = find_structures(labels, lut, (1.0, 1.0), ALL)
    assert (row.class_id, row.area, row.components) == (3, 18, 1)


@pytest.mark.parametrize(("spacing", "count"), [((1.0, 1.0), 0), ((3.0, 3.0), 1)])
def test_minimum_area_is_in_mm2(spacing, count):
    labels = np.zeros((10, 10, 1), np.uint8)
    labels[:2, :2, 0] = 1
    assert len(find_structures(labels, LUT, spacing, OutlierRule(30.0, 0.0))) == count
