from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.factories import write_dicom

from refrad.dataset.image_codec import window_image
from refrad.dicom.windows import MEDGEMMA_WINDOWS as WINDOWS
from refrad.inference.load_image import load_image

HU = np.linspace(-1000, 1000, 24 * 32).reshape(24, 32).round().astype(np.int16)


def test_ct_slice_is_windowed_as_in_the_shards(tmp_path):
    path = write_dicom(tmp_path / "a.dcm", (HU + 1024).astype(np.uint16), RescaleSlope=1, RescaleIntercept=-1024)
    opened = load_image(path, WINDOWS)
    assert np.array_equal(opened.channels, window_image(HU, "CT", WINDOWS, None))
    assert opened.modality == "CT" and opened.note == "CT, 32 x 24 px"


def test_dicom_file_needs_no_suffix(tmp_path):
    path = write_dicom(tmp_path / "IM0001", HU, Modality="MR")
    assert np.array_equal(load_image(path, WINDOWS).channels, window_image(HU, "MR", WINDOWS, None))


def test_windows_equal_hand_computed_values(tmp_path):
    values = np.array([[-135, 40, 215, 0]], np.int16)  # the window 350/40 runs from -135 to 215
    path = write_dicom(tmp_path / "a.dcm", values, RescaleIntercept=0, RescaleSlope=1)
    assert load_image(path, WINDOWS).channels[1].tolist() == [[0, 128, 255, 98]]
    assert load_image(path, WINDOWS).channels[2].tolist() == [[0, 128, 255, 0]]  # 80/40: 0 to 80


VOLUME = np.random.default_rng(0).integers(-1000, 1000, (8, 6, 5)).astype(np.int16)
LPS = np.diag([-2.0, -3.0, 4.0, 1.0])  # DICOM's way: columns to the left, rows to the back


def save(path, values, affine):
    nib.save(nib.Nifti1Image(values, affine), path)
    return path


@given(flips=st.tuples(st.booleans(), st.booleans()), swap=st.booleans())
def test_nifti_slice_does_not_depend_on_array_order(tmp_path_factory, flips, swap):
    values, affine = VOLUME, LPS.copy()
    for axis in (0, 1):
        if flips[axis]:
            values = np.flip(values, axis)
            affine[:3, 3] += affine[:3, axis] * (VOLUME.shape[axis] - 1)
            affine[:3, axis] *= -1
    if swap:
        values, affine = values.swapaxes(0, 1), affine[:, [1, 0, 2, 3]]
    path = save(tmp_path_factory.mktemp("n") / "v.nii.gz", values, affine)
    assert np.array_equal(load_image(path, WINDOWS, 3).channels, window_image(VOLUME[:, :, 3].T, "CT", WINDOWS, None))


def test_coronal_slice_has_the_head_on_top(tmp_path):
    affine = np.array([[-1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # axes to L, S, P
    opened = load_image(save(tmp_path / "c.nii", VOLUME, affine), WINDOWS, 2)
    assert "coronal" in opened.note
    assert np.array_equal(opened.channels, window_image(VOLUME[:, ::-1, 2].T, "CT", WINDOWS, None))


def test_nifti_modality_is_given_or_guessed_with_a_note(tmp_path):
    path = save(tmp_path / "v.nii.gz", np.abs(VOLUME), LPS)
    assert load_image(path, WINDOWS).note == "MR by its values, axial, 8 x 6 px, slice 2 of 5"
    assert load_image(path, WINDOWS, modality="CT").note == "CT, axial, 8 x 6 px, slice 2 of 5"


def test_grey_picture_is_scaled_and_colour_picture_is_not(tmp_path):
    Image.fromarray(np.array([[10, 60], [110, 35]], np.uint8)).save(tmp_path / "g.png")
    assert load_image(tmp_path / "g.png", WINDOWS).channels.tolist() == [[[0, 128], [255, 64]]] * 3
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    Image.fromarray(colours).save(tmp_path / "c.png")
    assert np.array_equal(load_image(tmp_path / "c.png", WINDOWS).channels, colours.transpose(2, 0, 1))


def test_unreadable_image_error_gives_the_reason(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        load_image(tmp_path / "x.dcm", WINDOWS)
    for name in ("x.dcm", "x.png", "x.nii.gz"):
        (tmp_path / name).write_bytes(b"nothing")
        with pytest.raises(ValueError, match=f"{name}: (cannot be read as|The file is not DICOM)"):
            load_image(tmp_path / name, WINDOWS)
    (tmp_path / "x.txt").write_text("nothing")
    with pytest.raises(ValueError, match=r"neither DICOM nor .png"):
        load_image(tmp_path / "x.txt", WINDOWS)
    with pytest.raises(ValueError, match="image 9 of 5: the first one is 0, the last one 4"):
        load_image(save(tmp_path / "v.nii", VOLUME, LPS), WINDOWS, 9)
    with pytest.raises(ValueError, match="neither CT nor MR"):
        load_image(write_dicom(tmp_path / "u.dcm", HU, Modality="US"), WINDOWS)
    with pytest.raises(ValueError, match="it must be CT or MR"):
        load_image(tmp_path / "v.nii", WINDOWS, modality="PET")


def test_real_files_are_read_or_refused_with_a_reason(shared):
    opened, said = 0, []
    for folder in ("dicom-ct", "dicom-mr"):
        for path in filter(Path.is_file, sorted((shared / folder).rglob("*"))[::7]):
            try:
                opened += load_image(path, WINDOWS).channels.ndim == 3
            except ValueError as error:
                said.append((path.name, str(error)))
    assert opened > 10
    assert all(error.startswith(f"{name}: ") for name, error in said)
