"""Real patients: CT slices as a scanner wrote them, and CT and MR volumes, each with its TotalSegmentator mask.

The reports are written for what the masks show. Everything is read where it lies; what needs a file beside it is copied
into the test's own folder.
"""

import csv
import io
import json
import shutil

import nibabel as nib
import numpy as np
import polars as pl
import pydicom
import pytest
from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform
from PIL import Image
from pycocotools import mask as coco
from tests.end_to_end.canaries import contents
from tests.factories import OWN_DATA

from projects import copy_project
from refrad.core.contracts import InstanceTable, SliceTable, VolumeTable
from refrad.core.tables import read_table
from refrad.demo.scanner import Series, write_series

pytestmark = pytest.mark.slow

KEY = b"of the tests alone, 32 bytes long"[:32]
LIVER, SPLEEN, KIDNEY_RIGHT, KIDNEY_LEFT = 5, 1, 2, 3
CT_REPORT = """Befund:
Leber homogen (IMA 276). Milz nicht vergrößert. Magen regelrecht entfaltet (IMA 270).
Aorta normalkalibrig. Keine freie Flüssigkeit.

Beurteilung:
BWK 12 ohne Höhenminderung.
"""
NIFTI_REPORTS = {
    "ct": """Findings:
The liver is homogeneous (Se 1, IMA 24). Both kidneys are normal (Se 1, IMA 10). Gallbladder without stones.
Spleen is normal in size. No hydronephrosis of the left kidney.

Impression:
L1 vertebra without compression. No free fluid.
""",
    "mr": """Befund:
Leber unauffällig. Linke Niere regelrecht. Rechte Niere ohne Zyste. Milz homogen. Gallenblase zart.

Beurteilung:
Unauffällige Aorta. Bandscheiben ohne Vorfall.
""",
}
COLUMNS = ["report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text"]


def write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def dicom_of(source, folder, modality, patient):
    """A NIfTI volume as a DICOM series, rows running to the patient's left and columns to the back as scanners have them."""
    image = nib.load(source)
    image = image.as_reoriented(ornt_transform(io_orientation(image.affine), axcodes2ornt("LPS")))
    folder.mkdir(parents=True)
    uid = f"2.25.{1000 + len(patient)}{ord(modality[0])}"
    headers = {
        "PatientID": patient,
        "PatientName": f"Real-Name^{patient}",
        "StudyInstanceUID": uid,
        "StudyDate": "20200101",
        "AccessionNumber": f"X{patient}",
    }
    values = np.asarray(image.dataobj).astype(np.int16)
    paths = [folder / f"{k:03d}.dcm" for k in range(values.shape[2])]
    write_series(values, image.affine, Series(modality, 1, f"{uid}.1", headers), paths)


@pytest.fixture(scope="module")
def site(shared, tmp_path_factory):
    """Two deliveries through the whole workflow."""
    project = copy_project(tmp_path_factory.mktemp("real"))
    folder = project.folder
    given = folder / "given"
    for name in ("ct", "nifti"):
        (given / name).mkdir(parents=True)
    shutil.copy(shared / "dicom-ct" / "totalseg_example_seg_dicom.nii.gz", given / "ct" / "mask.nii.gz")
    write_csv(given / "ct" / "masks.csv", [["dicom", "mask"], [".", "mask.nii.gz"]])
    write_csv(given / "ct.csv", [COLUMNS, ["R1", "", "", "", ".", "de", CT_REPORT]])
    volumes = shared / "nifti-seg" / "totalseg"
    dicom_of(volumes / "example_ct_sm.nii.gz", folder / "export" / "ct", "CT", "PAT-CT")
    dicom_of(volumes / "example_mr_sm.nii.gz", folder / "export" / "mr", "MR", "PAT-MR")
    for name, source in (("ct", "example_seg"), ("mr", "example_seg_mr")):
        shutil.copy(volumes / f"{source}.nii.gz", given / "nifti" / f"{name}.nii.gz")
    write_csv(given / "nifti" / "masks.csv", [["dicom", "mask"], ["ct", "ct.nii.gz"], ["mr", "mr.nii.gz"]])
    rows = [
        ["R2", "PAT-CT", "", "", "", "en", NIFTI_REPORTS["ct"]],
        ["R3", "PAT-MR", "", "", "", "", NIFTI_REPORTS["mr"]],
    ]
    write_csv(given / "nifti.csv", [COLUMNS, *rows])
    (folder / "private").mkdir(mode=0o700)
    (folder / "private" / "key").write_bytes(KEY)
    (folder / "private" / "key").chmod(0o600)
    place = str(shared / "dicom-ct" / "totalseg_example_ct_dicom")
    project.configure(
        {
            "deliveries": [
                {
                    "name": "ct",
                    "dicom": place,
                    "reports": "given/ct.csv",
                    "references": None,
                    "masks": "given/ct",
                    "shards": 1,
                },
                {
                    "name": "nifti",
                    "dicom": "export",
                    "reports": "given/nifti.csv",
                    "references": None,
                    "masks": "given/nifti",
                    "shards": 1,
                },
            ],
            "privacy": {"key": "private/key"},
            "index": {"test": 0.4, "validation": 0.0},
            **OWN_DATA,
            "train": {"name": "real", "steps": 20, "max_seconds": 40.0, "threads": 1, "tower_pretraining_steps": 10},
            "evaluate": {"samples": 6},
            "report": {"gallery": 12},
        }
    )
    project.snakemake("all")
    return project


@pytest.fixture(scope="module")
def rows(site):
    """All rows of the shards, with the pixels of each image as its DICOM file has them (HU for CT)."""
    files = pl.concat(
        [
            pl.read_parquet(site.folder / f"private/{name}/files.parquet").with_columns(delivery=pl.lit(name))
            for name in ("ct", "nifti")
        ]
    )
    instances = pl.concat(
        [read_table(site.folder / f"results/index/{name}/instances.parquet", InstanceTable) for name in ("ct", "nifti")]
    )
    paths = dict(instances.join(files, on="file").select("instance", pl.struct("delivery", "path")).iter_rows())
    config = site.folder / "own.yaml"
    import yaml

    places = {one["name"]: site.folder / one["dicom"] for one in yaml.safe_load(config.read_text())["deliveries"]}
    found = []
    for table in sorted((site.folder / "results" / "shards").rglob("*.parquet")):
        for row in pl.read_parquet(table).iter_rows(named=True):
            source = paths[row["image_id"]]
            dataset = pydicom.dcmread(places[source["delivery"]] / source["path"])
            slope, intercept = (
                float(dataset.get(name, default)) for name, default in (("RescaleSlope", 1), ("RescaleIntercept", 0))
            )
            row["pixels"], row["delivery"] = dataset.pixel_array * slope + intercept, source["delivery"]
            found.append(row)
    return found


def mask_of(row, class_id):
    for one in row["structures"]:
        if one["class_id"] == class_id:
            return coco.decode({"size": [row["height"], row["width"]], "counts": one["rle"].encode()}).astype(bool)
    return None


def test_volumes_are_used_and_slices_have_their_instance(site):
    for name, slices in (("ct", [20]), ("nifti", [20, 30])):
        folder = site.folder / f"results/volumes/{name}/0"
        volumes = read_table(folder / "volumes.parquet", VolumeTable)
        assert sorted(volumes["slices"]) == slices and volumes["reason"].null_count() == len(slices)
        assert len(read_table(folder / "slices.parquet", SliceTable)) == sum(slices)


def test_liver_mask_covers_liver_in_the_dicom_pixels(rows):
    checked = 0
    for row in rows:
        mask = mask_of(row, LIVER)
        if row["modality"] == "CT" and mask is not None and mask.sum() > 300:
            assert mask.shape == row["pixels"].shape
            assert 30 < row["pixels"][mask].mean() < 140, row[
                "delivery"
            ]  # HU; without contrast in one, with in the other
            assert np.median(row["pixels"][mask]) > np.median(row["pixels"][~mask])
            checked += 1
    assert checked >= 5


def test_left_is_on_the_left_side(rows):
    """In axial slices of a patient on the back, the patient's left is at the right of the picture."""
    for right, left in ((LIVER, SPLEEN), (KIDNEY_RIGHT, KIDNEY_LEFT)):
        places = [
            (np.nonzero(one)[1].mean(), np.nonzero(other)[1].mean())
            for row in rows
            for one, other in [(mask_of(row, right), mask_of(row, left))]
            if one is not None and other is not None
        ]
        assert all(x_right < x_left for x_right, x_left in places)
        assert places


def test_boxes_of_the_sentences_are_those_of_their_masks(rows):
    for row in rows:
        boxes = {
            one["class_id"]: [one[side] for side in ("x_min", "y_min", "x_max", "y_max")] for one in row["structures"]
        }
        for caption in row["captions"]:
            assert caption["entities"]
            for entity in caption["entities"]:
                assert [entity[side] for side in ("x_min", "y_min", "x_max", "y_max")] == boxes[entity["class_id"]]
                assert caption["text"][entity["start"] : entity["end"]] == entity["text"]


def test_numbered_image_has_that_instance_number(site, rows):
    """(IMA 276) of the CT slices that are numbered 267 to 286, and whose SOP instance UIDs are all empty."""
    (row,) = [
        one
        for one in rows
        if any("Leber homogen" in caption["text"] and caption["tie"] == "reference" for caption in one["captions"])
        and one["delivery"] == "ct"
    ]
    slices = read_table(site.folder / "results/volumes/ct/0/slices.parquet", SliceTable)
    assert slices.filter(pl.col("instance") == row["image_id"])["instance_number"].to_list() == [276]


def test_both_languages_and_both_modalities_reach_the_dataset(rows):
    assert {row["modality"] for row in rows} == {"CT", "MR"}
    assert {caption["language"] for row in rows for caption in row["captions"]} == {"de", "en"}


def test_overlay_and_checkpoint_exist(site):
    picture = np.asarray(
        Image.open(io.BytesIO((site.folder / "results/report/overlay.png").read_bytes())).convert("RGB")
    )
    assert picture.std() > 10
    assert json.loads((site.folder / "results/evaluate/real/metrics.json").read_text())["images"] > 0
    assert (site.folder / "results/train/real/model.safetensors").is_file()


def test_header_values_are_in_no_result(site):
    for name, content in contents(site.folder / "results"):
        for secret in (b"PAT-CT", b"PAT-MR", b"Real-Name^", b"20200101", b"2022120808", b"2.25.10"):
            assert secret not in content, (name, secret)
