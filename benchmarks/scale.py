"""Simulated archives through the workflow: does the time grow with the shards and no faster, and does the head stay small?

python benchmarks/scale.py [--shards 1 2 4] [--patients 32] [--picture scale.png]

1. The plan of the whole archive of 217,388 volumes, as a dry run of `all`.
2. All its jobs up to the shards through Snakemake's head process, with a STAND-IN for the stages that writes a word into each
   output: what the head alone takes.
3. Growing archives through the real stages from index to shards. Two things are simulated: the bodies are three blocks in
   noise, and the label volumes are premade ("precomputed", the segmenter of sites that have masks already) in place of the
   GPU stage. Training and evaluation are no part of it. A line is fitted, and the whole archive is read off it.
"""

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from pydicom.uid import generate_uid

from refrad.demo.scanner import Series, write_series
from refrad.workflow.stages import STAGES

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = 217_388  # volumes, as published
PATIENTS_A_SHARD, VOLUMES_A_PATIENT = 256, 2
DELIVERIES = 10
LARGER = 8  # times the patients, of the one shard that shows what a volume takes
SHAPE = (32, 32, 10)
AFFINE = np.diag([-10.0, -10.0, 10.0, 1.0])
REPORTS = (
    "Befund:\nLeber homogen (Se 1, IMA 4). Milz nicht vergrößert. Beide Nieren unauffällig.\nBeurteilung: Keine Zyste der Leber.",
    "Findings:\nThe liver is normal. No lesion of the spleen (Se 2, IMA 5). Status post left nephrectomy.\nImpression: Normal liver.",
)

# Stands in for every stage: its arguments name its outputs, which do not exist yet.
STAND_IN = """#!/bin/sh
for word; do case $word in results/*|private/*/*) [ -e "$word" ] || echo stand-in > "$word";; esac; done
"""


def labels() -> np.ndarray:
    """The premade label volume of all patients: liver, spleen and a kidney as blocks."""
    volume = np.zeros(SHAPE, np.uint8)
    volume[2:14, 6:20, 1:9], volume[22:29, 8:18, 2:8], volume[8:13, 22:28, 3:7] = 5, 1, 2
    return volume


def write_archive(folder: Path, patients: int) -> None:
    """A delivery of `patients` patients, two CT series and one report each."""
    rng = np.random.default_rng(0)
    blocks = np.where(labels() > 0, 60, -900).astype(np.int16)
    rows = []
    for patient in range(patients):
        study = generate_uid(entropy_srcs=[f"study {patient}"])
        headers = {"PatientID": f"P{patient:06d}", "StudyInstanceUID": study, "StudyDate": "20240102"}
        for number in range(1, VOLUMES_A_PATIENT + 1):
            noise = rng.integers(-20, 20, SHAPE, dtype=np.int16)  # so that no two volumes are one in the store
            series = Series("CT", number, generate_uid(entropy_srcs=[study, str(number)]), headers)
            place = folder / "dicom" / f"{patient:06d}" / str(number)
            write_series(blocks + noise, AFFINE, series, [place / str(k) for k in range(SHAPE[2])])
        rows.append({"report_id": str(patient), "study_uid": study, "text": REPORTS[patient % 2]})
    with (folder / "reports.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["report_id", "study_uid", "text"])
        writer.writeheader()
        writer.writerows(rows)
    (folder / "premade").mkdir()
    nib.save(nib.Nifti1Image(labels(), AFFINE), folder / "premade" / "all.nii.gz")
    (folder / "premade" / "masks.csv").write_text("dicom,mask\n.,all.nii.gz\n", encoding="utf-8")


def delivery(name: str, folder: Path, shards: int) -> dict:
    """Its entry in the config."""
    paths = {"dicom": folder / "dicom", "reports": folder / "reports.csv", "masks": folder / "premade"}
    return {"name": name, "references": None, "shards": shards} | {key: str(path) for key, path in paths.items()}


@dataclass(frozen=True)
class Run:
    """What Snakemake took: processor seconds with all its jobs, seconds on the clock, resident memory of its head process in
    MB at its largest and twice a second, and what it said.
    """

    cpu: float
    clock: float
    peak: float
    memory: Sequence[float]
    said: str

    def grown(self) -> float:
        """Memory of the head in the last tenth of the run beside that of the second tenth, when all is planned."""
        tenth = max(len(self.memory) // 10, 1)
        return float(np.median(self.memory[-tenth - 1 : -1]) / np.median(self.memory[tenth : 2 * tenth]))


def snakemake(project: Path, deliveries: list[dict], *arguments: str) -> Run:
    """Run Snakemake on the deliveries.

    Raises:
        SystemExit: if it fails, with its last words.
    """
    config = {"deliveries": deliveries, "privacy": {"key": "private/key"}, "masks": {"segmenter": "precomputed"}}
    config |= {
        "card": {"title": "Scale", "creator": "The benchmark", "terms": "Internal use only"},
        "train": {"name": "site"},
    }
    (project / "own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", *arguments, "--profile", "profiles/local", "--cores", "2"]
    command += ["--configfile", "config.yaml", "own.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    start, clock, peak, memory = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic(), 0.0, []
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=said, stderr=subprocess.STDOUT)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            now = {
                line.split()[0]: int(line.split()[1]) / 1e3 for line in status.read_text().splitlines() if " kB" in line
            }
            peak = max(peak, now.get("VmHWM:", 0.0))
            memory.append(now.get("VmRSS:", 0.0))
            time.sleep(0.5)
        said.seek(0)
        words = said.read().decode(errors="replace")
        if process.returncode:
            raise SystemExit(words[-4000:])
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime
    return Run(cpu, time.monotonic() - clock, peak, memory, words)


def copy(folder: Path) -> Path:
    """The project's rules and data in a folder of their own."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("rules", "envs", "workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def archive(project: Path) -> list[dict]:
    """The deliveries of 217,388 volumes, in as many shards as they take; one patient stands for each."""
    write_archive(project / "archive", 1)
    shards = -(-ARCHIVE // (PATIENTS_A_SHARD * VOLUMES_A_PATIENT * DELIVERIES))
    return [delivery(f"year{year}", project / "archive", shards) for year in range(DELIVERIES)]


def plan(project: Path, deliveries: list[dict]) -> Run:
    """Plan all of it."""
    return snakemake(project, deliveries, "all", "--dry-run")


def with_stand_in(project: Path, deliveries: list[dict]) -> Run:
    """Every job up to the shards, with STAND_IN in place of the Python that runs the stages."""
    stand_in = project / "stand-in.sh"
    stand_in.write_text(STAND_IN, encoding="utf-8")
    stand_in.chmod(0o755)
    rules = [stage.rule for stage in STAGES.values() if stage.per != "run"]
    return snakemake(
        project, deliveries, "shards", "--set-resources", *[f"{rule}:python='{stand_in}'" for rule in rules]
    )


def real(shards: int, patients: int) -> Run:
    """An archive of so many shards through the stages themselves."""
    with tempfile.TemporaryDirectory() as folder:
        project = copy(Path(folder))
        write_archive(project / "archive", shards * patients)
        return snakemake(project, [delivery("archive", project / "archive", shards)], "shards")


def draw(path: Path, shards: np.ndarray, seconds: np.ndarray, line: np.ndarray, memory: Sequence[float]) -> None:
    """The curve with its fit, and beside it the memory of the head while it runs all jobs of the archive."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(shards, seconds, "o", label="measured")
    left.plot([0, shards.max()], np.polyval(line, [0, shards.max()]), label="fitted line")
    left.set(xlabel="shards", ylabel="processor seconds", title="index to shards", ylim=(0, None), xlim=(0, None))
    left.legend()
    right.plot(np.arange(len(memory) - 1) / 2, memory[:-1])
    right.set(xlabel="seconds", ylabel="MB", title="head process, all jobs of the archive", ylim=(0, 350))
    right.axhline(300, linestyle=":", color="gray")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print the plan, the head's share, the curve and its fit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--patients", type=int, default=32, help="in a shard")
    parser.add_argument("--picture", type=Path, help="draw the curve there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = copy(Path(folder))
        deliveries = archive(project)
        planned = plan(project, deliveries)
        jobs = len(planned.said.splitlines()) - 1  # one line is Snakemake's own
        print(f"plan of {ARCHIVE:,} volumes: {jobs:,} jobs, {planned.cpu:.1f} CPU s, {planned.peak:.0f} MB", flush=True)
        head = with_stand_in(project, deliveries)
        print(
            f"all jobs up to the shards with a stand-in for the stages: {head.clock:.0f} s, {head.cpu:.0f} CPU s,"
            f" head process {head.peak:.0f} MB, {100 * head.grown() - 100:+.1f} % from beginning to end",
            flush=True,
        )
    points = []
    for number in options.shards:
        run = real(number, options.patients)
        points.append((number, run.cpu, run.clock))
        volumes = number * options.patients * VOLUMES_A_PATIENT
        print(
            f"{number:>4} shards, {volumes:>6,} volumes: {run.cpu:7.1f} CPU s, {run.clock:6.1f} s, head process {run.peak:.0f} MB",
            flush=True,
        )
    shards, seconds, clock = np.array(points, float).T
    for name, values in (("CPU s", seconds), ("s on the clock", clock)):
        line = np.polyfit(shards, values, 1)
        rest = values - np.polyval(line, shards)
        fit = 1 - rest @ rest / np.sum((values - values.mean()) ** 2)
        print(f"line: {line[1]:.1f} + {line[0]:.1f} {name} a shard, R² = {fit:.4f}")
    line = np.polyfit(shards, seconds, 1)
    # A shard costs the start of its jobs and its volumes: one larger shard tells them apart.
    larger = LARGER * options.patients
    a_volume = (real(1, larger).cpu - np.polyval(line, 1)) / ((larger - options.patients) * VOLUMES_A_PATIENT)
    a_shard = line[0] - a_volume * options.patients * VOLUMES_A_PATIENT
    print(f"of a shard {a_shard:.1f} CPU s for the start of its jobs, and {1000 * a_volume:.0f} CPU ms a volume")
    whole = (line[1] + a_shard * len(deliveries) * deliveries[0]["shards"] + a_volume * ARCHIVE) / 3600
    print(f"read off for {ARCHIVE:,} such volumes: {whole:.1f} CPU h")
    if options.picture:
        draw(options.picture, shards, seconds, line, head.memory)


if __name__ == "__main__":
    main()
