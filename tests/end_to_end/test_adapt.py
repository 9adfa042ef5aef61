"""The adaptation of the vision tower in the workflow: between the shards and the training."""

import json
import shutil

import pytest

from projects import SMALL_DEMO, Project

pytestmark = pytest.mark.slow


def test_adapted_tower_is_trained_and_on_the_pages(finished, tmp_path):
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    project.configure(
        SMALL_DEMO
        | {
            "adapt": {"steps": 3, "batch": 4, "threads": 1},
            "train": {"steps": 3, "tower_pretraining_steps": 0, "threads": 1},
            "evaluate": {"samples": 2, "resamples": 100},
        }
    )
    assert project.planned("all") == {"adapt", "train", "evaluate", "report"}
    project.snakemake("all")
    account = json.loads((project.folder / "results/train/demo/training.json").read_text())
    assert json.loads(account["tower"])["options"]["steps"] == 3
    page = (project.folder / "results/report/stages/adapt.html").read_text()
    assert "recall@5 by chance" in page and "<svg" in page
    assert project.planned("all") == set()
