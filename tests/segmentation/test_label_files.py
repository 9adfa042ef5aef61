"""Label volumes of a site: many labels in a file, or a folder with one file for each class."""

import errno
import gzip
import os
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK

from refrad.formats.nifti import SURPLUS
from refrad.segmentation.base import UnsegmentableError
from refrad.segmentation.label_files import OUTSIDE, SHARED, UNKNOWN_FILES, files_of_mask, read_labels

IDS = {"spleen": 1, "kidney_right": 2, "kidney_left": 3, "liver": 5}
AFFINE = np.diag([-2.0, -2.0, 5.0, 1.0])
LABELS = np.zeros((8, 7, 6), np.uint8)
LABELS[1:5, 1:5, 1:4] = 5
LABELS[6, 2:4, 1:3] = 2


def save(path, values=LABELS, affine=AFFINE, kind=nib.Nifti1Image, dtype=None):
    nib.save(kind(values, affine, dtype=dtype), path)
    return path


def reason_of(path):
    with pytest.raises(UnsegmentableError) as caught:
        read_labels(path, IDS)
    assert (caught.value.__cause__ is None and caught.value.__suppress_context__) or caught.value.__context__ is None
    return str(caught.value)


def scaled(path):
    image = nib.Nifti1Image((LABELS * 10).astype(np.int16), AFFINE)
    image.header.set_slope_inter(0.1, 0)
    data = bytearray(image.to_bytes())
    data[112:120] = struct.pack("<2f", 0.1, 0.0)
    path.write_bytes(bytes(data))
    return path


def with_forms(path, sform, qform, codes=(1, 1)):
    image = nib.Nifti1Image(LABELS, None)
    image.header.set_sform(sform, codes[0])
    image.header.set_qform(qform, codes[1])
    nib.save(image, path)
    return path


def moved(mm):
    affine = AFFINE.copy()
    affine[0, 3] += mm
    return affine


GOOD = {
    "floats that are nearly whole": lambda f: save(f / "a.nii", LABELS * 0.9999),
    "bytes behind the voxels": lambda f: damaged(
        f / "a.nii.gz", lambda content: gzip.compress(content + bytes(SURPLUS))
    ),
    "several parts of gzip": lambda f: damaged(
        f / "a.nii.gz", lambda content: gzip.compress(content[:500]) + gzip.compress(content[500:])
    ),
    "affines that are nearly one": lambda f: with_forms(f / "a.nii", AFFINE, moved(0.5)),
    "gzip": lambda f: save(f / "a.nii.gz"),
    "uncompressed": lambda f: save(f / "a.nii"),
    "NIfTI 2": lambda f: save(f / "a.nii.gz", kind=nib.Nifti2Image),
    "other byte order": lambda f: save(f / "a.nii", LABELS.astype(">i4"), dtype=">i4"),
    "floats that are whole": lambda f: save(f / "a.nii", LABELS.astype(np.float64)),
    "scale factor": lambda f: scaled(f / "a.nii"),
    "64 bits": lambda f: save(f / "a.nii", LABELS.astype(np.int64), dtype=np.int64),
    "fourth axis of one": lambda f: save(f / "a.nii", LABELS[..., None, None]),
    "two files": lambda f: save(f / "a.hdr", kind=nib.Nifti1Pair),
    "compressed without the ending": lambda f: save(f / "a.nii.gz").rename(f / "a.nii"),
    "uncompressed with the ending": lambda f: save(f / "a.nii").rename(f / "a.nii.gz"),
    "no ending": lambda f: save(f / "a.nii.gz").rename(f / "a"),
    "qform alone": lambda f: with_forms(f / "a.nii", None, AFFINE, (0, 1)),
    "both forms": lambda f: with_forms(f / "a.nii", AFFINE, AFFINE),
}


@pytest.mark.parametrize("name", GOOD)
def test_readable_label_file_has_its_labels(name, tmp_path):
    labels, affine, notes = read_labels(GOOD[name](tmp_path), IDS)
    assert labels.dtype == np.uint8 and np.array_equal(labels, LABELS)
    assert np.allclose(affine, AFFINE) and not any(notes.values())


def written(path, content):
    path.write_bytes(content)
    return path


def damaged(path, change):
    content = bytearray(gzip.decompress(save(path).read_bytes()))
    return written(path, change(content))


def truncated_voxels(content):
    return gzip.compress(content[:-100])


def claimed(shape, datatype=2, bits=8):
    def change(content):
        content[40:56] = struct.pack("<8h", len(shape), *shape, *[1] * (7 - len(shape)))
        content[70:74] = struct.pack("<2h", datatype, bits)
        return gzip.compress(bytes(content))

    return change


def flipped_bit(content):
    packed = bytearray(gzip.compress(content))
    packed[-6] ^= 4  # of the checksum
    return bytes(packed)


def bomb(content):
    return gzip.compress(content + bytes(SURPLUS + 1), 1)


def other_format(folder, name):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(LABELS), str(folder / name))
    return folder / name


def grey(folder, highest):
    r = np.random.default_rng(1)
    return save(folder / "a.nii.gz", (LABELS > 0) * r.integers(1, highest + 1, LABELS.shape).astype(np.uint8))


def freesurfer(path):
    nib.save(nib.MGHImage(LABELS, AFFINE), path)
    return path


def colours(path):
    values = np.zeros((4, 4, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    return save(path, values)


SLANTED = AFFINE.copy()
SLANTED[0, 3] = 40
FLAT = np.diag([2.0, 2.0, 0.0, 1.0])
BAD = {
    "text": (lambda f: written(f / "a.nii.gz", b"no image" * 99), "mask_not_nifti"),
    "short text": (lambda f: written(f / "a.nii.gz", b"no image"), "mask_not_nifti"),
    "compressed text": (lambda f: written(f / "a.nii.gz", gzip.compress(b"no image" * 99)), "mask_not_nifti"),
    "NRRD": (lambda f: other_format(f, "a.nrrd"), "mask_not_nifti"),
    "MetaImage": (lambda f: other_format(f, "a.mha"), "mask_not_nifti"),
    "DICOM": (lambda f: written(f / "a.dcm", bytes(128) + b"DICM" + bytes(900)), "mask_not_nifti"),
    "header alone": (
        lambda f: damaged(f / "a.nii.gz", lambda content: gzip.compress(content[:352])),
        "unreadable_mask",
    ),
    "surplus": (lambda f: damaged(f / "a.nii.gz", bomb), "unreadable_mask"),
    "empty": (lambda f: written(f / "a.nii.gz", b""), "unreadable_mask"),
    "cut gzip": (lambda f: written(f / "a.nii.gz", save(f / "b.nii.gz").read_bytes()[:-40]), "unreadable_mask"),
    "checksum": (lambda f: damaged(f / "a.nii.gz", flipped_bit), "unreadable_mask"),
    "cut voxels": (lambda f: damaged(f / "a.nii.gz", truncated_voxels), "unreadable_mask"),
    "terabytes": (lambda f: damaged(f / "a.nii.gz", claimed((30_000, 30_000, 3_000))), "unreadable_mask"),
    "negative size": (lambda f: damaged(f / "a.nii.gz", claimed((8, -7, 6))), "unreadable_mask"),
    "unknown type": (lambda f: damaged(f / "a.nii.gz", claimed((8, 7, 6), 999)), "unreadable_mask"),
    "Analyze": (lambda f: save(f / "a.hdr", kind=nib.AnalyzeImage), "mask_not_nifti"),
    "half of a pair": (lambda f: save(f / "a.hdr", kind=nib.Nifti1Pair).rename(f / "a"), "unreadable_mask"),
    "FreeSurfer": (lambda f: freesurfer(f / "a.mgz"), "mask_not_nifti"),
    "two volumes": (lambda f: save(f / "a.nii.gz", np.stack([LABELS] * 2, -1)), "mask_not_3d"),
    "one plane": (lambda f: save(f / "a.nii.gz", LABELS[:, :, 0]), "mask_not_3d"),
    "plane and time": (lambda f: save(f / "a.nii.gz", LABELS[:, :, None]), "mask_not_3d"),
    "fractions": (lambda f: save(f / "a.nii.gz", LABELS + 0.5), "mask_not_labels"),
    "negative": (lambda f: save(f / "a.nii.gz", LABELS.astype(np.int16) - 1), "mask_not_labels"),
    "too large": (lambda f: save(f / "a.nii.gz", LABELS.astype(np.int16) * 60), "mask_not_labels"),
    "not a number": (lambda f: save(f / "a.nii.gz", np.where(LABELS, LABELS, np.nan)), "mask_not_labels"),
    "infinite": (lambda f: save(f / "a.nii.gz", np.where(LABELS, np.inf, 0)), "mask_not_labels"),
    "complex": (lambda f: save(f / "a.nii.gz", LABELS.astype(np.complex64)), "mask_not_labels"),
    "grey values": (lambda f: grey(f, 255), "mask_not_labels"),
    "dark grey values": (lambda f: grey(f, 9), "mask_not_labels"),
    "colours": (lambda f: colours(f / "a.nii.gz"), "mask_not_labels"),
    "no affine": (lambda f: with_forms(f / "a.nii", AFFINE, AFFINE, (0, 0)), "mask_no_geometry"),
    "zero affine": (lambda f: with_forms(f / "a.nii", np.zeros((4, 4)), None, (1, 0)), "mask_no_geometry"),
    "flat affine": (lambda f: with_forms(f / "a.nii", FLAT, None, (1, 0)), "mask_no_geometry"),
    "affine of no numbers": (lambda f: with_forms(f / "a.nii", AFFINE * np.nan, None, (1, 0)), "mask_no_geometry"),
    "affines a shift apart": (lambda f: with_forms(f / "a.nii", AFFINE, moved(1.0)), "mask_no_geometry"),
    "two affines": (lambda f: with_forms(f / "a.nii", AFFINE, SLANTED), "mask_no_geometry"),
    "mirrored twin": (lambda f: with_forms(f / "a.nii", AFFINE, np.diag([2.0, -2, 5, 1])), "mask_no_geometry"),
}


@pytest.mark.parametrize("name", BAD)
def test_unusable_label_file_has_its_true_reason(name, tmp_path):
    make, reason = BAD[name]
    assert reason_of(make(tmp_path)) == reason


def test_label_file_that_is_gone_is_unreadable(tmp_path):
    assert reason_of(tmp_path / "a.nii.gz") == "unreadable_mask"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EIO, "storage_error"),
        (errno.ESTALE, "storage_error"),
        (errno.ETIMEDOUT, "storage_error"),
        (errno.ENOENT, "unreadable_mask"),
        (errno.ENOTDIR, "unreadable_mask"),
        (errno.EISDIR, "unreadable_mask"),
        (errno.EACCES, "unreadable_mask"),
        (errno.EPERM, "unreadable_mask"),
        (errno.ENAMETOOLONG, "unreadable_mask"),
        (errno.EMFILE, "unreadable_mask"),
    ],
)
def test_failing_storage_is_told_from_a_file_at_fault(number, reason, tmp_path, monkeypatch):
    path = save(tmp_path / "a.nii.gz")

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "open", fail)
    with pytest.raises(UnsegmentableError, match=reason) as error:
        read_labels(path, {"liver": 5})
    assert error.value.unread == (path if reason == "storage_error" else None)


def named(path, names, values=LABELS):
    """A file with the names of its labels in the extended header, as TotalSegmentator writes it."""
    entries = "".join(f'<Label Key="{key}" Red="1"><![CDATA[{name}]]></Label>\n' for key, name in names.items())
    text = f'<?xml version="1.0"?> <CaretExtension><VolumeInformation Index="0"><LabelTable>{entries}</LabelTable>'
    image = nib.Nifti1Image(values, AFFINE)
    content = f"{text}</VolumeInformation></CaretExtension>\n  ".encode()
    image.header.extensions.append(nib.nifti1.Nifti1Extension(0, content))
    nib.save(image, path)
    return path


def test_names_in_the_header_decide_over_the_numbers(tmp_path):
    path = named(tmp_path / "a.nii.gz", {5: "Kidney left", 2: "lung_vessels"})
    labels, _, notes = read_labels(path, IDS)
    assert np.array_equal(labels, np.where(LABELS == 5, 3, 0)) and notes == {OUTSIDE: 1}


def test_names_of_another_task_are_refused(tmp_path):
    path = named(tmp_path / "a.nii.gz", {5: "lung_vessels", 2: "lung_trachea_bronchia"})
    assert reason_of(path) == "mask_unknown_classes"


def test_header_without_a_table_of_names_is_read_by_numbers(tmp_path):
    image = nib.Nifti1Image(LABELS, AFFINE)
    for content in (b"a comment", b"<LabelTable is broken"):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(6, content))
    nib.save(image, tmp_path / "a.nii")
    assert np.array_equal(read_labels(tmp_path / "a.nii", IDS).labels, LABELS)


def test_labels_that_the_task_lacks_are_counted_and_kept(tmp_path):
    values = np.where(LABELS == 2, 200, LABELS)
    labels, _, notes = read_labels(save(tmp_path / "a.nii", values), IDS)
    assert np.array_equal(labels, values) and notes == {OUTSIDE: 1}


def folder_of(folder, **files):
    folder.mkdir(exist_ok=True)
    for name, values in files.items():
        save(folder / f"{name}.nii.gz", values)
    return folder


LIVER, KIDNEY, NONE = (LABELS == 5).astype(np.uint8), (LABELS == 2).astype(np.uint8), LABELS * 0


def test_class_files_are_joined_with_the_ids_of_their_names(tmp_path):
    folder = folder_of(tmp_path / "m", liver=LIVER * 255, kidney_right=KIDNEY.astype(np.float32), spleen=NONE, ct=LIVER)
    (folder / ".spleen.nii.gz").write_bytes(b"hidden")
    (folder / "statistics.json").write_text("{}")
    labels, affine, notes = read_labels(folder, IDS)
    assert np.array_equal(labels, LABELS) and np.allclose(affine, AFFINE)
    assert notes == {UNKNOWN_FILES: 1, SHARED: 0}


@pytest.mark.parametrize("spelling", ["kidney-right", "KIDNEY_RIGHT", "Kidney Right", "kidney.right"])
def test_spelling_of_class_files_does_not_matter(spelling, tmp_path):
    folder = folder_of(tmp_path / "m", liver=LIVER * 0.9999, **{spelling: KIDNEY})
    assert np.array_equal(read_labels(folder, IDS).labels, LABELS)


@pytest.mark.parametrize(
    ("name", "organ"),
    [("gall_bladder", "gallbladder"), ("bladder", "urinary_bladder"), ("Postcava", "inferior_vena_cava")],
)
def test_names_of_abdomenatlas_are_those_of_the_same_organs(name, organ, tmp_path):
    save(tmp_path / f"{name}.nii.gz", (LABELS == 5).astype(np.uint8))
    labels = read_labels(tmp_path, {"liver": 5, organ: 7}).labels
    assert np.array_equal(labels, np.where(LABELS == 5, 7, 0))


@pytest.mark.parametrize("order", [("liver", "kidney_right"), ("kidney_right", "liver")])
def test_few_shared_voxels_go_to_the_smaller_class(order, tmp_path):
    large, small = np.zeros((2, 20, 20, 10), np.uint8)
    large[:12], small[11:18, :2, :2] = 1, 1
    labels, _, notes = read_labels(folder_of(tmp_path / "m", **dict(zip(order, (large, small), strict=True))), IDS)
    assert notes[SHARED] == 4 and (labels == IDS[order[1]]).sum() == 28
    assert (labels == IDS[order[0]]).sum() == 12 * 200 - 4


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "mask_missing"),
        ({"lever": LIVER}, "mask_unknown_classes"),
        ({"liver": LIVER, "spleen": LIVER}, "mask_classes_overlap"),
        ({"liver": LIVER, "Liver": LIVER}, "mask_classes_overlap"),
        ({"kidney_right": KIDNEY, "kidney-right": KIDNEY}, "mask_classes_overlap"),
        ({"liver": LIVER.astype(np.int8) * -128 + KIDNEY.astype(np.int8)}, "mask_not_binary"),
        ({"liver": LIVER * 0.7}, "mask_not_binary"),
        ({"liver": LABELS}, "mask_not_binary"),
        ({"liver": LIVER.astype(np.int16) - 1}, "mask_not_binary"),
        ({"liver": np.where(LIVER, np.nan, 0)}, "mask_not_binary"),
        ({"liver": LIVER, "spleen": NONE[1:]}, "mask_grids_differ"),
        ({"liver": LIVER, "spleen": np.stack([NONE] * 2, -1)}, "mask_not_3d"),
        ({"liver": LIVER.astype(np.complex64)}, "mask_not_labels"),
    ],
)
def test_unusable_folder_of_classes_has_its_true_reason(files, reason, tmp_path):
    assert reason_of(folder_of(tmp_path / "m", **files)) == reason


def test_class_files_of_one_shape_on_different_grids_are_refused(tmp_path):
    folder = folder_of(tmp_path / "m", liver=LIVER)
    save(folder / "spleen.nii.gz", NONE, AFFINE + np.array([[0, 0, 0, 3]] + [[0] * 4] * 3))
    assert reason_of(folder) == "mask_grids_differ"


def test_files_of_a_mask_are_all_that_its_labels_come_from(tmp_path):
    single, pair = save(tmp_path / "a.nii.gz"), save(tmp_path / "b.img", kind=nib.Nifti1Pair)
    folder = folder_of(tmp_path / "m", liver=LIVER, spleen=NONE)
    assert files_of_mask(single) == [single]
    assert files_of_mask(pair) == [pair.with_suffix(".hdr"), pair]
    assert files_of_mask(folder) == [folder / "liver.nii.gz", folder / "spleen.nii.gz"]
