import contextlib
import gzip

import nibabel as nib
import numpy as np
import pytest

from refrad.core.entries import DamagedEntryError
from refrad.dicom.volume_store import store_name
from refrad.segmentation.labels import (
    is_displaced,
    load_labels,
    read_stored_labels,
    save_labels,
    stored_result,
    summarize_labels,
)


def test_labels_round_trip(tmp_path):
    labels = np.random.default_rng(0).integers(0, 255, (5, 6, 7)).astype(np.uint8)
    path = tmp_path / store_name("abcdef")
    save_labels(path, labels, np.eye(4))
    assert path.parent.name == "ab"
    assert np.array_equal(load_labels(path), labels)


def test_labels_have_reproducible_bytes(tmp_path):
    for folder in ("a", "b"):
        save_labels(tmp_path / folder / "key.nii.gz", np.ones((3, 3, 3), np.uint8), np.eye(4))
    assert (tmp_path / "a" / "key.nii.gz").read_bytes() == (tmp_path / "b" / "key.nii.gz").read_bytes()


@pytest.fixture
def entry(tmp_path):
    """An entry of a mask store, and its labels."""
    labels = np.random.default_rng(0).integers(0, 4, (6, 5, 4)).astype(np.uint8)
    path = tmp_path / store_name("abcdef")
    save_labels(path, labels, np.eye(4))
    return path, labels


def other_labels(content):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    return gzip.compress(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header).to_bytes())


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda _: b"no labels " * 99,
        lambda content: gzip.compress(gzip.decompress(content)),
        other_labels,
    ],
    ids=["empty", "half", "last byte lost", "no gzip", "no seal", "other labels"],
)
def test_damaged_labels_are_no_result_of_the_store(entry, damage):
    path, labels = entry
    result = stored_result("abcdef", path.parents[1])
    assert (result.digest, result.labels) == summarize_labels(labels)
    path.write_bytes(damage(path.read_bytes()))
    assert stored_result("abcdef", path.parents[1]) is None
    with pytest.raises(DamagedEntryError, match=r"abcdef.nii.gz is damaged: delete it and make masks.parquet"):
        read_stored_labels(path)


def test_a_flipped_bit_of_labels_is_noticed_or_without_effect(entry):
    path, labels = entry
    whole = bytearray(path.read_bytes())
    for at in range(len(whole)):
        whole[at] ^= 1 << at % 8
        path.write_bytes(whole)
        whole[at] ^= 1 << at % 8
        with contextlib.suppress(DamagedEntryError):
            assert np.array_equal(load_labels(path, summarize_labels(labels)[0]), labels)


def test_labels_of_another_entry_or_time_are_noticed(entry):
    path, labels = entry
    other = path.with_name("abcdee.nii.gz")
    save_labels(other, labels, np.eye(4))
    with pytest.raises(DamagedEntryError):
        load_labels(path, summarize_labels(labels + 1)[0])  # made again since the table was written
    path.write_bytes(other.read_bytes())
    with pytest.raises(DamagedEntryError):
        load_labels(path)


GRID = np.array([[0.0, 0, 3.0, 10], [-0.7, 0, 0, 20], [0, -0.7, 0, 30], [0, 0, 0, 1]])  # sagittal
SHAPE = (40, 30, 20)
ORDERS = [
    np.eye(3)[list(order)] * signs for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)) for signs in ((1, 1, 1), (-1, 1, -1))
]


def reordered(order):
    """The grid with its axes in another order and direction, and its shape."""
    to_grid = np.eye(4)
    to_grid[:3, :3] = order
    to_grid[:3, 3] = np.where(order.sum(1) < 0, np.array(SHAPE) - 1, 0)
    return GRID @ to_grid, tuple((np.abs(order).T @ SHAPE).astype(int).tolist())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(
    ("shift", "is_beside"), [(0, False), (1e-4, False), (-0.3, False), (-0.5, True), (0.5, True), (1, True), (-3, True)]
)
def test_labels_beside_the_voxels_of_their_grid_are_displaced(order, axis, shift, is_beside):
    affine, shape = reordered(order)
    affine[:3, 3] += shift * affine[:3, axis]
    assert is_displaced(shape, affine, GRID, SHAPE) == is_beside


@pytest.mark.parametrize(
    ("change", "shape", "is_beside"),
    [
        (np.diag([1.02, 1, 1, 1]), SHAPE, True),  # spacing with two digits: 0.8 voxels at the end
        (np.diag([1.005, 1, 1, 1]), SHAPE, False),
        (np.diag([0.5, 1, 1, 1]), SHAPE, False),  # other grids are resampled
        (np.eye(4) + np.eye(4, 4, 3) * 0.5, (41, 30, 20), False),
        (np.eye(4) + np.eye(4, 4, 3) * 5, (30, 30, 20), False),
        (np.array([[0.7, -0.7, 0, 0], [0.7, 0.7, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), SHAPE, False),
    ],
)
def test_other_grids_are_never_displaced(change, shape, is_beside):
    assert is_displaced(shape, GRID @ change, GRID, SHAPE) == is_beside
