"""Stages in environments of their own, as profiles/venvs has them."""

import shutil
import subprocess
import sys
import sysconfig

import pytest
import yaml

from projects import Project

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def apart(finished, tmp_path_factory):
    """A finished run with the environments that the profile names: real ones, which borrow their packages here and note that
    they were used.
    """
    project = Project(tmp_path_factory.mktemp("apart") / "copy")
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    profile = yaml.safe_load((project.folder / "profiles/venvs/config.yaml").read_text(encoding="utf-8"))
    assert set(profile["set-resources"]) == {"masks_shard", "adapt", "train", "evaluate"}
    for python in {resources["python"] for resources in profile["set-resources"].values()}:
        place = project.folder / python.removesuffix("/bin/python")
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
        (packages,) = place.glob("lib/python*/site-packages")
        noted = f"import pathlib; pathlib.Path({str(place / 'used')!r}).touch()"
        (packages / "borrowed.pth").write_text(f"{sysconfig.get_path('purelib')}\n{noted}\n")
    return project


def test_other_python_reruns_no_stage(apart):
    assert apart.planned("all", profile="profiles/venvs") == set()


def test_stage_runs_in_its_environment(apart):
    target = "results/masks/demo/0/metrics.json"
    apart.snakemake(target, "--forcerun", "masks_shard", profile="profiles/venvs")
    assert {path.parent.name for path in apart.folder.glob(".venv-*/used")} == {".venv-segment"}
