"""From delivered NIfTI files to canonical volumes, compared voxel by voxel with nibabel and SimpleITK."""

import errno
import io
import os
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import make_volumes, only_volume, write_dicom
from tests.factories.nifti import AXIS_ORDERS, convert_nifti, entry_of, nifti_files, reordered, write_nifti

from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.nifti import convert

PADDING = -8192
AXIAL = np.array([[-0.8, 0, 0, 60], [0, -0.8, 0, 50], [0, 0, 3, -40], [0, 0, 0, 1]])  # as a scanner stores it


def volume_of(folder, result):
    return read_volume(folder / "store" / result.file)


def oracles_at(path, world):
    """The values that nibabel and SimpleITK have at a position in RAS+ mm."""
    image = nib.load(path)
    index = np.rint(np.linalg.inv(image.affine) @ [*world, 1])[:3].astype(int)
    itk = SimpleITK.ReadImage(str(path))
    itk_index = itk.TransformPhysicalPointToIndex([-world[0], -world[1], world[2]])
    return float(image.get_fdata()[tuple(index)]), float(itk.GetPixel(itk_index))


@settings(max_examples=60, deadline=None)
@given(file=nifti_files(), data=st.data())
def test_value_at_a_place_is_that_of_nibabel_and_simpleitk(file, data):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_nifti(folder / "a.nii.gz", *file)
        result = convert_nifti(folder, entry_of())
        volume, canonical = volume_of(folder, result)
        assert sorted(volume.shape) == sorted(file[0].shape) and volume.dtype == np.int16
        for _ in range(5):
            index = [data.draw(st.integers(0, size - 1)) for size in volume.shape]
            expected = oracles_at(path, (canonical @ [*index, 1])[:3])
            assert (float(volume[tuple(index)]),) * 2 == expected
        header = result.header
        assert (header.columns, header.rows, header.slices) == volume.shape
        assert np.allclose(np.array(header.position) * [-1, -1, 1], canonical[:3, 3], atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(file=nifti_files())
def test_columns_rows_and_slices_are_a_right_handed_frame_as_in_dicom(file):
    with tempfile.TemporaryDirectory() as name:
        write_nifti(Path(name, "a.nii"), *file)
        columns, rows, steps = volume_of(Path(name), convert_nifti(Path(name), entry_of("a.nii")))[1][:3, :3].T
    assert np.cross(columns, rows) @ steps > 0  # RAS+ and LPS+ differ by half a turn, which keeps it


def body(shape=(7, 6, 5)):
    """CT values that differ at each voxel, above and below water."""
    return (np.arange(np.prod(shape)).reshape(shape, order="F") * 3 - 300).astype(np.int16)


@pytest.mark.parametrize("order", AXIS_ORDERS)
def test_axial_volume_hangs_as_the_scanner_stores_it_whatever_the_order_of_axes(order, tmp_path):
    values, affine = reordered(body(), AXIAL, order)
    write_nifti(tmp_path / "a.nii.gz", values, affine)
    volume, canonical = volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))
    assert np.array_equal(volume, body()) and np.allclose(canonical, AXIAL, atol=1e-5)


@pytest.mark.parametrize("order", AXIS_ORDERS[::7])
@pytest.mark.parametrize("orientation", [[1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1], [0, 1, 0, 0, 0, -1]])
def test_dicom_series_and_its_nifti_twin_are_one_volume(orientation, order, tmp_path):
    normal = np.cross(orientation[:3], orientation[3:])
    for number in range(5):
        write_dicom(
            tmp_path / "dicom" / f"{number}",
            (body()[:, :, number].T + 1024).astype(np.int16),
            SOPInstanceUID=f"1.2.{number}",
            ImagePositionPatient=(np.array([-60, -50.5, -40]) + 3 * number * normal).tolist(),
            ImageOrientationPatient=orientation,
            PixelSpacing=[0.75, 0.5],
            RescaleIntercept=-1024,
        )
    row = only_volume(make_volumes(tmp_path / "dicom", tmp_path))
    twin = nib.load(tmp_path / "store" / row["file"])
    stored, affine = reordered(np.asarray(twin.dataobj) + 1024, twin.affine, order)
    write_nifti(tmp_path / "a.nii.gz", stored, affine, scale=(1.0, -1024.0))
    result = convert_nifti(tmp_path, entry_of())
    assert (result.digest, result.file) == (row["digest"], row["file"])  # of voxels and affine
    assert result.stack.spacing == (row["spacing_x"], row["spacing_y"], row["spacing_z"]) == (0.5, 0.75, 3.0)
    assert result.stack.plane == row["plane"]


@pytest.mark.parametrize("series", ["siemens_sagittal", "compressed_j2k", "nonisotropic"])
def test_real_dicom_series_and_the_nifti_that_dicom2nifti_made_of_it_are_one_volume(series, shared, tmp_path):
    folder = shared / "dicom-mr"
    made = make_volumes(folder / f"dicom2nifti_{series}", tmp_path)
    volume, affine = read_volume(tmp_path / "store" / only_volume(made)["file"])
    twin = folder / f"dicom2nifti_{series}_ground_truth.nii.gz"
    (tmp_path / "a.nii.gz").write_bytes(twin.read_bytes())
    values, canonical = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality="MR")))
    assert np.array_equal(values, volume) and np.allclose(canonical, affine, atol=1e-3)


def test_thin_slices_of_oblong_pixels_are_across_the_third_axis_of_mr(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body(), np.diag([6.4, 4, 0.5, 1]))
    assert convert_nifti(tmp_path, entry_of(modality="MR")).stack.plane == "axial"


# Directions of columns, rows and slices in RAS+ that a scanner uses: the patient's right, or front, is at the left edge
PLANES = {
    "axial": ([-1, 0, 0], [0, -1, 0], [0, 0, 1]),
    "coronal": ([-1, 0, 0], [0, 0, -1], [0, -1, 0]),
    "sagittal": ([0, -1, 0], [0, 0, -1], [1, 0, 0]),
}


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("order", AXIS_ORDERS[::5])
def test_distinctly_thicker_axis_is_across_the_slices(order, plane, modality, tmp_path):
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(PLANES[plane]) @ np.diag([0.8, 0.9, 4.0])
    write_nifti(tmp_path / "a.nii.gz", *reordered(body(), affine, order))
    result = convert_nifti(tmp_path, entry_of(modality=modality))
    volume, canonical = volume_of(tmp_path, result)
    assert result.stack.plane == plane
    assert np.array_equal(volume, body()) and np.allclose(canonical, affine, atol=1e-5)


def test_first_image_shows_right_at_the_left_edge_and_front_at_the_top(tmp_path):
    # nibabel's world: x to the right, y to the front; the values are 10 x + y
    values = np.array([[[10 * x + y - 300] * 3 for y in range(0, 50, 10)] for x in range(-40, 30, 10)], np.int16)
    affine = np.diag([10.0, 10.0, 10.0, 1])
    affine[0, 3] = -40
    write_nifti(tmp_path / "a.nii.gz", values, affine)
    image = image_at(volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))[0], 0)
    assert image[0, 0] == 10 * 20 + 40 - 300  # the right-most and foremost voxel: x = 20, y = 40
    assert image[0, -1] == 10 * -40 + 40 - 300 and image[-1, 0] == 10 * 20 + 0 - 300


def test_isotropic_mr_is_cut_across_its_third_axis_and_ct_across_the_body(tmp_path):
    values, affine = reordered(body(), np.diag([1.0, 1, 1, 1]), ((2, 1, 0), (False, False, False)))
    write_nifti(tmp_path / "a.nii.gz", values, affine)
    assert convert_nifti(tmp_path, entry_of(modality="CT")).stack.plane == "axial"
    assert convert_nifti(tmp_path, entry_of(modality="MR")).stack.plane == "sagittal"


@pytest.mark.parametrize(("slice_axis", "plane"), [(0, "sagittal"), (1, "coronal"), (2, "axial")])
def test_axis_that_the_header_names_is_across_the_slices(slice_axis, plane, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body(), np.diag([1.0, 1, 4, 1]), slice_axis=slice_axis)
    assert convert_nifti(tmp_path, entry_of()).stack.plane == plane


def test_floor_raises_padding_of_ct_alone(tmp_path):
    values = body()
    values[0] = PADDING
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL)
    for modality, floor, lowest in (("CT", -1024, -1024), ("CT", None, PADDING), ("MR", -1024, PADDING)):
        volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality=modality), floor))
        assert np.array_equal(volume, np.maximum(values, lowest))


def test_scale_of_the_entry_is_applied_instead_of_the_files(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body() // 2 + 512, AXIAL, scale=(7.0, 3.0))
    volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(slope=2.0, intercept=-1024.0)))
    assert np.array_equal(volume, body() // 2 * 2)  # 2 x (v // 2 + 512) - 1024


@pytest.mark.parametrize("scale", [None, (0.0, -500.0), (np.nan, np.nan), (np.inf, 0.0)])
def test_slope_of_zero_or_of_no_number_means_none(scale, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body(), AXIAL, scale=scale)
    assert np.array_equal(volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))[0], body())


def test_fractions_of_ct_are_rounded_to_hu(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body() + np.float32(0.4), AXIAL)
    assert np.array_equal(volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))[0], body())


def test_affine_of_the_entry_is_taken_instead_of_the_files(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", body(), np.eye(4))
    text = " ".join(map(str, AXIAL[:3].ravel()))
    volume, canonical = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(affine=text)))
    assert np.array_equal(volume, body()) and np.allclose(canonical, AXIAL, atol=1e-5)


def test_volume_inside_of_a_zip_file_is_that_of_the_file(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", body(), AXIAL)
    with zipfile.ZipFile(tmp_path / "u.zip", "w") as archive:
        archive.write(path, "u/img/a.nii.gz")
    zipped = convert_nifti(tmp_path, entry_of("u.zip/u/img/a.nii.gz"))
    assert zipped.digest == convert_nifti(tmp_path, entry_of()).digest


@pytest.mark.parametrize(
    ("numbering", "order", "numbers"),
    [
        ("feet", AXIS_ORDERS[0], [1, 2, 3, 4, 5]),
        ("head", AXIS_ORDERS[0], [5, 4, 3, 2, 1]),
        ("head", AXIS_ORDERS[1], [5, 4, 3, 2, 1]),  # the file's slices count the other way round
        ("", AXIS_ORDERS[0], [None] * 5),
    ],
)
def test_image_numbers_count_from_head_or_feet(numbering, order, numbers, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", *reordered(body(), AXIAL, order))
    result = convert_nifti(tmp_path, entry_of(numbering=numbering))
    assert result.instance_numbers == numbers and result.header.instance_number == numbers[0]


@pytest.mark.parametrize(("numbering", "numbers"), [("head", [1, 2, 3, 4, 5]), ("feet", [5, 4, 3, 2, 1])])
def test_image_numbers_of_a_tilted_coronal_volume_count_from_head_or_feet(numbering, numbers, tmp_path):
    # 40 degrees from coronal: the slices count to the back, and with it to the feet
    affine = np.eye(4)
    cosine, sine = np.cos(np.radians(40)), np.sin(np.radians(40))
    affine[:3, :3] = np.transpose([[-1, 0, 0], [0, sine, -cosine], [0, -5 * cosine, -5 * sine]])
    write_nifti(tmp_path / "a.nii.gz", body(), affine)
    result = convert_nifti(tmp_path, entry_of(numbering=numbering))
    assert np.allclose(volume_of(tmp_path, result)[1], affine, atol=1e-5) and result.instance_numbers == numbers


def sheared(column, row, amount):
    affine = AXIAL.copy()
    affine[:3, column] += amount * affine[:3, row]
    return affine


def test_slices_that_are_stacked_at_a_slant_keep_their_sheared_affine(tmp_path):
    affine = sheared(2, 1, 0.5)  # 0.4 mm to the front in 3 mm: 7.6 degrees
    write_nifti(tmp_path / "a.nii.gz", body(), affine)
    result = convert_nifti(tmp_path, entry_of())
    volume, canonical = volume_of(tmp_path, result)
    assert result.treated == ["gantry_tilt"] and result.stack.tilt == pytest.approx(np.degrees(np.arctan(0.4 / 3)))
    assert np.array_equal(volume, body()) and np.allclose(canonical, affine, atol=1e-5)
    assert convert_nifti(tmp_path, entry_of(), sheared=False).reason == "gantry_tilt"


def changed(value, index=(0, 0, 0), dtype=np.float32):
    values = body().astype(dtype)
    values[index] = value
    return values


def noisy(seed, shape, **layers):
    """A body of layers in air, with noise of 20 HU, in all CT numbers."""
    random = np.random.default_rng(seed)
    values = np.full(shape, -1000.0)
    values[3:-3, 3:-3] = layers["lung"]
    values[5:-5, 5:-5] = layers["tissue"]
    values[8:10, 8:10] = layers["bone"]
    return (values + random.normal(0, 20, shape)).astype(np.int16)


def padded(values, padding, blurred=False):
    """Values with a rim of padding; one voxel in 50 of the rim is a mean with tissue if it is blurred by a resampling."""
    values = values.copy()
    values[:3] = padding
    if blurred:
        values[0, ::3, 0] = padding // 2
    return values


CHEST = noisy(1, (24, 24, 6), lung=-850, tissue=40, bone=900)
BAD = {
    "not a number": (changed(np.nan), AXIAL, {}, "not_finite"),
    "infinite": (changed(-np.inf), AXIAL, {}, "not_finite"),
    "one value": (np.full((4, 5, 6), -1000, np.int16), AXIAL, {}, "constant_volume"),
    "one value above the floor": (np.where(body() > 0, -2000, -1024).astype(np.int16), AXIAL, {}, "constant_volume"),
    "no rescale": (CHEST + 1024, AXIAL, {}, "not_hounsfield"),
    "no rescale but padding": (changed(PADDING, 0, np.int16) + 1024, AXIAL, {}, "not_hounsfield"),
    "no rescale but padding of -1024": (padded(CHEST + 1024, -1024), AXIAL, {}, "not_hounsfield"),
    "no rescale but resampled padding": (padded(CHEST + 1024, -1024, blurred=True), AXIAL, {}, "not_hounsfield"),
    "negatives of HU": (-CHEST, AXIAL, {}, "not_hounsfield"),
    "rescaled twice": (CHEST - 1024, AXIAL, {}, "not_hounsfield"),
    "grey values of 8 bits": (np.abs(body() % 256).astype(np.uint8), AXIAL, {}, "not_hounsfield"),
    "columns at a slant to rows": (body(), sheared(1, 0, 0.1), {}, "sheared_in_plane"),
    "a stack at a steep slant": (body(), sheared(2, 1, 5), {}, "gantry_tilt"),
    "voxels of impossible size": (body(), np.diag([1000, 1000, 1000, 1]) @ AXIAL, {}, "no_geometry"),
    "an affine without volume": (body(), AXIAL, {"affine": "1 0 0 0 1 0 0 0 0 0 1 0"}, "no_geometry"),
    "an affine of words": (body(), AXIAL, {"affine": "one two"}, "no_geometry"),
    "an intercept of no number": (body(), AXIAL, {"slope": 1.0, "intercept": np.inf}, "no_rescale"),
    "one slice": (body()[:, :, :1], AXIAL, {}, "too_few_slices"),
    "no modality": (body(), AXIAL, {"modality": ""}, "no_modality"),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_volume_has_its_true_reason(name, tmp_path):
    values, affine, fields, reason = BAD[name]
    write_nifti(tmp_path / "a.nii.gz", values, affine)
    result = convert_nifti(tmp_path, entry_of(**fields))
    assert result.reason == reason and not (tmp_path / "store").exists()


def test_file_for_which_the_storage_fails_is_named_for_the_private_list(tmp_path, monkeypatch):
    write_nifti(tmp_path / "a.nii.gz", body(), AXIAL)

    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO), "name of a patient")

    monkeypatch.setattr(Path, "open", fail)
    result = convert_nifti(tmp_path, entry_of())
    assert (result.reason, result.unread) == ("storage_error", "a.nii.gz")


def test_ct_with_padding_of_several_values_is_in_hu(tmp_path):
    values = CHEST.copy()
    values[:2], values[2, :, :2] = -2000, -1999  # a rim, and its neighbours after a resampling
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL)
    assert np.array_equal(volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))[0], np.maximum(values, -1024))


def test_ct_whose_air_is_cut_to_one_value_is_in_hu(tmp_path):
    values = np.where(CHEST < -950, -1024, CHEST).astype(np.int16)
    values[8:14, 8:14] = 1200  # dense bone, and much of it
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL)
    assert np.array_equal(volume_of(tmp_path, convert_nifti(tmp_path, entry_of()))[0], values)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_negative_slope_of_mr_turns_dark_and_bright(dtype, tmp_path):
    values = np.abs(body() % 250).astype(dtype)
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL, scale=(-1.0, np.nan))
    volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality="MR")))
    assert np.array_equal(volume, -values.astype(int))


@pytest.mark.parametrize("values", [body() / np.float32(7), body().astype(np.int32) * 1000])
def test_negative_slope_of_mr_turns_dark_and_bright_on_one_scale(values, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL, scale=(-2.0, 5.0))
    volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality="MR")))
    low, high = float(values.min()), float(values.max())
    assert np.abs(volume - (high - values) / (high - low) * 32767).max() <= 0.51


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8, np.uint16, np.int32])
def test_whole_numbers_of_mr_stay_as_they_are_stored(dtype, tmp_path):
    values = np.abs(body() % 250).astype(dtype)
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL, scale=(0.25, 3.0))
    volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality="MR")))
    assert np.array_equal(volume, values)


@pytest.mark.parametrize("values", [body() / np.float32(7), body().astype(np.int32) * 1000])
def test_fractions_and_large_numbers_of_mr_are_mapped_to_one_scale(values, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", values, AXIAL)
    volume, _ = volume_of(tmp_path, convert_nifti(tmp_path, entry_of(modality="MR")))
    low, high = float(values.min()), float(values.max())
    assert np.abs(volume - (values - low) / (high - low) * 32767).max() <= 0.51


class _CountedFile(io.FileIO):
    """A file that counts the bytes that are read from it."""

    def __init__(self, path):
        super().__init__(path)
        self.count = 0

    def readinto(self, buffer):
        count = super().readinto(buffer)
        self.count += count
        return count


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_file_is_opened_once_and_each_byte_of_it_is_read_once(name, tmp_path, monkeypatch):
    """Noise, which compresses badly, so that the file has many more bytes than a reader holds ahead."""
    noise = np.random.default_rng(0).integers(-1000, 1000, (128, 128, 40), np.int16)
    path = write_nifti(tmp_path / name, noise, AXIAL)
    opened = []

    @contextmanager
    def counting(folder, entry_path):
        raw = _CountedFile(folder / entry_path)
        opened.append(raw)
        with io.BufferedReader(raw) as file:
            yield file

    monkeypatch.setattr(convert, "open_volume_file", counting)
    assert convert_nifti(tmp_path, entry_of(name)).digest
    assert [raw.count for raw in opened] == [path.stat().st_size]
