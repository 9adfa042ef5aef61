"""Samples a second from our shards against one DICOM file in zstd each, and memory while writing many rows.

python benchmarks/shards.py [seconds of writing]
"""

import io
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import pydicom
import zstandard
from PIL import Image

from refrad.anatomy.schema import load_schema
from refrad.dataset.exports.authors_images import dicom_of
from refrad.dataset.image_codec import decode_pixels, encode_pixels, window_image
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.workflow.fingerprint import Fingerprint

WINDOWS = ((2250, -100), (350, 40), (80, 40))
SIDE, IMAGES = 224, 400
AT_LEAST = 20  # times as many samples a second
ROWS = 1_000_000
FLAT = 0.2  # KB a row that memory may grow while writing; a row of the benchmark has more in it
SCHEMA = load_schema(Path("workflow/anatomy/classes.yaml"))


def slices() -> np.ndarray:
    """HU int16 [image, 512, 512]: a real abdomen if its files are there, else synthetic bodies with noise."""
    folder = Path("../shared/data/dicom-ct/totalseg_example_ct_dicom")
    files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
    pixels = []
    for path in files:
        try:
            dataset = pydicom.dcmread(path)
            pixels.append(
                dataset.pixel_array.astype(np.int32) * int(dataset.RescaleSlope) + int(dataset.RescaleIntercept)
            )
        except (AttributeError, pydicom.errors.InvalidDicomError):
            continue
    if pixels:
        print(f"{len(pixels)} slices of a real CT, {pixels[0].shape[0]} x {pixels[0].shape[1]} px")
        return np.array(pixels, np.int16)
    print("synthetic slices, 512 x 512 px")
    r = np.random.default_rng(0)
    y, x = np.ogrid[-1:1:512j, -1:1:512j]
    body = np.where((x / 0.8) ** 2 + (y / 0.6) ** 2 < 1, 40, -1000)
    return np.array([body + r.normal(0, 15, body.shape) for _ in range(20)], np.int16)


def image_row(number: int, image: np.ndarray | None) -> dict:
    """A row of a shard without texts; without an image, it has no pixels."""
    row = {
        "image_id": f"{number:08x}",
        "volume": "v",
        "study": "s",
        "patient": "p",
        "split": "train",
        "modality": "CT",
    }
    row |= {"plane": "axial", "index": number, "width": 512, "height": 512, "spacing_x": 0.8, "spacing_y": 0.8}
    return row if image is None else row | {"pixels": encode_pixels(window_image(image, "CT", WINDOWS, SIDE))}


class Pixels(TypedDict):
    pixels: bytes


def from_shards(path: Path) -> Iterator[np.ndarray]:
    for row in read_rows([path], Pixels):
        yield scaled(decode_pixels(row["pixels"]))


def from_files(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(folder.iterdir()):
        dataset = pydicom.dcmread(io.BytesIO(zstandard.decompress(path.read_bytes())))
        hu = dataset.pixel_array.astype(np.float32) * dataset.RescaleSlope + dataset.RescaleIntercept
        channels = [np.clip((hu - (level - width / 2)) / width, 0, 1) for width, level in WINDOWS]
        stacked = np.rint(np.stack(channels, -1) * 255).astype(np.uint8)
        square = Image.fromarray(stacked).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        yield scaled(np.asarray(square).transpose(2, 0, 1))


def scaled(channels: np.ndarray) -> np.ndarray:
    """float32 from -1 to 1."""
    return channels.astype(np.float32) * np.float32(2 / 255) - 1


def loading(folder: Path) -> None:
    """Same images, same preprocessing, both sides to float arrays; CPU time."""
    images = slices()
    files = folder / "files"
    files.mkdir()
    for number in range(IMAGES):
        data = dicom_of(image_row(number, None), images[number % len(images)])
        (files / f"{number:08x}.dcm.zst").write_bytes(zstandard.compress(data))
    shard = folder / "images.parquet"
    rows = (image_row(number, images[number % len(images)]) for number in range(IMAGES))
    write_shard(shard, rows, SCHEMA, Fingerprint("shards", 1, {}, {}), formats=["raw"])
    seconds = []
    for side in (from_shards(shard), from_files(files)):
        start = time.process_time()
        total = sum(float(channels[0, ::32, ::32].sum()) for channels in side)
        seconds.append((time.process_time() - start, total))
    (ours, our_sum), (theirs, their_sum) = seconds
    if abs(our_sum - their_sum) > 1e-3 * abs(their_sum):
        raise SystemExit("the two sides give different pictures")
    size = shard.stat().st_size / IMAGES / 1000
    print(
        f"loading, samples a CPU second: shards {IMAGES / ours:.0f} ({size:.0f} KB each), DICOM in zstd {IMAGES / theirs:.0f}",
        end="",
    )
    print(f": {theirs / ours:.1f}x")
    if theirs < AT_LEAST * ours:
        raise SystemExit(f"less than {AT_LEAST}x")


def writing(folder: Path, limit: float) -> None:
    """Write up to a million rows, as many as the limit allows, and see whether memory grows with them."""
    entities = [
        {
            "start": 0,
            "end": 5,
            "text": "Liver",
            "class_id": 5,
            "via": "exact",
            "one_sided": False,
            **dict.fromkeys(("x_min", "y_min"), 1),
            **dict.fromkeys(("x_max", "y_max"), 9),
        }
    ]
    caption = {
        "caption": "c",
        "sentence": "s",
        "language": "en",
        "text": "Liver is normal.",
        "tie": "structure",
        "entities": entities,
    }
    pixels = encode_pixels(np.zeros((3, 16, 16), np.uint8))
    memory: list[tuple[int, float]] = []
    start = time.perf_counter()

    def rows() -> Iterator[dict]:
        for number in range(ROWS):
            if number % 1000 == 0:
                memory.append((number, resident()))
                if time.perf_counter() - start > limit:
                    return
            yield image_row(number, None) | {"pixels": pixels, "captions": [caption]}

    count = write_shard(folder / "many.parquet", rows(), SCHEMA, Fingerprint("shards", 1, {}, {}), formats=["raw"])
    seconds = time.perf_counter() - start
    later = np.array(memory[len(memory) // 4 :])  # after the buffers have reached their size
    slope = np.polyfit(later[:, 0], later[:, 1], 1)[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(
        f"writing: {count:,} rows in {seconds:.0f} s, peak {peak:.0f} MB, memory grows {1000 * slope:.2f} MB per 1,000 rows"
    )
    if 1000 * slope > FLAT:
        raise SystemExit("memory grows with the rows")


def resident() -> float:
    """MB of this process in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    limit = float(sys.argv[1]) if len(sys.argv) > 1 else 60.0
    with tempfile.TemporaryDirectory() as name:
        loading(Path(name))
        writing(Path(name), limit)


if __name__ == "__main__":
    main()
