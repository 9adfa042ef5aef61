"""A patient of a delivery of NIfTI files leaves the run: slices are in the slice table only, and keys may begin as others do."""

import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.factories import fingerprint
from tests.factories.nifti import write_nifti
from tests.factories.runs import run_to_captions

from refrad.cli import main
from refrad.config import VolumeFiles
from refrad.core.contracts import MaskTable
from refrad.core.tables import frame_of, write_table
from refrad.privacy.pseudonyms import Pseudonyms
from refrad.segmentation.labels import save_labels

KEY = bytes(range(32))
PSEUDONYMS = Pseudonyms(KEY)
SHARDS = 2
SLICES = 6
AFFINE = np.diag([-1.0, -1.0, 3.0, 1.0])
# Key of the patient to a sentence of the report. The first key begins as the next ones do.
PATIENTS = {
    "train_1": "Liver with a cyst of an unusual form (image 2).",
    "train_10": "Spleen with a small scar at its lower pole.",
    "train_100": "Kidneys without dilatation and without stones.",
    "valid_1": "Pancreas slender, without a mass in its head.",
}
FILES = VolumeFiles(folder="set", table="private/volumes.csv")


@pytest.fixture
def site(root, tmp_path, monkeypatch):
    """A finished run up to captions, in the working directory; its table of volumes is a private one."""
    monkeypatch.chdir(tmp_path)
    for name in ("workflow", "config.yaml"):
        Path(name).symlink_to(root / name)
    Path("private").mkdir()
    Path("private/key").write_bytes(KEY)
    rows = []
    for number, patient in enumerate(PATIENTS):
        path = f"{patient}/{patient}_a/{patient}_a_1.nii.gz"
        values = np.arange(4 * 5 * SLICES, dtype=np.int16).reshape(4, 5, SLICES) + 100 * number
        values[0] = -1000  # air
        write_nifti(Path("set", path), values, AFFINE)
        study, series = study_of(patient), "CT" if patient == "valid_1" else f"{patient}_a_1"
        rows.append([path, patient, study, series, "CT", 1, "head"])
    header = ["path", "patient", "study", "series", "modality", "series_number", "numbering"]
    write_csv("private/volumes.csv", [header, *rows])
    texts = [[f"R-{name}", study_of(name), "en", f"Findings:\n{PATIENTS[name]}"] for name in PATIENTS]
    write_csv("reports.csv", [["report_id", "study_uid", "language", "text"], *texts])
    delivery = {"name": "set", "volumes": FILES.model_dump(), "reports": "reports.csv", "shards": SHARDS}
    config = {
        "deliveries": [delivery],
        "privacy": {"key": "private/key", "folder": "private"},
        "card": {"title": "t", "creator": "c", "terms": "CC-BY-4.0"},
        "masks": {"segmenter": "precomputed"},
        "train": {"model": None},
    }
    Path("site.yaml").write_text(yaml.safe_dump(config))
    run_to_captions("set", {"volume_files": FILES.model_dump_json()}, Path("reports.csv"), Path("private/key"), SHARDS)
    return tmp_path


def study_of(patient):
    """The key of the only study of a patient."""
    return "CT" if patient == "train_100" else f"{patient}_a"


def write_csv(path, rows):
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def rows_of(pattern):
    return pl.concat([pl.read_parquet(path) for path in sorted(Path().glob(pattern))])


def pseudonyms_of(*patients):
    return {PSEUDONYMS.patient(name) for name in patients}


@pytest.mark.usefixtures("site")
def test_patient_of_nifti_files_leaves_all_tables_and_stores(capsys):
    gone = set(rows_of("results/volumes/*/*/slices.parquet").join(own_volumes("train_1"), on="volume")["instance"])
    assert len(gone) == SLICES and len(rows_of("results/captions/*/*/references.parquet")) == 1
    assert main(["forget", "train_1", "--config", "config.yaml", "site.yaml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "removes 1 patients of deliveries set:"
    assert "looked through private, results, stores and logs: nothing is left" in lines, lines
    others = pseudonyms_of("train_10", "train_100", "valid_1")
    for pattern in (
        "private/set/files.parquet",
        "results/index/set/instances.parquet",
        "results/volumes/*/*/volumes.parquet",
        "results/captions/*/*/captions.parquet",
    ):
        assert set(rows_of(pattern)["patient"]) == others, pattern
    slices = rows_of("results/volumes/*/*/slices.parquet")
    assert len(slices) == 3 * SLICES and not gone & set(slices["instance"])
    assert rows_of("results/captions/*/*/references.parquet").is_empty(), "the one that named image 2"
    assert len(list(Path("stores/volumes").rglob("*.nii.gz"))) == 3
    assert Path("private/volumes.csv").read_text().count("train_1/") == 1, "what the site delivered stays as it is"


def own_volumes(patient):
    table = rows_of("results/volumes/*/*/volumes.parquet")
    return table.filter(pl.col("patient").is_in(pseudonyms_of(patient))).select("volume")


@pytest.mark.parametrize("patient", ["train_100", "valid_1"])
@pytest.mark.usefixtures("site")
def test_key_of_a_study_or_series_that_is_a_word_is_no_trace_of_the_patient(patient, capsys):
    assert main(["forget", patient, "--config", "config.yaml", "site.yaml"]) == 0
    assert "looked through private, results, stores and logs: nothing is left" in capsys.readouterr().out


@pytest.mark.usefixtures("site")
def test_next_run_leaves_the_patient_of_nifti_files_out():
    assert main(["forget", "train_1", "--config", "config.yaml", "site.yaml"]) == 0
    run_to_captions("set", {"volume_files": FILES.model_dump_json()}, Path("reports.csv"), Path("private/key"), SHARDS)
    others = pseudonyms_of("train_10", "train_100", "valid_1")
    assert set(rows_of("results/index/set/instances.parquet")["patient"]) == others
    assert set(rows_of("results/captions/*/*/captions.parquet")["patient"]) == others


@pytest.mark.usefixtures("site")
def test_commands_that_need_dicom_refuse_a_delivery_of_nifti_files(capsys, tmp_path):
    tables = ["--instances", "results/index/set/instances.parquet", "--files", "private/set/files.parquet"]
    slices = [str(path) for path in sorted(Path("results").rglob("slices.parquet"))]
    arguments = ["--dicom", "set", *tables, "--slices", *slices, "--key", "private/key", "--out", str(tmp_path / "out")]
    assert main(["export-dicom", *arguments]) == 1
    assert capsys.readouterr().err.startswith("refrad export-dicom: export-dicom needs the DICOM images of a delivery")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("site")
def test_masks_of_a_delivery_of_nifti_files_are_no_dicom_segmentations(capsys, tmp_path):
    masks = Path("results/masks/set/0/masks.parquet")
    volume = rows_of("results/volumes/set/0/volumes.parquet")["volume"][0]
    digest, labels = save_labels(Path("stores/m.nii.gz"), np.ones((4, 5, SLICES), np.uint8), AFFINE)
    row = {"volume": volume, "task": "total", "segmenter": "precomputed", "weights": None, "reason": None}
    rows = [row | {"digest": digest, "file": "m.nii.gz", "labels": labels}]
    write_table(masks, frame_of(rows, MaskTable), MaskTable, fingerprint("masks"))
    arguments = ["--masks", masks, "--mask-store", "stores", "--schema", "workflow/anatomy/classes.yaml"]
    arguments += ["--out", tmp_path / "out"]
    tables = ["--instances", "results/index/set/instances.parquet", "--files", "private/set/files.parquet"]
    assert main(["export-masks", *map(str, arguments), "--dicom", "set", *tables]) == 1
    assert capsys.readouterr().err.startswith("refrad export-masks: --dicom needs the DICOM images of a delivery")
    assert main(["export-masks", *map(str, arguments)]) == 0
    assert [path.name for path in (tmp_path / "out" / volume).iterdir()] == ["spleen.nii.gz"]
