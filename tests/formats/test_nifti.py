"""Reading of NIfTI files, plain, compressed and inside of .zip files."""

import gzip
import io
import struct
import unicodedata
import zipfile

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.formats.nifti import (
    SURPLUS,
    NiftiError,
    affine_of,
    open_volume_file,
    read_content,
    read_header,
    shape_of,
    stored_values,
)

VALUES = np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)
AFFINE = np.array([[-2.0, 0, 0, 11], [0, -3, 0, 12], [0, 0, 5, -13], [0, 0, 0, 1]])


def content_of(values=VALUES, affine=AFFINE, kind=nib.Nifti1Image):
    return kind(values, affine, dtype=values.dtype).to_bytes()


def read(folder, path):
    with open_volume_file(folder, path) as file:
        header = read_header(file)
    with open_volume_file(folder, path) as file:
        content = read_content(file)
    return stored_values(header, content), affine_of(header)


def fault_of(folder, path):
    with pytest.raises(NiftiError) as caught:
        read(folder, path)
    return caught.value.fault


def zipped(path, name, content, compression=zipfile.ZIP_DEFLATED):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "a", compression) as archive:
        archive.writestr(name, content)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("dtype", ["<i2", "<f4", "<u1", "<i8"])
def test_file_has_its_stored_values_and_its_affine(kind, pack, dtype, tmp_path):
    (tmp_path / "a.nii.gz").write_bytes(pack(content_of(VALUES.astype(dtype), kind=kind)))
    values, affine = read(tmp_path, "a.nii.gz")
    assert values.dtype == dtype and np.array_equal(values, VALUES) and np.array_equal(affine, AFFINE)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
def test_file_of_the_other_byte_order_is_read(kind, tmp_path):
    header = kind(VALUES, AFFINE).header.as_byteswapped(">")
    header["vox_offset"] = header.single_vox_offset
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(4) + VALUES.astype(">i2").tobytes("F"))
    values, affine = read(tmp_path, "a.nii")
    assert values.dtype == ">i2" and np.array_equal(values, VALUES) and np.array_equal(affine, AFFINE)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_member_of_a_zip_file_is_read_as_if_the_zip_was_a_folder(compression, pack, tmp_path):
    zipped(tmp_path / "batch00" / "u.zip", "u/img/a.nii.gz", pack(content_of()), compression)
    zipped(tmp_path / "batch00" / "u.zip", "u/img/b.nii.gz", pack(content_of(VALUES + 1)), compression)
    assert np.array_equal(read(tmp_path, "batch00/u.zip/u/img/a.nii.gz")[0], VALUES)
    assert np.array_equal(read(tmp_path, "batch00/u.zip/u/img/b.nii.gz")[0], VALUES + 1)


def test_zip_file_that_was_replaced_is_read_anew(tmp_path):
    for values in (VALUES, VALUES[:3]):
        (tmp_path / "u.zip").unlink(missing_ok=True)
        zipped(tmp_path / "u.zip", "a.nii", content_of(values))
        assert np.array_equal(read(tmp_path, "u.zip/a.nii")[0], values)


def test_folder_whose_name_ends_like_a_zip_file_is_a_folder(tmp_path):
    (tmp_path / "u.zip").mkdir()
    (tmp_path / "u.zip" / "a.nii").write_bytes(content_of())
    assert np.array_equal(read(tmp_path, "u.zip/a.nii")[0], VALUES)


def test_absent_file_and_absent_member_are_not_found(tmp_path):
    zipped(tmp_path / "u.zip", "a.nii", content_of())
    for path in ("b.nii", "u.zip/b.nii", "v.zip/a.nii"):
        with pytest.raises(FileNotFoundError):
            read(tmp_path, path)


@pytest.mark.parametrize(("stored", "listed"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("path", ["Müller/Bär.nii", "Müller.zip/Bär/a.nii"])
def test_letters_of_names_are_found_in_both_forms_of_accents(path, stored, listed, tmp_path):
    file = tmp_path / unicodedata.normalize(stored, path)
    if ".zip" in path:
        zipped(file.parents[1], unicodedata.normalize(stored, "Bär/a.nii"), content_of())
    else:
        file.parent.mkdir()
        file.write_bytes(content_of())
    assert np.array_equal(read(tmp_path, unicodedata.normalize(listed, path))[0], VALUES)


@pytest.mark.parametrize("path", ["../a.nii", "b/../../a.nii", "/etc/hostname", "u.zip/../../a.nii"])
def test_path_that_leaves_the_folder_is_refused(path, tmp_path):
    (tmp_path / "delivery").mkdir()
    (tmp_path / "a.nii").write_bytes(content_of())
    assert fault_of(tmp_path / "delivery", path) == "unreadable"


def flipped(content, offset):
    content = bytearray(content)
    content[offset] ^= 8
    return bytes(content)


def test_damaged_member_of_a_zip_file_is_unreadable(tmp_path):
    zipped(tmp_path / "u.zip", "a.nii", content_of(), zipfile.ZIP_STORED)
    (tmp_path / "u.zip").write_bytes(flipped((tmp_path / "u.zip").read_bytes(), 500))  # a voxel
    assert fault_of(tmp_path, "u.zip/a.nii") == "unreadable"
    (tmp_path / "v.zip").write_bytes(b"no archive")
    assert fault_of(tmp_path, "v.zip/a.nii") == "unreadable"


def test_encrypted_member_is_unreadable(tmp_path):
    zipped(tmp_path / "u.zip", "a.nii", content_of(), zipfile.ZIP_STORED)
    content = bytearray((tmp_path / "u.zip").read_bytes())
    for sign, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):  # the flags of the member, and those in the directory
        content[content.index(sign) + offset] |= 1
    (tmp_path / "u.zip").write_bytes(bytes(content))
    assert fault_of(tmp_path, "u.zip/a.nii") == "unreadable"


class Counted(io.BytesIO):
    """A file that counts the bytes that are read from it."""

    count = 0

    def read(self, size=-1):
        part = super().read(size)
        self.count += len(part)
        return part


def test_header_is_read_from_the_first_bytes():
    values = np.random.default_rng(1).integers(0, 99, (64, 64, 64), np.int16)
    file = Counted(gzip.compress(content_of(values)))
    assert shape_of(read_header(file)) == (64, 64, 64) and file.count == 4096


def test_header_behind_a_long_name_in_the_gzip_header_is_read():
    packed = io.BytesIO()
    with gzip.GzipFile("n" * 9000 + ".gz", "wb", fileobj=packed) as file:
        file.write(content_of())
    assert shape_of(read_header(io.BytesIO(packed.getvalue()))) == (4, 5, 6)


@pytest.mark.parametrize("length", [0, 100, 352, 600])
def test_file_of_several_gzip_streams_in_a_row_is_read(length, tmp_path):
    content = content_of()
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(content[:length]) + gzip.compress(content[length:]))
    values, affine = read(tmp_path, "a.nii.gz")
    assert np.array_equal(values, VALUES) and np.array_equal(affine, AFFINE)


def with_units(code):
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.set_xyzt_units(code)
    image.header.set_qform(AFFINE, 1)
    return image


@pytest.mark.parametrize(("unit", "scale"), [("meter", 1000.0), ("mm", 1.0), ("micron", 0.001), ("unknown", 1.0)])
def test_lengths_are_mm_whatever_the_unit_as_in_itk(unit, scale, tmp_path):
    nib.save(with_units(unit), tmp_path / "a.nii")
    _, affine = read(tmp_path, "a.nii")
    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii"))
    assert np.allclose(affine[:3], AFFINE[:3] * scale, rtol=1e-6)
    assert np.allclose(
        itk.TransformIndexToPhysicalPoint((3, 4, 5)), (affine @ [3, 4, 5, 1])[:3] * [-1, -1, 1], rtol=1e-6
    )


def changed(offset, form, *numbers):
    content = bytearray(content_of())
    struct.pack_into(form, content, offset, *numbers)
    return bytes(content)


BAD = {
    "empty": (b"", "unreadable"),
    "text": (b"no image" * 99, "not_nifti"),
    "cut header": (content_of()[:347], "unreadable"),
    "cut voxels": (content_of()[:-1], "unreadable"),
    "cut gzip": (gzip.compress(content_of())[:-9], "unreadable"),
    "wrong checksum": (flipped(gzip.compress(content_of()), -6), "unreadable"),
    "surplus": (content_of() + bytes(SURPLUS + 1), "unreadable"),
    "half of a pair": (content_of().replace(b"n+1", b"ni1"), "unreadable"),
    "Analyze": (content_of().replace(b"n+1\0", bytes(4)), "not_nifti"),
    "type of voxels that nobody knows": (changed(70, "<h", 999), "unreadable"),
    "negative size": (changed(40, "<4h", 3, 4, -5, 6), "unreadable"),
    "voxels inside of the header": (changed(108, "<f", 100), "unreadable"),
    "voxels nowhere": (changed(108, "<f", np.nan), "unreadable"),
    "voxels far away": (changed(108, "<f", 1e30), "unreadable"),
    "no slices": (changed(40, "<4h", 3, 4, 5, 0), "empty"),
    "two axes": (changed(40, "<4h", 2, 4, 30, 1), "not_3d"),
    "a time axis": (changed(40, "<5h", 4, 4, 5, 3, 2), "not_3d"),
    "no affine": (changed(252, "<2h", 0, 0), "no_geometry"),
    "affine without volume": (content_of(affine=np.diag([1.0, 1, 1e-9, 1])), "no_geometry"),
    "affine of no numbers": (changed(280, "<f", np.nan), "no_geometry"),
    "colours": (content_of(np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])), "no_numbers"),
    "complex numbers": (content_of(VALUES.astype(np.complex64)), "no_numbers"),
}


@pytest.mark.parametrize("name", BAD)
def test_file_that_is_no_usable_image_has_its_true_fault(name, tmp_path):
    content, fault = BAD[name]
    (tmp_path / "a.nii").write_bytes(content)
    assert fault_of(tmp_path, "a.nii") == fault


def two_forms(mm):
    image = nib.Nifti1Image(VALUES, AFFINE)
    moved = AFFINE.copy()
    moved[0, 3] += mm
    image.header.set_qform(moved, 1)
    return image.to_bytes()


def test_forms_that_place_a_voxel_differently_are_refused(tmp_path):
    (tmp_path / "a.nii").write_bytes(two_forms(0.7))  # mm, of voxels of 2 mm: below 0.4 voxels
    assert np.array_equal(read(tmp_path, "a.nii")[1], AFFINE)
    (tmp_path / "a.nii").write_bytes(two_forms(0.9))
    assert fault_of(tmp_path, "a.nii") == "affines_differ"


def qform_alone(values, affine):
    image = nib.Nifti1Image(values, affine)
    image.header.set_sform(affine, 0)
    image.header.set_qform(affine, 1)
    return bytearray(image.to_bytes())


@pytest.mark.parametrize("sign", [-1.0, 0.0, 1.0, 2.0, np.nan])
def test_first_pixdim_of_a_qform_means_one_unless_it_is_minus_one_as_in_nibabel_and_itk(sign, tmp_path):
    content = qform_alone(VALUES, AFFINE * [1, 1, -1, 1] if sign == -1 else AFFINE)
    struct.pack_into("<f", content, 76, sign)
    (tmp_path / "a.nii").write_bytes(content)
    _, affine = read(tmp_path, "a.nii")
    assert np.allclose(affine, nib.load(tmp_path / "a.nii").affine, atol=1e-5)
    itk = SimpleITK.ReadImage(str(tmp_path / "a.nii"))
    for index in ((0, 0, 0), (3, 4, 5)):
        place = (affine @ [*index, 1])[:3] * [-1, -1, 1]
        assert np.allclose(itk.TransformIndexToPhysicalPoint(index), place, atol=1e-4)


def test_quaternion_that_rounding_made_too_long_is_read(tmp_path):
    half_turn = np.array([[-2.0, 0, 0, 11], [0, 3, 0, 12], [0, 0, -5, -13], [0, 0, 0, 1]])  # about y: b = d = 0, c = 1
    content = qform_alone(VALUES, half_turn)
    struct.pack_into("<3f", content, 256, 0.0, 1.001, 0.0)  # nibabel refuses it
    (tmp_path / "a.nii").write_bytes(content)
    assert np.allclose(read(tmp_path, "a.nii")[1], half_turn, atol=1e-5)


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), angle=st.sampled_from([0, 1e-4, 1e-3, 0.5]) | st.floats(0, 3.2))
def test_qform_alone_is_that_of_nibabel_also_at_half_a_turn(kind, seed, angle):
    axis = Rotation.random(random_state=seed).as_rotvec()
    rotation = Rotation.from_rotvec(axis / np.linalg.norm(axis) * (np.pi - angle)).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = rotation @ np.diag([0.7, 0.7, -3.0 if seed % 2 else 3.0])
    image = kind(VALUES, affine)
    image.header.set_qform(affine, 1)
    image.header.set_sform(affine, 0)
    # of 64 bits, which nibabel refuses at times as it wrote it, the quaternion is exact
    expected = image.header.get_qform() if kind is nib.Nifti1Image else affine
    for index in ((0, 0, 0), (511, 511, 99)):
        assert np.allclose((affine_of(image.header) @ [*index, 1]), expected @ [*index, 1], atol=1e-3)


@pytest.mark.parametrize(
    ("offset", "number"), [(76, -3.0), (80, 0.0), (84, -3.0), (256, np.nan), (260, 2.0), (268, np.inf)]
)
def test_qform_of_impossible_numbers_does_not_count(offset, number, tmp_path):
    for code, reads in ((1, True), (0, False)):
        content = bytearray(with_units("mm").to_bytes())
        struct.pack_into("<h", content, 254, code)  # of the sform
        struct.pack_into("<f", content, offset, number)
        (tmp_path / "a.nii").write_bytes(content)
        if reads:
            assert np.array_equal(read(tmp_path, "a.nii")[1], AFFINE)
        else:
            assert fault_of(tmp_path, "a.nii") == "no_geometry"


@pytest.mark.parametrize(("third", "first"), [(5.0, -1.0), (-5.0, 0.0)])
def test_sform_and_a_qform_that_mirrors_it_by_the_first_pixdim_are_refused(third, first, tmp_path):
    image = nib.Nifti1Image(VALUES, np.diag([-2.0, -3, third, 1]))
    image.header.set_qform(image.affine, 1)
    content = bytearray(image.to_bytes())
    struct.pack_into("<f", content, 76, first)
    (tmp_path / "a.nii").write_bytes(content)
    assert fault_of(tmp_path, "a.nii") == "affines_differ"


def test_sform_that_was_left_as_the_voxel_sizes_were_set_is_refused(tmp_path):
    image = nib.Nifti1Image(VALUES, np.eye(4))
    image.header.set_zooms((0.7, 0.7, 3.0))
    nib.save(image, tmp_path / "a.nii")
    assert np.array_equal(nib.load(tmp_path / "a.nii").affine, np.eye(4))  # the two oracles contradict each other
    assert np.allclose(SimpleITK.ReadImage(str(tmp_path / "a.nii")).GetSpacing(), (0.7, 0.7, 3.0))
    assert fault_of(tmp_path, "a.nii") == "affines_differ"


@pytest.mark.parametrize("sizes", [(0.0, 0.0, 0.0), (np.nan, 3.0, 5.0), (-2.0, 3.0, 5.0), (2.01, 2.99, 5.02)])
def test_voxel_sizes_that_are_none_or_rounded_contradict_no_sform(sizes, tmp_path):
    (tmp_path / "a.nii").write_bytes(changed(80, "<3f", *sizes))
    assert np.array_equal(read(tmp_path, "a.nii")[1], AFFINE)


def test_sform_of_a_tilted_stack_does_not_contradict_the_distance_between_slices(tmp_path):
    tilted = AFFINE.copy()
    tilted[1, 2] = 5 * np.tan(np.radians(30))
    content = bytearray(content_of(affine=tilted))
    struct.pack_into("<3f", content, 80, 2.0, 3.0, 5.0)  # across the slices
    (tmp_path / "a.nii").write_bytes(content)
    assert np.allclose(read(tmp_path, "a.nii")[1], tilted, atol=1e-5)
