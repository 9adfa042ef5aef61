"""Copies of pictures across sides: copied through what archives do to images, and never between different bodies."""

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from scipy import ndimage

from refrad.dataset.copy_search import NearestPictures, describe
from refrad.dataset.image_codec import decode_sketch, encode_pixels, encode_sketch, window_image
from refrad.dataset.picture_copies import Copies, find_copies
from refrad.dataset.picture_files import PictureFiles
from refrad.dataset.shard_io import write_shard
from refrad.workflow.fingerprint import Fingerprint

WINDOWS = [[2250, -100], [350, 40], [80, 40]]
SIDE, SLICES = 128, 3
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5


def body(seed):
    """HU [slice, row, column] of a trunk with organs and texture; the trunks of all seeds have nearly the same outline."""
    r = np.random.default_rng(seed)
    outline = (COLUMNS / 0.42) ** 2 + (ROWS / 0.33) ** 2 < 1
    organs = sum(
        r.uniform(-90, 120) * ((COLUMNS - x) ** 2 + (ROWS - y) ** 2 < r.uniform(0.02, 0.07) ** 2)
        for x, y in r.uniform(-0.28, 0.28, (25, 2))
    )
    slices = []
    for number in range(SLICES):
        texture = ndimage.gaussian_filter(np.random.default_rng(1000 * seed + number).normal(0, 1, (SIDE, SIDE)), 3)
        slices.append(np.where(outline, 30 + organs + 25 * texture / texture.std(), -1000))
    return np.stack(slices)


def cropped(hu, share, down=0, right=0):
    kept = int(SIDE * share)
    top, left = (SIDE - kept) // 2 + down, (SIDE - kept) // 2 + right
    return np.stack([ndimage.zoom(image[top : top + kept, left : left + kept], SIDE / kept, order=1) for image in hu])


def resampled(hu, factor):
    small = [ndimage.zoom(image, factor, order=1) for image in hu]
    return np.stack([ndimage.zoom(image, SIDE / len(image), order=1) for image in small])


def blanked(hu, margin):
    inner = np.full_like(hu, -1024)
    inner[:, margin:-margin, margin:-margin] = hu[:, margin:-margin, margin:-margin]
    return inner


def noisy(hu, deviation):
    return hu + np.random.default_rng(9).normal(0, deviation, hu.shape)


CHANGES = {
    "none": lambda hu: hu,
    "gain 0.8": lambda hu: (hu + 1024) * 0.8 - 1024,
    "gain 1.25": lambda hu: (hu + 1024) * 1.25 - 1024,
    "offset": lambda hu: hu - 50,
    "noise": lambda hu: noisy(hu, 20),
    "shift of 2 %": lambda hu: np.roll(hu, 3, axis=2),
    "shift of 10 %": lambda hu: ndimage.shift(hu, (0, -13, 12), order=0, cval=-1000),
    "half a pixel": lambda hu: ndimage.shift(hu, (0, 2.5, -1.5), order=1, cval=-1000),
    "crop to 90 %": lambda hu: cropped(hu, 0.9, 4, -3),
    "crop to 80 %": lambda hu: cropped(hu, 0.8, -6, 5),
    "blank border": lambda hu: blanked(hu, 10),
    "other matrix": lambda hu: resampled(hu, 0.6),
    "mirrored": lambda hu: hu[:, :, ::-1],
    "upside down": lambda hu: hu[:, ::-1],
    "turned": lambda hu: hu[:, ::-1, ::-1],
    "several": lambda hu: noisy(np.roll((hu + 1024) * 1.1 - 1010, (2, -4), (1, 2))[:, :, ::-1], 10),
}


def pictures_of(hu, windows=WINDOWS):
    return [window_image(np.int16(np.clip(image, -1024, 3000).round()), "CT", windows, SIDE) for image in hu]


@pytest.fixture
def search(tmp_path, schema):
    """The copies among pictures by (side, volume), and the number of compared pairs."""

    def find(volumes, stored=True, **options):
        path = tmp_path / "images.parquet"
        rows = [
            {"image_id": f"{side} {volume} {number}", "pixels": encode_pixels(picture)}
            | ({"sketch": encode_sketch(picture)} if stored else {})
            for (side, volume), pictures in volumes.items()
            for number, picture in enumerate(pictures)
        ]
        write_shard(path, rows, schema, Fingerprint("shards", 1, {}, {}), formats=["raw"])
        images = pl.DataFrame(
            [(key[0], key[1]) for key, pictures in volumes.items() for _ in pictures],
            schema={"side": pl.String, "volume": pl.String},
            orient="row",
        )
        return find_copies(images, PictureFiles([path]), options.get("correlation", 0.75))

    return find


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copy_of_a_series_is_found(search, change):
    volumes = {("train", "v"): pictures_of(body(1)), ("test", "c"): pictures_of(CHANGES[change](body(1)))}
    copied = search(volumes | {("test", "o"): pictures_of(body(2))}).pairs
    assert {copy.second for copy in copied} == {3, 4, 5} and {copy.first for copy in copied} <= {0, 1, 2}
    ways = {copy.way for copy in copied if copy.second == copy.first + SLICES}
    assert ways == {
        {"several": "mirrored"}.get(change, change)
        if change in {"mirrored", "upside down", "turned", "several"}
        else "as it is"
    }


def test_copy_in_another_window_and_as_jpeg_is_found(search):
    rewindowed = pictures_of(body(1), [[1500, -600], [400, 60], [100, 35]])
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rewindowed[1].transpose(1, 2, 0))).save(buffer, "JPEG", quality=40)
    lossy = np.asarray(Image.open(buffer)).transpose(2, 0, 1)
    copied = search({("train", "v"): pictures_of(body(1)), ("test", "c"): [rewindowed[0], lossy]}).pairs
    assert {(0, 3), (1, 4)} <= {(copy.first, copy.second) for copy in copied}


def test_other_bodies_are_no_copies(search):
    volumes = {("train" if seed % 2 else "test", str(seed)): pictures_of(body(seed)) for seed in range(12)}
    copies_found = search(volumes)
    assert not copies_found.pairs and copies_found.compared > 20


def test_copies_on_one_side_or_on_none_are_no_leak(search):
    same = pictures_of(body(1))
    assert not search({("train", "a"): same, ("train", "b"): same}).pairs
    assert not search({("train", "a"): same, (None, "b"): same, ("test", "c"): pictures_of(body(2))}).pairs


def test_sketches_that_a_file_lacks_are_drawn(search):
    same = pictures_of(body(1))
    assert len(search({("train", "a"): same[:1], ("test", "b"): same[:1]}, stored=False).pairs) == 1


def test_volume_on_two_sides_is_compared_with_itself(search):
    same = pictures_of(body(1))
    copied = search({("train", "a"): same, ("test", "a"): same}).pairs
    assert {(0, 3), (1, 4), (2, 5)} <= {(copy.first, copy.second) for copy in copied}


def test_empty_pictures_are_like_nothing(search):
    empty = [np.zeros((3, SIDE, SIDE), np.uint8)] * 2
    assert search({("train", "a"): empty, ("test", "b"): empty}) == Copies((), 0)


def test_search_in_cells_finds_what_the_search_of_all_finds(monkeypatch):
    sketches = np.stack(
        [decode_sketch(encode_sketch(picture)) for seed in range(20) for picture in pictures_of(body(seed))]
    )
    described = describe(sketches).astype(np.float16)
    of_all = NearestPictures(described).find(sketches[:9], 0.9, 1)
    monkeypatch.setattr("refrad.dataset.copy_search.SMALL", 10)
    monkeypatch.setattr("refrad.dataset.copy_search.PIVOTS", 12)
    in_cells = NearestPictures(described).find(sketches[:9], 0.9, 1)
    assert of_all["member"].to_list() == in_cells["member"].to_list() == list(range(9))
    assert np.allclose(in_cells["likeness"], 1, atol=0.01)
