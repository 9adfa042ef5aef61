"""Copies of pictures across splits: the search by sketches, against close hashes and grey levels.

python benchmarks/leakage.py [folder of shards, results/shards] [pictures, 200]

The dataset's pictures are the training, copies of them changed in one way the tests; a copy is found if it is called one of
any picture of its volume, since neighbouring slices may look the same. Then the patients are divided into two halves, where
each pair that is called a copy is a false alarm, provided that no patient has two names. Last, the search runs without its quick
checks, which must find no more.
"""

import io
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage

from refrad.dataset import picture_copies
from refrad.dataset.file_list import list_dataset
from refrad.dataset.image_codec import decode_image, decode_sketch, encode_sketch
from refrad.dataset.picture_copies import find_copies
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import IdentifiedPicture

Picture = NDArray[np.uint8]
CORRELATION = 0.75
BITS, LEVELS = 3, 2  # of 64 bits of the hash, of 255 grey levels


class VolumePicture(IdentifiedPicture):
    """A picture and whose it is."""

    volume: str


class HeldPictures:
    """Pictures in memory, with the methods of `PictureFiles`."""

    def __init__(self, pictures: list[Picture]) -> None:
        self._pictures = pictures
        self._sketches = np.stack([decode_sketch(encode_sketch(picture)) for picture in pictures])

    def sketches(self, selected: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int8]]]:
        rows = np.flatnonzero(selected)
        yield rows, self._sketches[rows]

    def pictures(self, selected: NDArray[np.bool_]) -> Iterator[tuple[int, Picture]]:
        yield from ((int(row), self._pictures[row]) for row in np.flatnonzero(selected))


def by_sketches(images: pl.DataFrame, pictures: list[Picture]) -> set[tuple[int, int]]:
    copies = find_copies(images, HeldPictures(pictures), CORRELATION)  # type: ignore[arg-type]
    return {(copy.first, copy.second) for copy in copies.pairs}


def by_hashes(images: pl.DataFrame, pictures: list[Picture]) -> set[tuple[int, int]]:
    """The rule of earlier versions: 64 signs of low frequencies, then the mean difference of thumbnails."""
    small = np.stack([np.asarray(Image.fromarray(p[1]).resize((32, 32), Image.Resampling.BOX)) for p in pictures])
    low = fft.dctn(small.astype(float), axes=(1, 2), norm="ortho")[:, :8, :8].reshape(len(small), 64)
    signs = np.packbits(low > np.median(low[:, 1:], axis=1, keepdims=True), axis=1)
    sides = images["side"].to_numpy()
    copies = set()
    for row in range(len(small)):
        apart = np.bitwise_count(signs[row] ^ signs[row + 1 :]).sum(1)
        for partner in row + 1 + np.flatnonzero((apart <= BITS) & (sides[row] != sides[row + 1 :])):
            if np.abs(small[row].astype(int) - small[partner]).mean() <= LEVELS:
                copies.add((row, int(partner)))
    return copies


def cropped(picture: Picture, share: float) -> Picture:
    height, width = picture.shape[1:]
    top, left = round(height * (1 - share) / 2), round(width * (1 - share) / 2)
    inner = picture[:, top : height - top, left : width - left]
    return resized(inner, (width, height))


def resized(picture: Picture, size: tuple[int, int]) -> Picture:
    return np.stack(
        [np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR)) for channel in picture]
    )


def as_jpeg(picture: Picture) -> Picture:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture.transpose(1, 2, 0))).save(file, "JPEG", quality=50)
    return np.asarray(Image.open(file)).transpose(2, 0, 1)


def with_noise(picture: Picture) -> Picture:
    noise = np.random.default_rng(0).normal(0, 8, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


CHANGES: dict[str, Callable[[Picture], Picture]] = {
    "none": lambda picture: picture,
    "noise of 8 grey levels": with_noise,
    "gain 1.1": lambda picture: np.clip(picture * 1.1, 0, 255).astype(np.uint8),
    "gain 0.8": lambda picture: (picture * 0.8).astype(np.uint8),
    "JPEG": as_jpeg,
    "half of the matrix": lambda picture: resized(
        resized(picture, (picture.shape[2] // 2, picture.shape[1] // 2)), (picture.shape[2], picture.shape[1])
    ),
    "shift of 3 %": lambda picture: np.roll(picture, round(0.03 * picture.shape[2]), axis=2),
    "shift of 8 %": lambda picture: ndimage.shift(picture, (0, 0.08 * picture.shape[1], 0), order=0),
    "crop to 85 %": lambda picture: cropped(picture, 0.85),
    "mirrored": lambda picture: picture[:, :, ::-1],
    "turned by 180 degrees": lambda picture: picture[:, ::-1, ::-1],
}
RULES = {"sketches": by_sketches, "hashes": by_hashes}


def main(folder: str = "results/shards", count: str = "200") -> None:
    rows = list(read_rows(list_dataset(Path(folder)), VolumePicture))
    every = [decode_image(row) for row in rows]
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[: int(count)])
    pictures, volumes = [every[row] for row in chosen], [rows[row]["volume"] for row in chosen]
    print(
        f"{len(pictures)} pictures of {len({rows[row]['patient'] for row in chosen})} patients; copies that are found"
    )
    for name, change in CHANGES.items():
        images = pl.DataFrame(
            {
                "side": ["train"] * len(pictures) + ["test"] * len(pictures),
                "volume": volumes + [f"{v} copy" for v in volumes],
            }
        )
        both = pictures + [np.ascontiguousarray(change(picture)) for picture in pictures]
        shares = []
        for rule, find in RULES.items():
            copies = {
                second for first, second in find(images, both) if volumes[first] == volumes[second - len(pictures)]
            }
            shares.append(f"{rule} {len(copies) / len(pictures):.0%}")
        print(f"{name:24}{', '.join(shares)}")
    patients = sorted({row["patient"] for row in rows})
    sides = [("train", "test")[patients.index(row["patient"]) % 2] for row in rows]
    images = pl.DataFrame({"side": sides, "volume": [row["volume"] for row in rows]})
    seconds = {}
    for rule, find in RULES.items():
        start = time.perf_counter()
        alarms = find(images, every)
        seconds[rule] = time.perf_counter() - start
        print(f"false alarms of {rule}: {len(alarms)} in {len(rows)} pictures, {seconds[rule]:.1f} s")
    print(f"sketches take {seconds['sketches'] / seconds['hashes']:.1f} times the time of hashes")
    compare_with_fine_checks_alone(images, every)


def compare_with_fine_checks_alone(images: pl.DataFrame, pictures: list[Picture]) -> None:
    """Print the CPU time of a compared pair with the quick checks and without, and the copies that each finds."""
    held = HeldPictures(pictures)
    milliseconds, copies = [], []
    for limits in ((picture_copies.CORNERS, picture_copies.COARSE_CORNERS, picture_copies.PROMISING), (-1.0,) * 3):
        picture_copies.CORNERS, picture_copies.COARSE_CORNERS, picture_copies.PROMISING = limits
        start = time.process_time()
        result = find_copies(images, held, CORRELATION)  # type: ignore[arg-type]
        milliseconds.append(1000 * (time.process_time() - start) / max(1, result.compared))
        copies.append(len(result.pairs))
    print(
        f"quick checks: {copies[0]} copies, {milliseconds[0]:.1f} ms a pair; without: {copies[1]}, {milliseconds[1]:.1f} ms"
    )
    print(f"the quick checks save {milliseconds[1] / milliseconds[0]:.1f} times the time")


if __name__ == "__main__":
    main(*sys.argv[1:])
