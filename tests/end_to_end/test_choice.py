"""A list of original identifiers decides what the dataset holds, and a change of it computes little."""

import json

import pydicom
import pytest

from projects import SMALL_DEMO
from refrad.dataset.shard_io import read_rows

pytestmark = pytest.mark.slow


def metrics_of(folder, stage):
    paths = sorted((folder / "results" / stage).rglob("metrics.json"))
    return [json.loads(path.read_text()) for path in paths]


def patients_of(folder):
    """Patient to the modalities of its rows in the dataset."""
    patients: dict[str, set[str]] = {}
    for row in read_rows(sorted((folder / "results" / "shards" / "data").rglob("*.parquet"))):
        patients.setdefault(row["patient"], set()).add(row["modality"])
    return patients


def test_dataset_holds_what_the_lists_choose(project):
    folder = project.folder
    small = SMALL_DEMO | {"demo": {"patients": 4}}
    project.configure(small)
    project.snakemake("shards")
    whole = patients_of(folder)
    assert len(whole) > 2 and set.union(*whole.values()) == {"CT", "MR"}
    files = [path for path in sorted((folder / "demo" / "demo" / "dicom").rglob("*")) if path.is_file()]
    ids = sorted({str(pydicom.dcmread(path, force=True).get("PatientID", "")) for path in files} - {""})
    (folder / "private" / "out.csv").write_text(f"kind;value\r\npatient;{ids[0].lower()}\r\n", encoding="cp1252")
    stored = {path: path.stat().st_mtime_ns for path in (folder / "stores").rglob("*") if path.is_file()}

    # A patient less
    project.configure(small | {"index": SMALL_DEMO["index"] | {"exclude": "private/out.csv"}})
    assert {"index_delivery", "volumes_shard", "captions_shard", "shards_shard"} <= project.planned("shards")
    project.snakemake("shards")
    assert {patient: whole[patient] for patient in patients_of(folder)} == patients_of(folder)
    assert len(patients_of(folder)) == len(whole) - 1
    (index,) = metrics_of(folder, "index")
    assert index["flow"]["aside"]["excluded"] > 0
    assert index["flow"]["taken"] == index["flow"]["used"] + sum(index["flow"]["aside"].values())
    assert sum(metrics["flow"]["aside"].get("excluded", 0) for metrics in metrics_of(folder, "captions")) > 0
    assert not sum(metrics["made"].get("labels made", 0) for metrics in metrics_of(folder, "masks"))
    assert stored == {path: path.stat().st_mtime_ns for path in (folder / "stores").rglob("*") if path.is_file()}
    published = "".join(
        path.read_text(errors="ignore")
        for part in ("results", "logs")
        for path in (folder / part).rglob("*.*")
        if path.is_file()
    )
    assert ids[0] not in published and ids[0].lower() not in published and "out.csv" not in published

    # The same entries in another file
    (folder / "private" / "again.csv").write_text(f"comment,value,kind\nx,{ids[0].lower()},patient\n")
    project.configure(small | {"index": SMALL_DEMO["index"] | {"exclude": "private/again.csv"}})
    assert project.planned("shards") == set()

    # CT alone
    (folder / "private" / "in.csv").write_text("kind,value\nmodality,CT\n")
    lists = {"include": "private/in.csv", "exclude": "private/again.csv"}
    project.configure(small | {"index": SMALL_DEMO["index"] | lists})
    project.snakemake("shards")
    assert set.union(*patients_of(folder).values()) == {"CT"} and set(patients_of(folder)) < set(whole)
    assert metrics_of(folder, "index")[0]["flow"]["aside"]["not_chosen"] > 0

    # All again
    project.configure(small)
    project.snakemake("shards")
    assert patients_of(folder) == whole
    assert stored == {path: path.stat().st_mtime_ns for path in (folder / "stores").rglob("*") if path.is_file()}


def test_wrong_list_stops_the_run_before_it_begins(project):
    (project.folder / "private").mkdir()
    (project.folder / "private" / "in.csv").write_text("kind,value\npatient,SECRET7\npatients,SECRET8\n")
    project.configure({"index": {"include": "private/in.csv"}})
    run = project.snakemake("all", check=False)
    assert run.returncode == 1 and run.stderr.splitlines()[-1].startswith("config: index.include: in.csv, line 3: ")
    assert "SECRET" not in run.stderr + run.stdout and not (project.folder / "results").exists()
