"""`make venvs-test`: the workflow with each stack in an environment of its own, built from its pins and nothing else."""

import os
import subprocess

import pytest

from projects import PROJECT, SMALL_DEMO, copy_project

STACKS = ("curate", "segment", "train")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("REFRAD_STACKS"), reason="make venvs-test builds the environments first"),
]


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """A small demo through the workflow, started from the environment of curation; the profile names the others."""
    project = copy_project(tmp_path_factory.mktemp("apart"))
    project.configure(SMALL_DEMO)
    for stack in STACKS:
        (project.folder / f".venv-{stack}").symlink_to(PROJECT / f".venv-{stack}")
    return project


def snakemake(project, *arguments):
    # No PYTHONPATH: each environment brings what it has.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [".venv-curate/bin/python", "-m", "snakemake", "all", *arguments, "--profile", "profiles/venvs"]
    command += ["--cores", "2", "--configfile", "config.yaml", "own.yaml"]
    run = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-4000:]
    return run.stdout


@pytest.mark.parametrize("stack", STACKS)
def test_environment_has_all_requirements_of_its_packages(stack):
    check = [PROJECT / f".venv-{stack}" / "bin" / "python", "-m", "pip", "check"]
    run = subprocess.run(check, capture_output=True, text=True)
    asked = {line.split(" requires ")[1].split(",")[0] for line in run.stdout.splitlines() if " requires " in line}
    # torchvision stays out on purpose, see docs/developing.md; argparse is Python's own.
    assert asked <= {"torchvision", "argparse"}


def test_workflow_runs_and_curation_has_no_torch(apart):
    snakemake(apart)
    assert (apart.folder / "results" / "report" / "index.html").exists()
    torch = subprocess.run([apart.folder / ".venv-curate/bin/python", "-c", "import torch"], capture_output=True)
    assert torch.returncode != 0
    assert "nothing" in snakemake(apart, "--dry-run")
