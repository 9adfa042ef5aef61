"""The commands of docs/tutorial-ct-rate.md that need no access to the set, and each figure that the page says they print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from projects import PROJECT, copy_project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def blocks(root):
    """The indented blocks of the page."""
    page = (root / "docs" / "tutorial-ct-rate.md").read_text(encoding="utf-8")
    return [
        "".join(f"{line[4:]}\n" for line in block.splitlines()) for block in re.findall(r"(?:^    .*\n)+", page, re.M)
    ]


def run(folder, command):
    """What a command of the page prints."""
    environment = os.environ | {"PYTHONPATH": str(PROJECT / "src"), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.run(command, shell=True, cwd=folder, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, f"{command}\n{process.stdout[-2000:]}\n{process.stderr[-4000:]}"
    return process.stdout


@pytest.fixture
def project(tmp_path):
    folder = copy_project(tmp_path).folder
    (folder / "benchmarks").symlink_to(PROJECT / "benchmarks")
    return folder


def test_figures_of_the_page_are_those_of_its_command(blocks, project):
    (tables,) = [block for block in blocks if block.startswith("python benchmarks/nifti.py")]
    (estimate,) = [block for block in blocks if "--estimate" in block]
    run(project, tables)
    printed = run(project, estimate).splitlines()
    figures = [
        line for block in blocks for line in block.splitlines() if block.startswith(("volumes:", "index  ", "tokens"))
    ]
    assert len(figures) == 14
    for line in figures:
        assert any(text.startswith(line) for text in printed), line
    assert not (project / "site.yaml").exists()


def test_set_that_is_downloaded_is_planned_with_the_recipe(blocks, project):
    (commands,) = [block for block in blocks if "--out site.yaml" in block]
    write, plan, start = commands.splitlines()
    run(
        project / "benchmarks",
        f"python -c 'import nifti, pathlib; nifti.write_set(pathlib.Path(\"{project}/data/CT-RATE\"), 40)'",
    )
    assert "volumes: 40 delivered" in run(project, write)
    assert "GPU h" in run(project, plan)
    assert start.endswith("config.yaml workflow/recipes/refrad2d.yaml site.yaml -- dataset")
