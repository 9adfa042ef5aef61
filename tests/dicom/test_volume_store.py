import gzip

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refrad.core.entries import DamagedEntryError
from refrad.dicom.volume_store import assemble, read_grid, read_volume, store_volume

AFFINE = np.array([[-0.7, 0, 0, 10], [0, -0.7, 0, 20], [0, 0, 5, 30], [0, 0, 0, 1.0]])


def same_scale(count, slope=1.0, intercept=0.0):
    return [slope] * count, [intercept] * count


def test_ct_values_are_rescaled_slice_by_slice_to_hounsfield_units():
    images = [np.array([[0, 1000]], np.uint16), np.array([[0, 1000]], np.uint16)]
    volume = assemble(images, [1, 0.5], [-1024, -1000], "CT")
    assert volume.dtype == np.int16
    assert volume[:, 0, :].T.tolist() == [[-1024, -24], [-1000, -500]]


def test_ct_values_beyond_sixteen_bits_are_clipped_not_wrapped():
    volume = assemble([np.array([[0, 65535]], np.uint16)], [1], [-40000], "CT")
    assert volume[:, 0, 0].tolist() == [-32768, 25535]


@given(images=arrays(np.int16, (3, 2, 5)), slope=st.floats(0.001, 10), intercept=st.floats(-500, 500))
def test_mr_values_of_one_scale_stay_as_they_are_stored(images, slope, intercept):
    volume = assemble(list(images), *same_scale(3, slope, intercept), "MR")
    np.testing.assert_array_equal(volume.transpose(2, 1, 0), images)


@given(seed=st.integers(0, 1000))
def test_mr_slices_of_different_scales_get_one_scale(seed):
    random = np.random.default_rng(seed)
    truth = random.integers(0, 10_000, (4, 3, 3)).astype(float)
    slopes, intercepts = random.uniform(0.5, 4, 4), random.uniform(-50, 50, 4)
    stored = [np.rint((t - i) / s).astype(np.int16) for t, s, i in zip(truth, slopes, intercepts, strict=True)]
    volume = assemble(stored, list(slopes), list(intercepts), "MR").transpose(2, 1, 0).astype(float)
    assert (volume.min(), volume.max()) == (0, 32767)
    assert np.corrcoef(volume.ravel(), truth.ravel())[0, 1] > 0.9999


def test_mr_values_that_do_not_fit_keep_their_order():
    volume = assemble([np.array([[0, 40_000, 65_535]], np.uint16)], [1], [0], "MR")
    assert volume[:, 0, 0].tolist() == [0, 20_000, 32_767]


@given(voxels=arrays(np.int16, (3, 2, 4)))
def test_volume_round_trips_through_the_store(voxels, tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    digest, name = store_volume(voxels, AFFINE, store)
    assert name == f"{digest[:2]}/{digest}.nii.gz"
    back, affine = read_volume(store / name)
    np.testing.assert_array_equal(back, voxels)
    np.testing.assert_allclose(affine, AFFINE, atol=1e-6)


def test_equal_volumes_have_equal_bytes_and_one_file(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    _, name = store_volume(voxels, AFFINE, tmp_path / "a")
    assert store_volume(np.asfortranarray(voxels), AFFINE, tmp_path / "b")[1] == name
    first = (tmp_path / "a" / name).read_bytes()
    assert (tmp_path / "b" / name).read_bytes() == first
    written = (tmp_path / "a" / name).stat().st_ino
    store_volume(voxels, AFFINE, tmp_path / "a")
    assert (tmp_path / "a" / name).stat().st_ino == written
    assert first[4:8] == b"\0\0\0\0"  # no time in the gzip header


@pytest.mark.parametrize("change", ["voxel", "affine", "shape"])
def test_digest_differs_between_volumes(change, tmp_path):
    voxels, affine = np.zeros((2, 3, 4), np.int16), AFFINE.copy()
    before, _ = store_volume(voxels, affine, tmp_path)
    if change == "voxel":
        voxels[0, 0, 0] = 1
    elif change == "affine":
        affine[2, 3] += 1
    else:
        voxels = voxels.reshape(3, 2, 4)
    assert store_volume(voxels, affine, tmp_path)[0] != before


def test_stored_volume_is_read_by_other_programs(tmp_path):
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    _, name = store_volume(voxels, AFFINE, tmp_path)
    image = nib.load(tmp_path / name)
    assert image.get_data_dtype() == np.int16
    assert (image.header["sform_code"], image.header["qform_code"]) == (1, 1)
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.get_qform(), AFFINE, atol=1e-5)
    assert gzip.decompress((tmp_path / name).read_bytes())[344:347] == b"n+1"


def flip(content, at, bit):
    changed = bytearray(content)
    changed[at] ^= 1 << bit
    return bytes(changed)


def other_volume(content):
    image = nib.Nifti1Image.from_bytes(gzip.decompress(content))
    return gzip.compress(nib.Nifti1Image(np.asarray(image.dataobj) + 1, image.affine, image.header).to_bytes())


DAMAGES = {
    "empty": lambda _: b"",
    "a few bytes": lambda content: content[:12],
    "half": lambda content: content[: len(content) // 2],
    "last byte lost": lambda content: content[:-1],
    "no gzip": lambda _: b"no volume " * 900,
    "zeros": lambda content: bytes(len(content)),
    "twice": lambda content: content + content,
    "other volume": other_volume,
    "other volume, by another program": lambda content: gzip.compress(gzip.decompress(content)[:-2] + b"xy"),
}


@pytest.fixture
def entry(tmp_path):
    """Path of an entry, and its volume."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(np.int16)
    return tmp_path / store_volume(voxels, AFFINE, tmp_path)[1], voxels


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_entry_is_named_and_made_again(entry, damage):
    path, voxels = entry
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.raises(
        DamagedEntryError, match=rf"{path.name} is damaged: delete it and make volumes.parquet of its shard again"
    ):
        read_volume(path)
    store_volume(voxels, AFFINE, path.parents[1])
    assert path.read_bytes() == whole


def test_a_flipped_bit_is_noticed_or_without_effect(entry):
    path, voxels = entry
    whole, unnoticed = path.read_bytes(), 0
    for at in range(len(whole)):
        path.write_bytes(flip(whole, at, at % 8))
        try:
            assert np.array_equal(read_volume(path)[0], voxels)
            unnoticed += 1
        except DamagedEntryError:
            pass
    assert unnoticed < 60  # in the header of gzip, or in unused codes


def test_entry_under_the_name_of_another_is_noticed(entry):
    path, voxels = entry
    _, name = store_volume(voxels + 1, AFFINE, path.parents[1])
    path.write_bytes((path.parents[1] / name).read_bytes())
    with pytest.raises(DamagedEntryError):
        read_volume(path)


def test_entry_of_an_earlier_release_is_compared_with_its_name(entry):
    path, voxels = entry
    content = gzip.decompress(path.read_bytes())
    path.write_bytes(gzip.compress(content))
    assert np.array_equal(read_volume(path)[0], voxels)
    path.write_bytes(gzip.compress(content[:-1] + b"x"))
    with pytest.raises(DamagedEntryError):
        read_volume(path)


def test_a_missing_entry_is_missing_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_volume(tmp_path / "ab" / "abc.nii.gz")


def test_grid_of_an_entry_is_that_of_its_volume(tmp_path):
    affine = np.array([[-0.7, 0, 0, 10.25], [0, 0.7, 0.3, -3], [0, -0.2, 3, 7], [0, 0, 0, 1]])  # sheared: no qform
    _, file = store_volume(np.zeros((5, 4, 3), np.int16), affine, tmp_path)
    shape, read = read_grid(tmp_path / file)
    assert shape == (5, 4, 3)
    np.testing.assert_array_equal(read, read_volume(tmp_path / file)[1])


@pytest.mark.parametrize("content", [b"", b"no gzip file", gzip.compress(b"short")])
def test_grid_of_a_cut_entry_is_refused(tmp_path, content):
    (tmp_path / "x.nii.gz").write_bytes(content)
    with pytest.raises(DamagedEntryError):
        read_grid(tmp_path / "x.nii.gz")
