"""The whole workflow on a small made-up cohort: what a user finds after `snakemake all`."""

import json
import subprocess
import sys

import polars as pl
import pytest
from tests.end_to_end.canaries import contents

from refrad.core.contracts import CaptionTable, InstanceTable, VolumeTable
from refrad.core.tables import read_table
from refrad.core.types import SPLITS
from refrad.workflow.fingerprint import read_fingerprint

pytestmark = pytest.mark.slow

STAGES = ["index", "volumes", "masks", "structures", "captions", "mentions", "copies", "grounded", "vqa", "shards"]


def test_stages_have_a_folder_and_counts_that_add_up(finished):
    for stage in STAGES:
        files = sorted((finished.folder / "results" / stage).rglob("metrics.json"))
        assert len(files) == (1 if stage in {"index", "copies"} else 2), stage
        for file in files:
            metrics = json.loads(file.read_text())
            flow = metrics["flow"]
            assert metrics["stage"] == stage
            assert flow["taken"] == flow["used"] + sum(flow["aside"].values())


def test_tables_have_their_fingerprint(finished):
    tables = [path for stage in STAGES for path in (finished.folder / "results" / stage).rglob("*.parquet")]
    assert len(tables) > 2 * len(STAGES)
    for path in tables:
        stage = path.relative_to(finished.folder / "results").parts[0]
        assert read_fingerprint(path).stage == stage


def test_delivered_files_are_used_or_have_a_reason(finished):
    instances = read_table(finished.folder / "results/index/demo/instances.parquet", InstanceTable)
    files = [path for path in (finished.folder / "demo/demo/dicom").rglob("*") if path.is_file()]
    assert instances["file"].n_unique() == len(files)
    assert instances.filter(pl.col("volume").is_null() == pl.col("reason").is_null()).is_empty()


def test_patient_is_in_one_split_and_one_shard(finished):
    results = finished.folder / "results"
    volumes = pl.concat([read_table(results / f"volumes/demo/{s}/volumes.parquet", VolumeTable) for s in (0, 1)])
    assert volumes.group_by("patient").agg(pl.col("split").n_unique())["split"].max() == 1
    patients = [set(read_table(results / f"volumes/demo/{s}/volumes.parquet", VolumeTable)["patient"]) for s in (0, 1)]
    assert not patients[0] & patients[1]


def test_identifiers_of_the_archive_are_in_no_result(finished):
    private = pl.read_parquet(finished.folder / "private/demo/files.parquet")
    columns = ["patient_id", "accession_number", "study_uid", "instance_uid", "institution"]
    secrets = {value for column in columns for value in private[column].unique() if len(value) > 5}
    secrets |= {part for name in private["patient_name"].unique() for part in name.split("^") if len(part) > 5}
    assert len(secrets) > 50
    for folder in ("results", "logs"):
        for name, content in contents(finished.folder / folder):
            found = [secret for secret in secrets if secret.encode() in content or secret in name]
            assert not found, f"{len(found)} identifiers of the archive in {folder}/{name}"


def test_captions_are_in_both_languages(finished):
    results = finished.folder / "results"
    captions = pl.concat([read_table(results / f"captions/demo/{s}/captions.parquet", CaptionTable) for s in (0, 1)])
    assert set(captions["language"]) == {"de", "en"}
    assert set(captions["tie"]) == {"explicit", "reference", "structure"}


def test_checkpoint_loads_with_from_pretrained(finished):
    code = (
        "from transformers import AutoProcessor, PaliGemmaForConditionalGeneration as P\n"
        "model = P.from_pretrained('results/train/demo'); processor = AutoProcessor.from_pretrained('results/train/demo')\n"
        "assert '</p>' in processor.tokenizer.get_vocab()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=finished.folder, check=True)


def test_evaluation_has_its_baselines(finished):
    metrics = json.loads((finished.folder / "results/evaluate/demo/metrics.json").read_text())
    assert 0 <= metrics["mean_iou"] <= 1
    assert {"untrained", "mean_box"} <= set(metrics["baselines"])


def test_pages_exist(finished):
    report = finished.folder / "results/report"
    for stage in [*STAGES, "train", "evaluate"]:
        assert (report / "stages" / f"{stage}.html").stat().st_size > 1000
    assert (report / "index.html").is_file()
    assert (report / "gallery.html").is_file()


def test_private_files_are_closed_to_others(finished):
    private = finished.folder / "private"
    modes = {path.relative_to(private): path.stat().st_mode & 0o777 for path in (private, *private.rglob("*"))}
    assert set(map(str, modes)) == {".", "demo", "demo/files.parquet", "demo/persons.parquet"}
    assert modes == {path: 0o600 if path.suffix else 0o700 for path in modes}


def test_stage_name_is_a_target(finished):
    assert finished.planned("grounded", "--forcerun", "grounded_shard") == {"grounded_shard"}


def test_dataset_has_a_card_and_no_leak_between_splits(finished):
    folder = finished.folder / "results/shards"
    assert json.loads((folder / "leakage.json").read_text())["total"] == 0
    rows = len(pl.read_parquet(folder / "data", columns=["image_id"]))
    (line,) = [line for line in (folder / "README.md").read_text().splitlines() if line.startswith("| images |")]
    assert line.endswith(f"| {rows:,} |")
    told = json.loads((folder / "croissant.json").read_text())["distribution"]
    assert {one["contentUrl"] for one in told if "sha256" in one} == {
        f"data/demo/{shard}/{split}.parquet" for shard in (0, 1) for split in SPLITS
    }


def test_shards_have_the_rows_of_the_earlier_tables(finished):
    results = finished.folder / "results"
    for shard in (0, 1):
        grounded, vqa, shards = (
            json.loads((results / stage / "demo" / str(shard) / "metrics.json").read_text())
            for stage in ("grounded", "vqa", "shards/metrics")
        )
        assert min(grounded["tables"]["yield"].values()) == grounded["flow"]["used"]
        assert grounded["made"]["triplets"] == shards["tables"]["captions"]["grounded"]
        assert grounded["made"]["ungrounded pairs"] == shards["tables"]["captions"].get("ungrounded", 0)
        assert sum(shards["tables"]["captions"].values()) == shards["made"]["captions"]
        assert grounded["made"]["entities"] == shards["made"]["entities"]
        assert vqa["made"]["questions"] == shards["made"]["questions"]
        assert vqa["made"]["questions kept out"] == 0
