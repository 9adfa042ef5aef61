"""Made-up patients as NIfTI files in mixed orientations and types, through the workflow, and the same patients as DICOM."""

import csv
import gzip
import io
import re
import struct
from datetime import date

import nibabel as nib
import numpy as np
import polars as pl
import pydicom
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image
from pycocotools import mask as coco
from tests.end_to_end.canaries import DATE, NAME, PLANTED, WORD, contents
from tests.factories import OWN_DATA
from tests.factories.nifti import write_nifti

from projects import copy_project
from refrad.core.contracts import InstanceTable, SliceTable, VolumeTable
from refrad.core.tables import read_table
from refrad.demo.bodies import make_body
from refrad.demo.rendering import render
from refrad.demo.reporter import Seen, write_report
from refrad.demo.scanner import Series, grid, write_series
from refrad.segmentation.precomputed import native_ids

pytestmark = pytest.mark.slow

KEY = b"of the tests alone, 32 bytes long"[:32]
SHAPE = (96, 96, 24)
# Of each patient: modality, axes of the file and of its mask, type of the values, slope and intercept, numbering, split.
PATIENTS = (
    ("CT", "RAS", "LPS", np.int16, 1, 0, "feet", "train"),
    ("CT", "SPL", "RAS", np.float32, 1, 0, "", "train"),
    ("CT", "IRP", "ASR", np.uint16, 1, -1024, "head", "validation"),
    ("CT", "LAI", "PIR", np.int16, 0.5, 100, "", "test"),
    ("MR", "PIR", "LPI", np.uint16, 1, 0, "", "test"),
)
TASKS = {"CT": "total", "MR": "total_mr"}
LIVER, SPLEEN = 5, 1  # of the schema
CHANNEL, CENTRE, WIDTH = 1, 40, 350  # of the window of soft tissue, HU


def reoriented(values, affine, code):
    """The same image with its axes in the order and direction of a code such as LPS: values and affine."""
    image = nib.Nifti1Image(values, affine)
    image = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(tuple(code))))
    return np.asarray(image.dataobj), image.affine


def write_volume(path, values, affine, code, scale=None):
    """Write stored values with their axes in the order and direction of a code, and the slice axis in the header."""
    stored, turned = reoriented(values, affine, code)
    write_nifti(path, stored, turned, scale, next(axis for axis, letter in enumerate(code) if letter in "SI"))


def plant(path):
    """Write identifiers into the texts of a NIfTI-1 header, and into extensions: a DICOM header (code 2) and a comment (6).

    Places are those of nifti1.h: db_name 14, vox_offset 108, descrip 148, aux_file 228, intent_name 328, extensions 348.
    """
    content = bytearray(gzip.decompress(path.read_bytes()))
    for start, length in ((14, 18), (148, 80), (228, 24), (328, 16)):
        content[start : start + length] = f"{WORD}_{start}".encode().ljust(length, b"\0")
    dataset = pydicom.Dataset()
    dataset.PatientName, dataset.StudyDate = f"{NAME}^Zenobia", DATE
    stream = pydicom.filebase.DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    pydicom.filewriter.write_dataset(stream, dataset)
    extensions = b""
    for code, text in ((2, stream.getvalue()), (6, f"{WORD} {NAME}".encode())):
        size = -(-(len(text) + 8) // 16) * 16
        extensions += struct.pack("<ii", size, code) + text.ljust(size - 8, b"\0")
    content[348] = 1
    content[108:112] = struct.pack("<f", 352 + len(extensions))
    path.write_bytes(gzip.compress(bytes(content[:352]) + extensions + bytes(content[352:]), 1))


def write_csv(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_patient(folder, number):
    """The image of a patient as NIfTI and as DICOM with the mask of each: rows of the tables of volumes, masks and reports."""
    modality, code, mask_code, kind, slope, intercept, numbering, split = PATIENTS[number]
    body = make_body(100 + number)
    affine = grid("axial", body.to_world((0, 0, 320)), 380.0, 8.0, SHAPE)
    ids = native_ids(TASKS[modality])
    image, labels = render(body, affine, SHAPE, modality, ids, seed=number)
    image = np.round(image).astype(np.int16)
    patient, study = f"NIFTI-PATIENT{number}", f"NIFTI-STUDY{number}"
    path = f"{patient}/{study}/image.nii.gz"
    stored = ((image - intercept) / slope).astype(kind)
    write_volume(folder / "nifti" / path, stored, affine, code, (slope, intercept))
    write_volume(folder / "masks" / f"{patient}.nii.gz", labels, affine, mask_code)
    plant(folder / "nifti" / path)
    plant(folder / "masks" / f"{patient}.nii.gz")
    uid = f"2.25.77{number}"
    headers = {
        "PatientID": patient,
        "PatientName": f"Nifti-Name^{patient}",
        "StudyInstanceUID": uid,
        "StudyDate": "20200101",
    }
    dicom = folder / "dicom" / patient
    dicom.mkdir(parents=True)
    write_series(image, affine, Series(modality, 7, f"{uid}.1", headers), [dicom / f"{k}" for k in range(SHAPE[2])])
    order = list(range(1, SHAPE[2] + 1)) if numbering != "head" else list(range(SHAPE[2], 0, -1))
    areas = {name: (labels == label).sum((0, 1)).tolist() for name, label in ids.items() if (labels == label).any()}
    seen = Seen(7, areas, order, [""] * SHAPE[2])
    language = "de" if number == 1 else "en"
    text, _ = write_report(np.random.default_rng(number), body, [seen], language, patient, "Sommer", date(2020, 1, 1))
    entry = [path, patient, study, "1", modality, split, 7, numbering, "2020-01-01"]
    return entry, [path, f"{patient}.nii.gz"], [f"N{number}", study, patient, language, text]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A delivery of NIfTI files, then the same patients as DICOM."""
    project = copy_project(tmp_path_factory.mktemp("nifti"))
    folder = project.folder
    given = folder / "given"
    entries, masks, reports = zip(*(write_patient(given, number) for number in range(len(PATIENTS))), strict=True)
    (given / "nifti" / "notes.txt").write_text("no image")
    columns = ["path", "patient", "study", "series", "modality", "split", "series_number", "numbering", "study_date"]
    broken = ["NIFTI-PATIENT0/broken.nii.gz", "NIFTI-PATIENT0", "NIFTI-STUDY0", "2", "CT", "train", 8, "", ""]
    unread = [f"{NAME}.nii.gz", WORD, WORD, WORD, WORD, WORD, WORD, WORD, WORD]
    (given / "nifti" / "NIFTI-PATIENT0" / "broken.nii.gz").write_bytes(b"\x1f\x8bno gzip stream")
    write_csv(given / "volumes.csv", [columns, *entries, broken, unread])
    write_csv(given / "masks" / "masks.csv", [["volume", "mask"], *masks])
    write_csv(given / "reports.csv", [["report_id", "study_uid", "patient_id", "language", "text"], *reports])
    (folder / "private").mkdir(mode=0o700)
    (folder / "private" / "key").write_bytes(KEY)
    (folder / "private" / "key").chmod(0o600)
    volumes = {"folder": "given/nifti", "table": "given/volumes.csv"}
    config = {"privacy": {"key": "private/key"}, **OWN_DATA, "shards": {"formats": ["raw", "full"]}}
    delivery = {
        "name": "nifti",
        "volumes": volumes,
        "reports": "given/reports.csv",
        "masks": "given/masks",
        "shards": 1,
    }
    project.configure(config | {"deliveries": [delivery]})
    project.snakemake("dataset")
    second = {"name": "dicom", "dicom": "given/dicom", "reports": "given/reports.csv", "shards": 1}
    project.configure(config | {"deliveries": [delivery, second]})
    project.snakemake("volumes")
    return project


def tables(site, delivery):
    """Private path of each volume of a delivery, its row, and the world position of its voxels."""
    results = site.folder / "results"
    files = pl.read_parquet(site.folder / f"private/{delivery}/files.parquet")
    instances = read_table(results / f"index/{delivery}/instances.parquet", InstanceTable)
    paths = dict(
        instances.filter(pl.col("volume").is_not_null()).join(files, on="file").select("volume", "path").rows()
    )
    volumes = read_table(results / f"volumes/{delivery}/0/volumes.parquet", VolumeTable)
    return paths, {row["volume"]: row for row in volumes.iter_rows(named=True)}


@pytest.fixture(scope="module")
def rows(site):
    found = []
    for table in sorted((site.folder / "results" / "shards" / "data").rglob("*.parquet")):
        found += pl.read_parquet(table).iter_rows(named=True)
    assert len(found) >= 10
    return found


def sampled(source, affine, index, shape):
    """Values of a NIfTI file at the positions of the pixels [row, column] of a slice of a volume, to the voxel."""
    image = nib.load(source)
    columns, lines = np.meshgrid(np.arange(shape[1]), np.arange(shape[0]))
    voxels = np.stack([columns, lines, np.full(shape, index), np.ones(shape)])
    there = np.tensordot(np.linalg.inv(image.affine) @ affine, voxels, 1)[:3]
    assert np.allclose(there, np.rint(there), atol=1e-2)  # no resampling
    return image.get_fdata()[tuple(np.rint(there).astype(int))]


def sources(site, rows):
    """Each row with the name of its patient, its pixels in the delivered file, and its labels in the delivered mask."""
    paths, volumes = tables(site, "nifti")
    for row in rows:
        path = paths[row["volume"]]
        affine = nib.load(site.folder / "stores" / "volumes" / volumes[row["volume"]]["file"]).affine
        shape = (row["height"], row["width"])
        patient = path.split("/")[0]
        pixels = sampled(site.folder / "given/nifti" / path, affine, row["index"], shape)
        labels = sampled(site.folder / "given/masks" / f"{patient}.nii.gz", affine, row["index"], shape)
        yield row, patient, pixels, labels


def test_pixels_are_those_of_the_delivered_file(site, rows):
    checked = set()
    for row, patient, pixels, _ in sources(site, rows):
        picture = np.asarray(Image.open(io.BytesIO(row["image_full"]["bytes"])))[..., CHANNEL].astype(float)
        if row["modality"] == "CT":
            expected = np.clip((pixels - (CENTRE - WIDTH / 2)) / WIDTH, 0, 1) * 255
            assert np.abs(picture - expected).max() <= 2.0, patient
        else:  # an unknown range
            assert np.corrcoef(picture.ravel(), pixels.ravel())[0, 1] > 0.98
        checked.add(patient)
    assert checked == {f"NIFTI-PATIENT{number}" for number in range(len(PATIENTS))}


def test_boxes_are_those_of_the_body_and_of_its_side(site, rows):
    liver_and_spleen = 0
    for row, _, _, labels in sources(site, rows):
        ids = native_ids(TASKS[row["modality"]])
        masks = {
            structure["class_id"]: coco.decode(
                {"size": [row["height"], row["width"]], "counts": structure["rle"].encode()}
            ).astype(bool)
            for structure in row["structures"]
        }
        for class_id, name in ((LIVER, "liver"), (SPLEEN, "spleen")):
            if class_id in masks:
                truth = labels == ids[name]
                assert (masks[class_id] & truth).sum() >= 0.95 * max(masks[class_id].sum(), truth.sum())
        if LIVER in masks and SPLEEN in masks:
            # Axial slices as a scanner has them: the patient's right, and with it the liver, is at the left of the picture.
            assert np.nonzero(masks[LIVER])[1].mean() < np.nonzero(masks[SPLEEN])[1].mean()
            liver_and_spleen += 1
    assert liver_and_spleen >= 3


def test_numbered_images_are_found_from_head_or_feet(site, rows):
    """A sentence such as "(Se 7, IMA 5)" means the fifth slice from the end that the table names."""
    checked = set()
    paths, _ = tables(site, "nifti")
    reports = {
        row["patient_id"]: row["text"] for row in pl.read_csv(site.folder / "given/reports.csv").iter_rows(named=True)
    }
    slices = read_table(site.folder / "results/volumes/nifti/0/slices.parquet", SliceTable)
    numbers = dict(slices.select("instance", "instance_number").rows())
    for row in rows:
        patient = paths[row["volume"]].split("/")[0]
        numbering = PATIENTS[int(patient[-1])][6]
        if any(caption["tie"] == "reference" for caption in row["captions"]):
            number = numbers[row["image_id"]]
            assert number == (row["index"] + 1 if numbering == "feet" else SHAPE[2] - row["index"])
            assert re.search(rf"\b{number}\b", reports[patient])
            checked.add(numbering)
    assert checked and checked <= {"feet", "head"}


def test_dicom_of_the_same_patients_gives_the_same_volumes(site):
    images = {}
    for delivery in ("nifti", "dicom"):
        paths, volumes = tables(site, delivery)
        for name, row in volumes.items():
            images[delivery, paths[name].split("/")[0]] = nib.load(site.folder / "stores/volumes" / row["file"])
    assert len(images) == 2 * len(PATIENTS)
    for number in range(len(PATIENTS)):
        of_file, of_slices = (images[delivery, f"NIFTI-PATIENT{number}"] for delivery in ("nifti", "dicom"))
        assert np.array_equal(np.asarray(of_file.dataobj), np.asarray(of_slices.dataobj))
        assert np.allclose(of_file.affine, of_slices.affine, atol=1e-3)  # mm; NIfTI has 24 bits, DICOM 16 characters


def test_every_file_is_counted_and_splits_are_the_official_ones(site, rows):
    instances = read_table(site.folder / "results/index/nifti/instances.parquet", InstanceTable)
    assert sorted(instances["reason"].fill_null("used")) == ["not_ct_or_mr", "unreadable", *["used"] * len(PATIENTS)]
    paths, _ = tables(site, "nifti")
    for row in rows:
        assert row["split"] == PATIENTS[int(paths[row["volume"]].split("/")[0][-1])][7]


def test_change_of_the_table_runs_its_delivery_alone(site):
    table = site.folder / "given/volumes.csv"
    before = table.read_text(encoding="utf-8")
    table.write_text(before.replace("2020-01-01", "2020-01-02"), encoding="utf-8")
    plan = site.snakemake("volumes", "--dry-run").stdout
    table.write_text(before, encoding="utf-8")
    assert "nifti" in plan and "dicom" not in plan, plan


@pytest.mark.parametrize("folder", ["results", "logs", "stores", ".snakemake/log"])
def test_keys_and_texts_of_headers_are_in_no_result(site, folder):
    keys = ["NIFTI-PATIENT", "NIFTI-STUDY", "Nifti-Name^", "20200101", "2020-01-01"]
    looked = 0
    for name, content in contents(site.folder / folder):
        looked += 1
        for secret in (*keys, *PLANTED):
            assert secret.lower() not in name.lower(), secret
            assert secret.lower().encode() not in content.lower(), (name, secret)
    assert looked
