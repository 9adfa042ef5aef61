"""A simulated archive through the workflow: does the time grow with the shards and no faster, and does the head stay small?

python benchmarks/scale.py [--shards 1 2 4] [--patients 32]

Everything is real but two things, both named so: the bodies are three blocks in noise, and the label volumes are premade
("precomputed", the segmenter of sites that have masks already), since the networks' time is linear by itself. The plan of
the whole archive of 217,388 volumes is made as a dry run; its time is read off the fitted line.
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
from pathlib import Path

import nibabel as nib
import numpy as np
import yaml
from pydicom.uid import generate_uid

from refrad.demo.scanner import Series, write_series

ROOT = Path(__file__).resolve().parents[1]
ARCHIVE = 217_388  # volumes, as published
PATIENTS_A_SHARD, VOLUMES_A_PATIENT = 256, 2
DELIVERIES = 10
SHAPE = (32, 32, 10)
AFFINE = np.diag([-10.0, -10.0, 10.0, 1.0])
REPORTS = (
    "Befund:\nLeber homogen (Se 1, IMA 4). Milz nicht vergrößert. Beide Nieren unauffällig.\nBeurteilung: Keine Zyste der Leber.",
    "Findings:\nThe liver is normal. No lesion of the spleen (Se 2, IMA 5). Status post left nephrectomy.\nImpression: Normal liver.",
)


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


def snakemake(project: Path, deliveries: list[dict], *arguments: str) -> tuple[float, float]:
    """Processor seconds of a run with all its jobs, and the largest resident memory of its head process in MB."""
    config = {"deliveries": deliveries, "privacy": {"key": "private/key"}, "masks": {"segmenter": "precomputed"}}
    (project / "own.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    command = [sys.executable, "-m", "snakemake", *arguments, "--profile", "profiles/local", "--cores", "2"]
    command += ["--configfile", "config.yaml", "own.yaml"]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), 0.0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, cwd=project, env=environment, stdout=said, stderr=subprocess.STDOUT)
        status = Path(f"/proc/{process.pid}/status")
        while process.poll() is None:
            peak = max(peak, *[int(x.split()[1]) / 1e3 for x in status.read_text().splitlines() if "VmHWM" in x], 0.0)
            time.sleep(0.05)
        if process.returncode:
            said.seek(0)
            raise SystemExit(said.read().decode(errors="replace")[-4000:])
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime, peak


def copy(folder: Path) -> Path:
    """The project's rules and data in a folder of their own."""
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder / name)
    for name in ("rules", "envs", "workflow", "profiles"):
        shutil.copytree(ROOT / name, folder / name)
    return folder


def main() -> None:
    """Print the curve, its fit and the plan of the whole archive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--patients", type=int, default=32, help="in a shard")
    options = parser.parse_args()
    points = []
    for shards in options.shards:
        with tempfile.TemporaryDirectory() as folder:
            project = copy(Path(folder))
            write_archive(project / "archive", shards * options.patients)
            seconds, memory = snakemake(project, [delivery("archive", project / "archive", shards)], "shards")
            points.append((shards * options.patients * VOLUMES_A_PATIENT, seconds))
            print(
                f"{shards:>4} shards, {points[-1][0]:>6} volumes: {seconds:7.1f} CPU s, head process {memory:.0f} MB",
                flush=True,
            )
    volumes, seconds = np.array(points, float).T
    slope, start = np.polyfit(volumes, seconds, 1)
    off = np.max(np.abs(start + slope * volumes - seconds) / seconds)
    print(f"line: {start:.1f} CPU s + {1000 * slope:.1f} ms a volume, no point further off than {100 * off:.0f} %")
    print(f"read off for {ARCHIVE:,} such volumes: {(start + slope * ARCHIVE) / 3600:.1f} CPU h")
    with tempfile.TemporaryDirectory() as folder:
        project = copy(Path(folder))
        write_archive(project / "archive", 1)
        shards = -(-ARCHIVE // (PATIENTS_A_SHARD * VOLUMES_A_PATIENT * DELIVERIES))
        deliveries = [delivery(f"year{year}", project / "archive", shards) for year in range(DELIVERIES)]
        seconds, memory = snakemake(project, deliveries, "all", "--dry-run")
        print(f"plan of {DELIVERIES} deliveries, {DELIVERIES * shards} shards: {seconds:.1f} CPU s, {memory:.0f} MB")


if __name__ == "__main__":
    main()
