"""The whole workflow with masks in the place of boxes, and with an adaptation of the vision tower between shards and training."""

import json
import shutil

import pytest

from projects import SMALL_DEMO, Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def masks(finished, tmp_path_factory):
    """The finished run, trained and evaluated once more in the segmentation variant under another name, with an adapted tower."""
    folder = tmp_path_factory.mktemp("masks")
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True, symlinks=True)
    project = Project(folder)
    tasks = {"locate": 0.8, "detect": 0.2, "vqa": 0.0}
    short = SMALL_DEMO["train"] | {"name": "masks", "variant": "segmentation", "tasks": tasks}
    config = SMALL_DEMO | {"train": short, "evaluate": {"samples": 4, "resamples": 200, "compare_with": ["demo"]}}
    project.configure(config)
    assert project.planned("all") == {"train", "evaluate", "model_report"}
    project.configure(config | {"adapt": {"steps": 3, "batch": 4, "threads": 1}})
    assert project.planned("all") == {"adapt", "train", "evaluate", "model_report"}
    project.snakemake("all")
    return project


def test_segmentation_run_ends_with_mask_scores(masks):
    metrics = json.loads((masks.folder / "results" / "evaluate" / "masks" / "metrics.json").read_text())
    assert metrics["marks"] == "masks" and metrics["asked"] > 0
    assert {"untrained", "mean_mask", "mean_box"} == set(metrics["baselines"])
    assert 0 <= metrics["mean_dice"] <= 1 and metrics["baselines"]["mean_mask"]["mean_dice"] > 0
    assert {row["run"] for row in metrics["compared"]} == {"demo"}  # questions alone: masks and boxes are other items


def test_segmentation_page_has_masks(masks):
    page = (masks.folder / "results" / "report" / "stages" / "evaluate.html").read_text()
    assert "mean training mask of the class" in page and "Mean Dice" in page
    assert page.count('class="outlines"') >= 2


def test_adapted_tower_is_trained_and_on_the_pages(masks):
    account = json.loads((masks.folder / "results/train/masks/training.json").read_text())
    assert json.loads(account["tower"])["options"]["steps"] == 3
    page = (masks.folder / "results/report/stages/adapt.html").read_text()
    assert "recall@5 by chance" in page and "<svg" in page
    assert masks.planned("all") == set()
