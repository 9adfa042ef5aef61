"""Index and volumes against dcm2niix and SimpleITK on the same synthetic CT series, and the index of a large delivery.

python benchmarks/volumes.py [instances of the large delivery: 20000]
python benchmarks/volumes.py index 100000    only the index

Times are CPU seconds. Ours include the geometry checks, the rescaling of each slice, the digest, the slice order
and a compressed NIfTI; the others write a compressed NIfTI too.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SLICES, SIDE = 160, 512
COPIES = 3  # of the series for one measurement
MARK = "1.2.826.9999999999"  # replaced by a number of ten digits in the template of the large delivery


def slice_of(uid: str, z: float, pixels: np.ndarray) -> Dataset:
    """A plain CT slice."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.Modality = CTImageStorage, uid, "CT"
    dataset.PatientID, dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "P0", "1.2.1", "1.2.2"
    dataset.Manufacturer, dataset.SeriesNumber = "Benchmark", 1
    dataset.StudyDate = dataset.SeriesDate = "20200101"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing, dataset.SliceThickness = [0.8, 0.8], 2
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 0
    dataset.RescaleSlope, dataset.RescaleIntercept = 1, -1024
    dataset.InstanceNumber = int(z) + 1
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID, dataset.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    return dataset


def write_series(folder: Path) -> float:
    """Write a series as smooth and as noisy as CT; returns its size in MB."""
    r = np.random.default_rng(0)
    x, y = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for k in range(SLICES):
        body = np.hypot(x / 0.8, y) < 190 + 10 * np.sin(k / 20)
        pixels = np.where(body, 1064 + 60 * np.sin(x / 30) + r.normal(0, 12, x.shape), 24)
        slice_of(f"1.2.3.{k + 1}", 2.0 * k, pixels).save_as(folder / f"{k:04d}", enforce_file_format=True)
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


def write_delivery(folder: Path, count: int) -> None:
    """Headers with 4 pixels each, 100 slices a series, many patients; written from one template, since only headers are read."""
    dataset = slice_of(MARK, 1111111.0, np.zeros((2, 2)))
    dataset.PatientID = "P000000000"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.4.999999999", "1.2.5.999999999"
    dataset.save_as(folder / "template", enforce_file_format=True)
    template = (folder / "template").read_bytes()
    (folder / "template").unlink()
    for number in range(count):
        series = number // 100
        content = template.replace(MARK.encode(), f"1.2.826.{10**9 + number}".encode())
        content = content.replace(b"1.2.4.999999999", f"1.2.4.{10**8 + series // 3}".encode())
        content = content.replace(b"1.2.5.999999999", f"1.2.5.{10**8 + series}".encode())
        content = content.replace(b"P000000000", f"P{series // 6:09d}".encode())
        content = content.replace(b"1111111.0", f"{number % 100:09.1f}".encode())
        series_folder = folder / f"{series:06d}"
        series_folder.mkdir(exist_ok=True)
        (series_folder / f"{number}").write_bytes(content)


class Usage(NamedTuple):
    """CPU seconds of a command and of all processes that it starts, its peak memory in MB, and the lines that it prints."""

    seconds: float
    memory: float
    lines: list[str]


def measured(command: Sequence[str | Path]) -> Usage:
    """Run a command and measure it."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: processes that it leaves behind become ours, to be counted
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    lines = process.stdout.read().decode().strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10
    with contextlib.suppress(ChildProcessError):
        while True:
            usage = os.wait3(0)[2]
            seconds += usage.ru_utime + usage.ru_stime
    return Usage(seconds, memory, lines)


def scan_ours(folder: Path) -> None:
    """All that the index reads."""
    from refrad.dicom.scan import find_files, headers_of_file

    for path in find_files(folder):
        headers_of_file(folder, path)


def scan_pydicom(folder: Path) -> None:
    """All headers, with pydicom's defaults."""
    import pydicom

    for path in sorted(folder.iterdir()):
        pydicom.dcmread(path, stop_before_pixels=True)


def scan_simpleitk(folder: Path) -> None:
    """Headers as far as sorting a series needs them."""
    import SimpleITK

    SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))


def convert_ours(folder: Path) -> None:
    """Conversion of one volume, as in stage volumes."""
    from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, convert

    frames = tuple((path.name, 0) for path in sorted(folder.iterdir()))
    with tempfile.TemporaryDirectory() as store:
        (result,) = convert(
            ConversionJob("v", folder, frames, "CT", GeometryCriteria(5, 0.02, 0.5, sheared=True), Path(store))
        )
        assert isinstance(result, AcceptedVolume)


def convert_simpleitk(folder: Path) -> None:
    """Read as a series, write compressed at the same level."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    with tempfile.TemporaryDirectory() as out:
        SimpleITK.WriteImage(reader.Execute(), f"{out}/v.nii.gz", useCompression=True, compressionLevel=1)


PROGRAMS = {
    function.__name__: function
    for function in (scan_ours, scan_pydicom, scan_simpleitk, convert_ours, convert_simpleitk)
}


def time_program(name: str, folder: Path) -> None:
    """Run a program in this process: once to load its libraries, then to measure it."""
    PROGRAMS[name](folder)
    start = time.process_time()
    for _ in range(COPIES):
        PROGRAMS[name](folder)
    print(json.dumps({"seconds": (time.process_time() - start) / COPIES}))


def compare(folder: Path, megabytes: float) -> None:
    """Print the table of all programs."""
    import dcm2niix

    print(f"{SLICES} slices, {megabytes:.0f} MB, one core")
    seconds = {}
    for name in PROGRAMS:
        _, memory, lines = measured([sys.executable, __file__, name, folder])
        seconds[name] = json.loads(lines[-1])["seconds"]
        show(name, seconds[name], megabytes, memory)
    options = {"scan_dcm2niix": ["-n", "-1"], "convert_dcm2niix": ["-z", "y", "-1"], "raw_dcm2niix": ["-z", "n"]}
    for name, flags in options.items():
        with tempfile.TemporaryDirectory() as out:
            seconds[name], memory, _ = measured([dcm2niix.bin, *flags, "-b", "n", "-o", out, folder])
        show(name, seconds[name], megabytes, memory)
    print(f"conversion: ours takes {seconds['convert_ours'] / seconds['convert_dcm2niix']:.2f} of dcm2niix,", end=" ")
    print(f"{seconds['convert_ours'] / seconds['convert_simpleitk']:.2f} of SimpleITK;", end=" ")
    print(f"{seconds['convert_ours'] / seconds['raw_dcm2niix']:.2f} of a dcm2niix that does not compress")
    print(f"headers: ours takes {seconds['scan_ours'] / seconds['scan_pydicom']:.2f} of pydicom as it comes,", end=" ")
    print(f"{seconds['scan_ours'] / seconds['scan_simpleitk']:.2f} of SimpleITK")


def show(name: str, seconds: float, megabytes: float, memory: float) -> None:
    """One line of the table."""
    rates = f"{SLICES / seconds:7.0f} files/s {megabytes / seconds:6.0f} MB/s"
    print(f"{name:18s} {seconds:6.2f} s {rates} {memory:6.0f} MB at most")


def index(count: int) -> None:
    """Print time and memory of stage index on an eighth, a quarter, a half and all of a large delivery."""
    config = Path(__file__).parents[1] / "config.yaml"
    options = yaml.safe_load(config.read_text(encoding="utf-8"))["index"]
    from refrad.workflow.fingerprint import Fingerprint, stage_version

    fingerprint = Fingerprint("index", stage_version("index"), options, {}).text
    costs = []
    for part in (count // 8, count // 4, count // 2, count):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "d").mkdir()
            write_delivery(folder / "d", part)
            command = [sys.executable, "-m", "refrad", "index", "--dicom", folder / "d", "--reports", folder]
            command += ["--key", folder / "private" / "key", "--files", folder / "private" / "files.parquet"]
            command += ["--instances", folder / "i.parquet", "--metrics", folder / "m.json"]
            command += ["--fingerprint", fingerprint, "--shards", "4"]
            start = time.perf_counter()
            seconds, memory, _ = measured(command)
            wall = time.perf_counter() - start
            counts = json.loads((folder / "m.json").read_text())
            assert counts["flow"]["used"] == part
            assert counts["made"]["volumes"] == -(-part // 100)
            print(
                f"index of {part:7d} instances: {seconds:6.1f} s of CPU, {1000 * seconds / part:.2f} ms each,"
                f" {wall:6.1f} s of wall time, {memory:.0f} MB at most",
                flush=True,
            )
            costs.append((seconds, memory))
    time_ratio, memory_ratio = (last / first for first, last in zip(costs[0], costs[-1], strict=True))
    print(f"8 times the instances take {time_ratio:.1f} times the time and {memory_ratio:.2f} times the memory")


def main() -> None:
    """Run everything, or the index alone, or the program of the given name."""
    if sys.argv[1:2] == ["index"]:
        index(int(sys.argv[2]))
        return
    if len(sys.argv) > 2:
        time_program(sys.argv[1], Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), write_series(Path(folder)))
    index(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)


if __name__ == "__main__":
    main()
