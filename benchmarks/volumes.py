"""Index and volumes against dcm2niix and SimpleITK on the same made-up CT series, and the index of a large delivery.

python benchmarks/volumes.py [instances of the large delivery: 20000]
python benchmarks/volumes.py index 100000    only the index

Times are seconds of processor time. Ours hold the geometry gate, the rescaling of each slice, the digest, the slice order
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

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

SLICES, SIDE = 160, 512
COPIES = 3  # of the series for one measurement
MARK = "1.2.826.9999999999"  # stands for a number of ten digits in the template of the large delivery


def slice_of(uid: str, z: float, pixels: np.ndarray) -> Dataset:
    """A plain CT slice."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CTImageStorage, uid, "CT"
    made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID = "P0", "1.2.1", "1.2.2"
    made.Manufacturer, made.StudyDate, made.SeriesDate, made.SeriesNumber = "Benchmark", "20200101", "20200101", 1
    made.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, z], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.8, 0.8], 2
    made.Rows, made.Columns = pixels.shape
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 16, 15, 0
    made.RescaleSlope, made.RescaleIntercept = 1, -1024
    made.InstanceNumber = int(z) + 1
    made.PixelData = pixels.astype("<u2").tobytes()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = CTImageStorage, uid
    return made


def write_series(folder: Path) -> float:
    """A series as smooth and as noisy as CT; its megabytes come back."""
    r = np.random.default_rng(0)
    x, y = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for k in range(SLICES):
        body = np.hypot(x / 0.8, y) < 190 + 10 * np.sin(k / 20)
        pixels = np.where(body, 1064 + 60 * np.sin(x / 30) + r.normal(0, 12, x.shape), 24)
        slice_of(f"1.2.3.{k + 1}", 2.0 * k, pixels).save_as(folder / f"{k:04d}", enforce_file_format=True)
    return sum(path.stat().st_size for path in folder.iterdir()) / 2**20


def write_delivery(folder: Path, count: int) -> None:
    """Headers with 4 pixels each, 100 slices a series, many patients; written from one template, since only headers are read."""
    made = slice_of(MARK, 1111111.0, np.zeros((2, 2)))
    made.PatientID, made.StudyInstanceUID, made.SeriesInstanceUID = "P000000000", "1.2.4.999999999", "1.2.5.999999999"
    made.save_as(folder / "template", enforce_file_format=True)
    template = (folder / "template").read_bytes()
    (folder / "template").unlink()
    for number in range(count):
        series = number // 100
        content = template.replace(MARK.encode(), f"1.2.826.{10**9 + number}".encode())
        content = content.replace(b"1.2.4.999999999", f"1.2.4.{10**8 + series // 3}".encode())
        content = content.replace(b"1.2.5.999999999", f"1.2.5.{10**8 + series}".encode())
        content = content.replace(b"P000000000", f"P{series // 6:09d}".encode())
        content = content.replace(b"1111111.0", f"{number % 100:09.1f}".encode())
        place = folder / f"{series:06d}"
        place.mkdir(exist_ok=True)
        (place / f"{number}").write_bytes(content)


def measured(command: Sequence[str | Path]) -> tuple[float, float, dict]:
    """Processor seconds of a command and all that it starts, its peak megabytes, and the JSON that it prints last, if it does."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: processes that it leaves behind become ours, to be counted
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout
    said = process.stdout.read().decode().strip().splitlines()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{command[0]} failed")
    found = json.loads(said[-1]) if said and said[-1].startswith("{") else {}
    seconds, memory = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10
    with contextlib.suppress(ChildProcessError):
        while True:
            usage = os.wait3(0)[2]
            seconds += usage.ru_utime + usage.ru_stime
    return seconds, memory, found


def scan_ours(folder: Path) -> None:
    """All that the index reads."""
    from refrad.dicom.scan import find_files, headers_of_file

    for path in find_files(folder):
        headers_of_file(folder, path)


def scan_pydicom(folder: Path) -> None:
    """All headers, as one reads them first."""
    import pydicom

    for path in sorted(folder.iterdir()):
        pydicom.dcmread(path, stop_before_pixels=True)


def scan_simpleitk(folder: Path) -> None:
    """Headers as far as sorting a series needs them."""
    import SimpleITK

    SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder))


def convert_ours(folder: Path) -> None:
    """What stage volumes does with one volume."""
    from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, convert

    frames = tuple((path.name, 0) for path in sorted(folder.iterdir()))
    with tempfile.TemporaryDirectory() as store:
        (done,) = convert(
            ConversionJob("v", folder, frames, "CT", GeometryCriteria(5, 0.02, 0.5, sheared=True), Path(store))
        )
        assert isinstance(done, AcceptedVolume)


def convert_simpleitk(folder: Path) -> None:
    """Read as a series, write compressed at the same level."""
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    with tempfile.TemporaryDirectory() as out:
        SimpleITK.WriteImage(reader.Execute(), f"{out}/v.nii.gz", useCompression=True, compressionLevel=1)


SIDES = {f.__name__: f for f in (scan_ours, scan_pydicom, scan_simpleitk, convert_ours, convert_simpleitk)}


def side(name: str, folder: Path) -> None:
    """Run one side in this process: once to load its libraries, then for the clock."""
    SIDES[name](folder)
    start = time.process_time()
    for _ in range(COPIES):
        SIDES[name](folder)
    print(json.dumps({"seconds": (time.process_time() - start) / COPIES}))


def compare(folder: Path, megabytes: float) -> None:
    """Print the table of all sides."""
    import dcm2niix

    print(f"{SLICES} slices, {megabytes:.0f} MB, one core")
    seconds = {}
    for name in SIDES:
        _, memory, said = measured([sys.executable, __file__, name, folder])
        seconds[name] = said["seconds"]
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
    options = {
        **{"test": 0.2, "validation": 0.1, "duplicates": "keep_one", "repetitions": "split"},
        **{"projections": "quarantine", "burned_in": "quarantine", "burned_in_rules": []},
        **{"memory_gb": 2.0, "seconds": 60.0},
    }
    from refrad.workflow.fingerprint import Fingerprint, stage_version

    fingerprint = Fingerprint("index", stage_version("index"), options, {}).text
    found = []
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
            made = json.loads((folder / "m.json").read_text())
            assert made["flow"]["used"] == part
            assert made["made"]["volumes"] == -(-part // 100)
            print(
                f"index of {part:7d} instances: {seconds:6.1f} s of processors, {1000 * seconds / part:.2f} ms each,"
                f" {wall:6.1f} s of the clock, {memory:.0f} MB at most",
                flush=True,
            )
            found.append((seconds, memory))
    time_, memory = (last / first for first, last in zip(found[0], found[-1], strict=True))
    print(f"8 times the instances take {time_:.1f} times the time and {memory:.2f} times the memory")


def main() -> None:
    """Run everything, or the index alone, or one side if its name is given."""
    if sys.argv[1:2] == ["index"]:
        index(int(sys.argv[2]))
        return
    if len(sys.argv) > 2:
        side(sys.argv[1], Path(sys.argv[2]))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), write_series(Path(folder)))
    index(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)


if __name__ == "__main__":
    main()
