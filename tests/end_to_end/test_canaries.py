"""Identifiers planted in every corner of the archive are found in no output, log, page or error of the whole workflow."""

import json
import subprocess
import sys

import pydicom
import pytest
from tests.end_to_end.canaries import ATTRIBUTES, PLANTED, contents

from refrad.core.contracts import InstanceTable, SliceTable
from refrad.core.tables import read_table
from refrad.dicom.headers import headers_of_dataset
from refrad.privacy.pseudonyms import Pseudonyms, read_or_create_key

pytestmark = pytest.mark.slow


def caught(text: str | bytes) -> list[str]:
    content = text.encode() if isinstance(text, str) else text
    return [planted for planted in PLANTED if planted.lower().encode() in content.lower()]


def test_planted_identifiers_are_in_the_archive(finished):
    """Else the test below would prove nothing."""
    files = [path for path in (finished.folder / "demo/demo/dicom").rglob("KANARI_*") if path.is_file()]
    assert len(files) > 300
    dataset = pydicom.dcmread(files[0])
    assert {dataset[keyword].VR for keyword in ATTRIBUTES} >= {
        "AE",
        "CS",
        "DA",
        "DT",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "UC",
        "UI",
        "UR",
        "UT",
    }
    assert caught(str(dataset)) and caught(str(files[0]))
    assert caught((finished.folder / "demo/demo/reports.csv").read_text())
    assert caught(str(headers_of_dataset(dataset, "x", has_pixels=True)))


@pytest.mark.parametrize("folder", ["results", "logs", "stores", ".snakemake/log"])
def test_planted_identifiers_are_in_no_result(folder, finished):
    looked = 0
    for name, content in contents(finished.folder / folder):
        looked += 1
        assert not caught(name), "a planted identifier is part of a file name"
        assert not caught(content), f"{len(caught(content))} planted identifiers in {name}"
    assert looked


def test_images_with_burned_in_text_are_in_no_result(finished):
    instances = read_table(finished.folder / "results/index/demo/instances.parquet", InstanceTable)
    pseudonyms = Pseudonyms(read_or_create_key(finished.folder / "demo" / "key"))
    for number, reason in enumerate(["burned_in"] * 5 + ["secondary_capture"]):
        name = pseudonyms.instance(f"{PLANTED[-1]}.{number}")
        assert instances.filter(instances["instance"] == name)["reason"].to_list() == [reason]
        for shard in (0, 1):
            slices = read_table(finished.folder / f"results/volumes/demo/{shard}/slices.parquet", SliceTable)
            assert name not in slices["instance"]


def test_errors_hold_no_planted_identifier(finished, tmp_path):
    """A delivery that cannot be indexed: what is said quotes no file and no header."""
    delivery = finished.folder / "demo/demo"
    options = json.loads((finished.folder / "results/index/demo/metrics.json").read_text())["fingerprint"]
    command = [sys.executable, "-m", "refrad", "index", "--dicom", delivery / "dicom", "--reports", delivery]
    command += ["--files", tmp_path / "files.parquet", "--instances", tmp_path / "instances.parquet", "--shards", "2"]
    command += ["--metrics", tmp_path / "metrics.json", "--fingerprint", options, "--key", tmp_path / "key"]
    (tmp_path / "key").write_bytes(b"short")
    run = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert run.returncode == 1
    assert "privacy.key" in run.stderr
    assert not caught(run.stdout + run.stderr)
