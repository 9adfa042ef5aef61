"""Index and plan of a made-up set of NIfTI volumes in the layout of CT-RATE: time, and whether the memory stays flat.

python benchmarks/nifti.py [--volumes 2000]
python benchmarks/nifti.py --volumes 50188    the size of CT-RATE
python benchmarks/nifti.py --volumes 50188 --tables data/CT-RATE    only the tables of such a set, for docs/tutorial-ct-rate.md

Each file has a NIfTI header of its own and the first blocks of its compressed voxels; the rest of its usual size is a hole, which
takes no room on the disk: only a program that reads beyond the headers would notice. The files have just been written, so the
operating system may hold them in memory: only an administrator can empty its cache, and this script does not.

1. `refrad plan`, with the index that it makes, on an eighth of the volumes and on all of them, in processes of their own.
2. The headers of the same files read by nibabel and by RefRad, in one process.
3. One whole volume decompressed, compared with its header.
"""

import argparse
import csv
import gzip
import json
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple, TextIO

import nibabel as nib
import numpy as np
import yaml
from volumes import measured

ROOT = Path(__file__).resolve().parents[1]
# Patients, scans and volumes of CT-RATE: training, and validation.
CT_RATE = {"train": (20_000, 24_128, 47_149), "valid": (1_304, 1_564, 3_039)}
VOLUMES = sum(volumes for _, _, volumes in CT_RATE.values())
PATTERN = r"dataset/(train|valid)_fixed/(?P<patient>[^/]+)/(?P<study>[^/]+)/(?P<series>[^/]+)\.nii\.gz"
SIDE = 512
BLOCK = 1 << 18  # bytes of voxels that are in the file
SIZE = 100 << 20  # bytes of a compressed volume
WHOLE_SLICES = 160
SLICES = (90, 481)  # 285 on average, as in 14.3 million slices of CT-RATE
# As many sentences as nine real reports of CT-RATE had on average: 13 of findings, 3 of the impression.
FINDINGS = (
    "The heart is normal in size.",
    "The thoracic aorta is not widened.",
    "There is no pericardial effusion.",
    "Trachea and main bronchi are open.",
    "The esophagus is not thickened.",
    "No lymph node of the mediastinum is enlarged.",
    "A nodule of 4 mm is in the right lower lobe.",
    "The left upper lobe is aerated.",
    "There is no pleural effusion on either side.",
    "The liver, as far as it is in the image, is normal.",
    "Both adrenal glands are slender.",
    "The gallbladder has no stones.",
    "No vertebra has lost height.",
)
IMPRESSION = ("A small nodule of the right lung.", "Follow-up in a year.", "The lungs are otherwise clear.")
# Sections of a report, by the columns of CT-RATE.
REPORT = {
    "ClinicalInformation_EN": "Not given.",
    "Technique_EN": "Axial sections of 1.5 mm without contrast medium.",
    "Findings_EN": " ".join(FINDINGS),
    "Impressions_EN": " ".join(IMPRESSION),
}


class MadeUpVolume(NamedTuple):
    """Name of a volume and of its scan and patient, as CT-RATE has them, and its part."""

    part: str
    patient: str
    scan: str
    name: str

    @property
    def path(self) -> str:
        """Inside the root of the set."""
        return f"dataset/{self.part}_fixed/{self.patient}/{self.scan}/{self.name}.nii.gz"


def volumes_of_set(count: int) -> Iterator[MadeUpVolume]:
    """The names of `count` volumes, with the set's own shares of patients and scans."""
    for part, numbers in CT_RATE.items():
        patients, scans, volumes = (max(1, round(number * count / VOLUMES)) for number in numbers)
        before, letters, number = ("", ""), "", 0
        for volume in range(volumes):
            scan = volume * scans // volumes
            patient = f"{part}_{scan * patients // scans + 1}"
            number = number + 1 if (patient, scan) == before else 1
            if (patient, scan) != before:
                letters = chr(ord(letters) + 1) if before and before[0] == patient else "a"
            before = (patient, scan)
            yield MadeUpVolume(part, patient, f"{patient}_{letters}", f"{patient}_{letters}_{number}")


def header_of_number(number: int) -> tuple[nib.Nifti1Header, int]:
    """The header of a volume, LPS as the set has it, and its number of slices."""
    r = np.random.default_rng(number)
    slices, spacing, thickness = int(r.integers(*SLICES)), r.uniform(0.6, 0.9), float(r.choice([0.75, 1.0, 1.5]))
    affine = np.diag([-spacing, -spacing, thickness, 1.0])
    affine[:3, 3] = [*r.uniform(150, 200, 2), r.uniform(-400, 0)]
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((SIDE, SIDE, slices))
    header.set_sform(affine, 1)
    header.set_qform(affine, 1)
    return header, slices


def write_set(root: Path, count: int, *, has_files: bool = True) -> int:
    """Write a set with its files, and its tables of metadata and of reports, a row for each volume; returns their number."""
    tables = _Tables(root / "dataset")
    written = 0
    for number, volume in enumerate(volumes_of_set(count)):
        header, slices = header_of_number(number)
        tables.add(volume, number, slices)
        written += 1
        if not has_files:
            continue
        path = root / volume.path
        path.parent.mkdir(parents=True, exist_ok=True)
        coder = zlib.compressobj(1, wbits=31)
        with path.open("wb") as file:
            file.write(coder.compress(header.binaryblock + bytes(4 + BLOCK)) + coder.flush(zlib.Z_SYNC_FLUSH))
            file.truncate(SIZE)
    tables.close()
    return written


class _Tables:
    """The tables of a set below its folder `dataset`, open for writing."""

    def __init__(self, dataset: Path) -> None:
        self._dataset = dataset
        self._files: dict[Path, TextIO] = {}

    def add(self, volume: MadeUpVolume, number: int, slices: int) -> None:
        """Write the rows of a volume."""
        name = {"VolumeName": f"{volume.name}.nii.gz"}
        part = "validation" if volume.part == "valid" else volume.part
        self._write(self._dataset / "metadata" / f"{part}_metadata.csv", name | metadata_of(number, slices))
        self._write(self._dataset / "radiology_text_reports" / f"{part}_reports.csv", name | REPORT)

    def _write(self, path: Path, row: Mapping[str, object]) -> None:
        if path not in self._files:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._files[path] = path.open("w", newline="", encoding="utf-8")
            csv.writer(self._files[path]).writerow(row)
        csv.writer(self._files[path]).writerow(row.values())

    def close(self) -> None:
        for file in self._files.values():
            file.close()


def metadata_of(number: int, slices: int) -> dict[str, object]:
    """The columns of metadata that are read."""
    return {
        "PatientSex": "FM"[number % 2],
        "PatientAge": f"{20 + number % 70:03d}Y",
        "Manufacturer": "Maker",
        "SeriesDescription": "Chest",
        "ConvolutionKernel": "B30f",
        "ImagePositionPatient": "[-180, -180, -400]",
        "ImageOrientationPatient": "[1, 0, 0, 0, 1, 0]",
        "Rows": SIDE,
        "Columns": SIDE,
        "XYSpacing": "[0.7, 0.7]",
        "ZSpacing": 1.0,
        "NumberofSlices": slices,
        "RescaleIntercept": -1024,
        "RescaleSlope": 1,
        "StudyDate": 20190101,
    }


def write_config(folder: Path, root: Path) -> Path:
    """The config of a site with the set; returns its path."""
    reports = folder / "reports.csv"
    with reports.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["report_id", "study_uid", "language", "text"])
        for scan in {path.parent.name: None for path in root.glob("dataset/*/*/*/*.nii.gz")}:
            table.writerow(
                [scan, scan, "en", f"Findings:\n{REPORT['Findings_EN']}\nImpression:\n{REPORT['Impressions_EN']}"]
            )
    files = {"folder": str(root), "pattern": PATTERN, "modality": "CT"}
    config = {
        "deliveries": [{"name": "ct-rate", "volumes": files, "reports": str(reports), "shards": 84}],
        "privacy": {"key": str(folder / "private" / "key"), "folder": str(folder / "private")},
        "masks": {"segmenter": "precomputed"},
        "card": {"title": "Scale", "creator": "The benchmark", "terms": "Internal use only"},
        "train": {"name": "site"},
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


def plan(folder: Path, count: int) -> tuple[float, float]:
    """Write a set, print the cost of its index and plan; returns CPU seconds and the peak memory in MB."""
    start = time.perf_counter()
    written = write_set(folder / "set", count)
    config = write_config(folder, folder / "set")
    print(f"{written:7,d} files written in {time.perf_counter() - start:.0f} s", flush=True)
    start = time.perf_counter()
    usage = measured([sys.executable, "-m", "refrad", "plan", ROOT / "config.yaml", config, "--json"])
    wall = time.perf_counter() - start
    counts = json.loads("\n".join(usage.lines))["counts"]
    assert (counts["files"], counts["volumes"]) == (written, written), counts
    print(
        f"{written:7,d} volumes, {counts['slices']:,} slices: index and plan {wall:.1f} s, {usage.seconds:.1f} CPU s,"
        f" {usage.memory:.0f} MB at most",
        flush=True,
    )
    return usage.seconds / written, usage.memory


def compare_headers(root: Path) -> None:
    """Print the times of nibabel and of RefRad for the headers of all files."""
    from refrad.nifti.headers import header_of_entry
    from refrad.nifti.volume_entry import VolumeEntry

    paths = [path.relative_to(root).as_posix() for path in sorted(root.glob("dataset/*/*/*/*.nii.gz"))]

    def read_by_nibabel() -> int:
        return sum(nib.load(root / path).shape[2] for path in paths)

    def read_by_refrad() -> int:
        return sum(header_of_entry(root, VolumeEntry(path, "p", "s", path, "CT")).slices for path in paths)

    seconds, slices = [], []
    for read in (read_by_nibabel, read_by_refrad):
        start = time.process_time()
        slices.append(read())
        seconds.append(time.process_time() - start)
    assert slices[0] == slices[1]
    ours, theirs = (1e3 * value / len(paths) for value in reversed(seconds))
    print(f"a header: nibabel {theirs:.2f} ms, RefRad with its checks {ours:.2f} ms, {theirs / ours:.1f} times as fast")


def compare_with_whole(folder: Path) -> None:
    """Print the times of a whole volume of noise and of its header."""
    from refrad.nifti.headers import header_of_entry
    from refrad.nifti.volume_entry import VolumeEntry

    voxels = np.random.default_rng(0).integers(-1000, 400, (SIDE, SIDE, WHOLE_SLICES), np.int16)
    header, _ = header_of_number(0)
    nib.save(nib.Nifti1Image(voxels, header.get_best_affine()), folder / "whole.nii.gz")
    start = time.process_time()
    with gzip.open(folder / "whole.nii.gz") as file:
        while file.read(1 << 24):
            pass
    whole, start = time.process_time() - start, time.process_time()
    assert header_of_entry(folder, VolumeEntry("whole.nii.gz", "p", "s", "v", "CT")).slices == WHOLE_SLICES
    first = time.process_time() - start
    print(
        f"{SIDE} x {SIDE} x {WHOLE_SLICES}: whole {whole:.2f} s, header {1e3 * first:.2f} ms, {whole / first:,.0f} times as fast"
    )


def main() -> None:
    """Print all comparisons."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=2000)
    parser.add_argument("--tables", type=Path, help="write the tables of a set there, and measure nothing")
    options = parser.parse_args()
    count = options.volumes
    if options.tables:
        print(f"{write_set(options.tables, count, has_files=False):,} volumes in the tables of {options.tables}")
        return
    with tempfile.TemporaryDirectory() as part, tempfile.TemporaryDirectory() as whole:
        few, all_volumes = plan(Path(part), count // 8), plan(Path(whole), count)
        print(
            f"8 times the volumes take {all_volumes[0] / few[0]:.2f} times the CPU time of a volume and"
            f" {all_volumes[1] / few[1]:.2f} times the memory"
        )
        compare_headers(Path(whole) / "set")
        compare_with_whole(Path(whole))


if __name__ == "__main__":
    main()
