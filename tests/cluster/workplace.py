"""Copies of the project in which a site works on a cluster."""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import slurm
import yaml

from projects import SMALL_DEMO, copy_project

PATIENCE = 1200  # seconds for a run: machines may be busy
BIN = Path(sys.executable).parent

DELIVERIES = [
    {
        "name": name,
        "dicom": f"demo/{name}/dicom",
        "reports": f"demo/{name}/reports.csv",
        "references": f"demo/{name}/references.csv",
        "masks": None,
        "shards": 1,
    }
    for name in ("first", "second")
]


@dataclass
class Workplace:
    """A copy of the project in which a site works; `planned`: how many jobs of each rule its run should have."""

    folder: Path
    planned: Counter[str] = field(default_factory=Counter)

    def set_up(self) -> "Workplace":
        """Copy the project there, with two small made-up deliveries in its config.yaml, as a site would edit it."""
        self.folder.mkdir()
        copy_project(self.folder)
        folder = self.folder
        config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
        own = SMALL_DEMO | {"demo": {"patients": 6}, "deliveries": DELIVERIES}
        # Trained for so many steps, not seconds, by one thread: the same weights on every machine.
        own |= {"train": SMALL_DEMO["train"] | {"max_seconds": None}}
        for key, value in own.items():
            config[key] = config[key] | value if isinstance(value, dict) else value
        (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
        self.edit("profiles/slurm/config.yaml", r'gpu_type: ""', "gpu_type: fake")
        # train.gpus stays 0, since these GPUs cannot compute, but the job asks for one as it would for a real one.
        self.edit("profiles/slurm/config.yaml", r"(\n  train:.*\n)", r"\1    gpu: 1\n")
        self.edit("profiles/slurm/config.yaml", r"(seconds-before-status-checks): 5", r"\1: 12")  # jobs of seconds
        return self

    def without(self, *stages: str, at: Path) -> "Workplace":
        """A copy of it at another place, with the results and logs of some stages taken away."""
        shutil.copytree(self.folder, at, symlinks=True)
        for stage in stages:
            shutil.rmtree(at / "results" / stage)
            shutil.rmtree(at / "logs" / stage)
        return Workplace(at)

    def configure(self, **sections: dict[str, Any]) -> None:
        """Change keys of sections of its config.yaml."""
        path = self.folder / "config.yaml"
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        for key, value in sections.items():
            config[key] |= value
        path.write_text(yaml.safe_dump(config), encoding="utf-8")

    def edit(self, name: str, pattern: str, replacement: str) -> None:
        """Replace what matches, which must be there, in a file of the copy."""
        path = self.folder / name
        text, number = re.subn(pattern, replacement, path.read_text(encoding="utf-8"))
        assert number, f"{name} has no {pattern}"
        path.write_text(text, encoding="utf-8")

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command in the copy, as at its prompt; what it says goes to said.txt."""
        path = os.pathsep.join([str(BIN), os.environ["PATH"]])
        environment = os.environ | {"PATH": path, "PYTHONPATH": str(self.folder / "src"), "OMP_NUM_THREADS": "1"}
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(command, cwd=self.folder, env=environment, stdout=said, stderr=said, text=True)

    def run(self, *command: str, status: int = 0) -> str:
        """Run a command in the copy to its end; what it said. Fails if it ends otherwise than with `status`."""
        process = self.start(*command)
        try:
            ended = process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.terminate()
            ended = None
        if ended != status:
            pytest.fail(f"{' '.join(command)}: {ended}\n{self.said()[-12000:]}")
        return self.said()

    def jobs(self, rule: str = "", state: str = "") -> list[dict[str, str]]:
        """Its jobs that the cluster has seen, of one rule, in one state."""
        mine = [job for job in slurm.jobs() if job["WorkDir"] == str(self.folder)]
        return [job for job in mine if rule in ("", job["Rule"]) and state in ("", job["JobState"])]

    def labels(self) -> dict[Path, int]:
        """The finished label volumes of its store, and when each was written."""
        return {path: path.stat().st_mtime_ns for path in (self.folder / "stores/masks").rglob("[0-9a-f]*.nii.gz")}

    def answers(self, *, failures: bool = False) -> dict[str, float]:
        """The answers of language models in its store, and when each was written; with what failed, or without."""
        answers: dict[str, float] = {}
        for path in (self.folder / "stores/llm").glob("*.sqlite"):
            with (
                contextlib.closing(sqlite3.connect(path, timeout=60)) as database,
                contextlib.suppress(sqlite3.OperationalError),  # no table yet
            ):
                rows = database.execute("select key, at from replies where answer is not null or ?", (failures,))
                answers |= dict(rows.fetchall())
        return answers

    def plan(self) -> Counter[str]:
        """How many jobs of each rule a run would have."""
        lines = self.run(
            "snakemake", "all", "--dry-run", "--profile", "slurm", "--logger", "refrad", "--logger-refrad-json"
        )
        return Counter(json.loads(line)["rule"] for line in lines.splitlines() if line.startswith("{"))

    def said(self) -> str:
        return (self.folder / "said.txt").read_text(encoding="utf-8")


def until(what: Callable[[], Any]) -> Any:
    """Wait until something is true; it comes back."""
    end = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.3)
    return found
