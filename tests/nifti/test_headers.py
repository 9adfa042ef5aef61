"""Headers of delivered NIfTI files, from their first bytes."""

import errno
import gzip
import os
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from tests.factories.nifti import entry_of, write_nifti

from refrad.dicom.reasons import REASONS
from refrad.nifti.headers import header_of_entry

VALUES = np.zeros((7, 6, 5), np.int16)
AFFINE = np.array([[-0.8, 0, 0, 60], [0, -0.9, 0, 50], [0, 0, 3, -40], [0, 0, 0, 1]])


def test_header_has_keys_size_and_place_of_the_canonical_volume(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    header = header_of_entry(tmp_path, entry_of(split="test", series_number=4, numbering="head"))
    assert header.reason is None and header.modality == "CT" and header.split == "test"
    assert (header.patient_id, header.study_uid, header.series_uid) == ("P", "S", "1")
    assert (header.columns, header.rows, header.slices) == (7, 6, 5)
    assert (header.series_number, header.instance_number) == (4, 5)  # five slices, of which the last is at the head
    assert np.allclose(header.spacing, (0.9, 0.8)) and np.allclose(header.position, (-60, -50, -40))
    assert np.allclose(header.orientation, (1, 0, 0, 0, 1, 0))  # columns count to the left, rows to the back


def test_header_has_the_metadata_of_the_entry(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    metadata = {"study_date": "20240229", "sex": "F", "age": "063Y", "body_part": "CHEST", "contrast": "no"}
    header = header_of_entry(tmp_path, entry_of(**metadata, manufacturer="M", accession_number="A"))
    assert {name: getattr(header, name) for name in metadata} == metadata
    assert (header.manufacturer, header.accession_number, header.frame_of_reference) == ("M", "A", "")


def test_keys_of_two_patients_or_studies_are_never_one(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    keys = [("P", "1", "1"), ("Q", "1", "1"), ("P", "2", "1"), ("P", "1", "2")]
    headers = [
        header_of_entry(tmp_path, entry_of(patient=patient, study=study, series=series, frame_of_reference="F"))
        for patient, study, series in keys
    ]
    assert [len({getattr(h, name) for h in headers}) for name in ("patient_key", "study_key", "series_key")] == [
        2,
        3,
        4,
    ]
    assert len({h.instance_key for h in headers}) == 4 and len({h.frame_of_reference for h in headers}) == 2
    assert {h.unified_series_key for h in headers} == {""}  # no study is scattered because series are called alike


def test_keys_with_separators_are_never_those_of_another_patient(tmp_path):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    headers = [header_of_entry(tmp_path, entry_of(patient=p, study=s)) for p, s in [("a|b", "c"), ("a", "b|c")]]
    assert headers[0].study_key != headers[1].study_key and headers[0].instance_key != headers[1].instance_key


def test_header_is_read_although_the_voxels_are_damaged_or_missing(tmp_path):
    content = write_nifti(tmp_path / "b.nii.gz", np.random.default_rng(1).integers(0, 999, (40, 40, 40)), AFFINE)
    (tmp_path / "a.nii.gz").write_bytes(content.read_bytes()[:5000])
    assert header_of_entry(tmp_path, entry_of()).slices == 40


def test_header_of_a_member_of_a_zip_file_is_read_in_place(tmp_path):
    path = write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    with zipfile.ZipFile(tmp_path / "u.zip", "w") as archive:
        archive.write(path, "u/img/a.nii.gz")
    path.unlink()
    assert header_of_entry(tmp_path, entry_of("u.zip/u/img/a.nii.gz")).slices == 5
    assert header_of_entry(tmp_path, entry_of("u.zip/u/img/b.nii.gz")).reason == "missing_file"
    assert not list(tmp_path.glob("*.nii.gz"))


def saved(path, values, affine=AFFINE):
    nib.save(nib.Nifti1Image(values, affine), path)


def two_affines(path):
    image = nib.Nifti1Image(VALUES, AFFINE)
    image.header.set_qform(np.diag([0.8, -0.9, 3, 1]), 1)
    nib.save(image, path)


COLOURS = np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")])
BAD = {
    "no file": (Path.exists, "missing_file"),
    "a folder": (lambda path: path.mkdir(), "unreadable"),
    "a pipe": (os.mkfifo, "unreadable"),
    "an empty file": (lambda path: path.write_bytes(b""), "unreadable"),
    "text": (lambda path: path.write_bytes(b"no image " * 99), "not_nifti"),
    "compressed text": (lambda path: path.write_bytes(gzip.compress(b"no image " * 99)), "not_nifti"),
    "a series in time": (lambda path: saved(path, np.zeros((4, 5, 6, 2))), "not_3d"),
    "one plane": (lambda path: saved(path, np.zeros((4, 5))), "not_3d"),
    "no slices": (lambda path: saved(path, np.zeros((4, 5, 0))), "no_pixels"),
    "colours": (lambda path: saved(path, COLOURS), "no_grey_values"),
    "complex numbers": (lambda path: saved(path, np.zeros((4, 5, 6), np.complex64)), "no_grey_values"),
    "no affine": (lambda path: saved(path, VALUES, None), "no_geometry"),
    "a flat affine": (lambda path: saved(path, VALUES, np.diag([1.0, 1, 1e-9, 1])), "no_geometry"),
    "two affines": (two_affines, "affines_differ"),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_file_has_its_true_reason(name, tmp_path):
    make, reason = BAD[name]
    make(tmp_path / "a.nii.gz")
    header = header_of_entry(tmp_path, entry_of())
    assert header.reason == reason and reason in REASONS and header.modality == "CT" and header.slices == 1


def test_axes_of_one_element_behind_the_third_do_not_count(tmp_path):
    saved(tmp_path / "a.nii.gz", VALUES[..., None, None])
    assert header_of_entry(tmp_path, entry_of()).slices == 5


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"modality": ""}, "no_modality"),
        ({"modality": "PT"}, "not_ct_or_mr"),
        ({"patient": ""}, "no_key"),
        ({"study": ""}, "no_key"),
        ({"series": ""}, "no_key"),
        ({"problem": "listed_twice"}, "listed_twice"),
    ],
)
def test_file_without_modality_or_keys_has_its_reason_and_no_owner_by_chance(fields, reason, tmp_path):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)
    header = header_of_entry(tmp_path, entry_of(**fields))
    assert header.reason == reason
    assert not (reason == "no_key" and header.modality)  # without a modality the index looks for no patient


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EIO, "storage_error"),
        (errno.ESTALE, "storage_error"),
        (errno.ENOENT, "missing_file"),
        (errno.ENOTDIR, "missing_file"),
        (errno.ENAMETOOLONG, "missing_file"),
        (errno.EACCES, "unreadable"),
    ],
)
def test_failing_storage_is_told_from_a_file_at_fault(number, reason, tmp_path, monkeypatch):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)

    def fail(*_, **__):
        raise OSError(number, os.strerror(number), "name of a patient")

    monkeypatch.setattr(Path, "open", fail)
    assert header_of_entry(tmp_path, entry_of()).reason == reason


def test_fault_of_the_machine_ends_the_run_and_names_no_file(tmp_path, monkeypatch):
    write_nifti(tmp_path / "a.nii.gz", VALUES, AFFINE)

    def fail(*_, **__):
        raise OSError(errno.ENFILE, os.strerror(errno.ENFILE), "name of a patient")

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(OSError, match="a file or folder of the delivery") as error:
        header_of_entry(tmp_path, entry_of())
    assert error.value.errno == errno.ENFILE and "patient" not in str(error.value)
