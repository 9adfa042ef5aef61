"""Copies of the project in temporary folders, where whole runs of the workflow may edit what they like."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Project:
    """A working copy of the project with a config of its own beside config.yaml."""

    folder: Path

    def configure(self, config: dict) -> None:
        (self.folder / "own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")

    def snakemake(
        self, *arguments: str, check: bool = True, profile: str = "profiles/local"
    ) -> subprocess.CompletedProcess[str]:
        # Rules, library and configuration all come from the copy, so that a test may change any of them.
        environment = os.environ | {"PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-m", "snakemake", *arguments, "--profile", profile, "--cores", "2"]
        command += ["--configfile", "config.yaml", "own.yaml"]
        run = subprocess.run(command, cwd=self.folder, env=environment, capture_output=True, text=True)
        if check and run.returncode != 0:
            pytest.fail(f"snakemake {' '.join(arguments)}\n{run.stdout[-3000:]}\n{run.stderr[-8000:]}")
        return run

    def planned(self, *arguments: str, profile: str = "profiles/local") -> set[str]:
        """Names of the rules that a dry run of `all` would run."""
        run = self.snakemake("--dry-run", *arguments, profile=profile)
        return {line.split()[0] for line in run.stdout.splitlines()} - {"nothing"}


def copy_project(target: Path) -> Project:
    for name in ("Snakefile", "config.yaml", "pyproject.toml"):
        shutil.copy(PROJECT / name, target / name)
    for name in ("rules", "envs", "workflow", "profiles", "src"):
        shutil.copytree(PROJECT / name, target / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (target / "slurm").symlink_to("profiles/slurm")
    return Project(target)


SMALL_DEMO = {
    "demo": {"patients": 10},
    "index": {"test": 0.3, "validation": 0.2},  # of ten patients, some for each split
    "train": {"max_seconds": 15.0, "threads": 1, "steps": 60, "tower_pretraining_steps": 20},
    "evaluate": {"samples": 8},
    "report": {"gallery": 8},
}
