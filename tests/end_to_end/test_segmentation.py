"""The whole workflow with masks in the place of boxes."""

import json
import shutil

import pytest

from projects import SMALL_DEMO, Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def masks(finished, tmp_path_factory):
    """The finished run, trained and evaluated once more in the segmentation variant under another name."""
    folder = tmp_path_factory.mktemp("masks")
    shutil.copytree(finished.folder, folder, dirs_exist_ok=True, symlinks=True)
    project = Project(folder)
    tasks = {"locate": 0.8, "detect": 0.2, "vqa": 0.0}
    short = SMALL_DEMO["train"] | {"name": "masks", "variant": "segmentation", "tasks": tasks}
    project.configure(SMALL_DEMO | {"train": short, "evaluate": {"samples": 4, "compare_with": ["demo"]}})
    assert project.planned("all") == {"train", "evaluate", "report"}
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
