"""The commands of docs/tutorial-totalsegmentator.md, in their order, on made-up patients in the layout of the set."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml

from projects import copy_project
from refrad.config import check_config
from refrad.demo.public_set import NOTES, ROOT

pytestmark = pytest.mark.slow
PAGE = "tutorial-totalsegmentator.md"
SHORTER = {
    "train": {"steps": 30, "tower_pretraining_steps": 10},
    "evaluate": {"samples": 8},
}  # no test is about a good model


def blocks_of(page):
    """The indented blocks of a page, each with the last line of text before it."""
    blocks = re.findall(r"([^\n]*)\n\n((?:    .*\n|\n(?=    ))+)", page)
    return [(text, "".join(f"{line[4:]}\n" for line in block.splitlines())) for text, block in blocks]


@pytest.fixture(scope="module")
def page(root):
    return (root / "docs" / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def site(page, tmp_path_factory):
    """A project in which the commands were run, and their outputs by the command's first two words."""
    project = copy_project(tmp_path_factory.mktemp("tutorial"))
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src"), "OMP_NUM_THREADS": "1", "PATH": path}
    outputs = {}
    for text, block in blocks_of(page):
        if name := re.search(r"Write `(\w+\.yaml)`:$", text):
            own = yaml.safe_load(block)
            own |= {section: own[section] | SHORTER[section] for section in own if name[1] == "model.yaml"}
            (project.folder / name[1]).write_text(yaml.safe_dump(own), encoding="utf-8")
        if not block.startswith(("refrad ", "snakemake ")):
            continue
        run = subprocess.run(block, shell=True, cwd=project.folder, env=environment, capture_output=True, text=True)
        if run.returncode:
            pytest.fail(f"{block}\n{run.stdout[-3000:]}\n{run.stderr[-8000:]}")
        outputs[" ".join(shlex.split(block)[:2])] = run.stdout + run.stderr
    return project.folder, outputs


def test_downloads_fill_the_folder_that_the_demo_fills(page, site):
    folder, _ = site
    (download,) = [block for _, block in blocks_of(page) if block.startswith("mkdir")]
    assert f"unzip -q data/set.zip -d data/{ROOT}" in download and f"-o data/{NOTES} " in download
    assert "https://zenodo.org/records/10047292/files/" in download
    assert (folder / "data" / NOTES).is_file() and (folder / "data" / ROOT / "meta.csv").is_file()


def test_all_steps_are_run(site):
    assert list(site[1]) == [
        "refrad demo",
        "refrad public-set",
        "refrad plan",
        "snakemake dataset",
        "refrad export",
        "snakemake --profile",
        "refrad predict",
    ]


def test_files_that_the_page_names_are_made(page, site):
    folder, _ = site
    named = re.findall(r"`((?:results|predicted|site-tables)/[^`]*)`", page)
    assert len(named) >= 5 and all((folder / name).exists() for name in named)


def test_dataset_has_boxes_in_each_split(site):
    images = pl.read_parquet(site[0] / "results/shards/data/**/*.parquet", columns=["split", "captions"])
    grounded = images.filter(pl.col("captions").list.eval(pl.element().struct["entities"].list.len()).list.max() > 0)
    assert set(grounded["split"]) == {"train", "validation", "test"}
    assert len(grounded) > 20


def test_terms_of_the_set_are_in_card_and_export(site):
    folder, _ = site
    for card in (folder / "results/shards/README.md", folder / "results/export/coco/README.md"):
        text = card.read_text(encoding="utf-8")
        assert "CC BY-NC-ND" in text and "TotalSegmentator" in text, card


def test_config_for_a_gpu_is_valid(page, root, monkeypatch):
    monkeypatch.chdir(root)
    (own,) = [block for text, block in blocks_of(page) if text.endswith("Write `gpu.yaml`:")]
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    for key, value in yaml.safe_load(own).items():
        config[key] |= value
    train = check_config(config, downloads=False).train
    assert train.batch * train.grad_accumulation == 288 and train.lora
