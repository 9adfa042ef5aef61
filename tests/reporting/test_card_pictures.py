import base64
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.factories.images import png_bytes

from refrad.dataset.image_codec import encode_mask, window_image
from refrad.dicom.geometry import stack_affine
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import store_volume
from refrad.dicom.windows import BONE, BRAIN, LUNG, MEDGEMMA_WINDOWS, SOFT_TISSUE, display_grey
from refrad.reporting.card_pictures import PictureSources, picture_of_slice, pictures_of_rows

SIDE = 32  # px of the pictures of the dataset
LIVER, BRAIN_ID = 5, 90


def pixels_of(picture):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))))


def volume_of(modality="CT"):
    """Values [column, row, slice] with a 13-px organ; HU for CT."""
    values = np.random.default_rng(1).normal(40, 10, (90, 60, 3)).astype(np.int16)
    values[40:53, 20:33] = -700 if modality == "CT" else 900
    return values


def row_of(values, index=1, modality="CT", classes=(LIVER,), name="i"):
    square = window_image(image_at(values, index), modality, MEDGEMMA_WINDOWS, SIDE)
    mask = np.zeros((60, 90), bool)
    mask[20:33, 40:53] = True
    box = {"x_min": 40, "y_min": 20, "x_max": 53, "y_max": 33, "area": 169, "rle": encode_mask(mask)}
    picture = {"bytes": png_bytes(square.transpose(1, 2, 0)), "path": None}
    facts = {"image_id": name, "volume": "v", "study": "s", "patient": "p", "split": "test", "modality": modality}
    facts |= {
        "plane": "axial",
        "index": index,
        "width": 90,
        "height": 60,
        "spacing_x": 1.0,
        "spacing_y": 2.0,
        "turn": "none",
        "edges": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
    }
    return facts | {"image": picture, "structures": [box | {"class_id": class_id} for class_id in classes]}


AFFINE = stack_affine((0, 0, 0), (0, 0, 5), (1, 0, 0, 0, 1, 0), (2, 1))


def sources_of(folder, values, affine=AFFINE, volume="v"):
    _, file = store_volume(values, affine, folder)
    return PictureSources(pl.DataFrame({"volume": [volume], "file": [file]}), folder, MEDGEMMA_WINDOWS, SIDE)


@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_picture_is_the_slice_in_full_resolution(tmp_path, schema, modality):
    values = volume_of(modality)
    picture = pictures_of_rows([row_of(values, modality=modality)], sources_of(tmp_path, values), schema)["i"]
    pixels = pixels_of(picture)
    assert pixels.shape[:2] == (60, 90) and picture.aspect == pytest.approx(90 / 120) and not picture.note
    expected = display_grey(image_at(values, 1), modality)
    shown = pixels[..., picture.channel_of(["liver"])] if modality == "CT" else pixels
    assert np.abs(shown.astype(int) - expected).mean() < 6


# Directions of rows and columns of axial slices, and the letters of the edges.
POSITIONS = [
    ((1, 0, 0, 0, 1, 0), ("R", "L", "A", "P")),
    ((-1, 0, 0, 0, -1, 0), ("L", "R", "P", "A")),
    ((-1, 0, 0, 0, 1, 0), ("L", "R", "A", "P")),
    ((0, 1, 0, 0, 0, -1), ("A", "P", "H", "F")),
]


@pytest.mark.parametrize(("orientation", "letters"), POSITIONS)
def test_letters_of_a_picture_follow_the_affine(tmp_path, schema, orientation, letters):
    values = volume_of()
    step = 5 * np.cross(orientation[:3], orientation[3:])
    sources = sources_of(tmp_path, values, stack_affine((0, 0, 0), step, orientation, (2, 1)))
    assert pictures_of_rows([row_of(values)], sources, schema)["i"].edges == letters


def test_turned_row_is_shown_in_full_resolution_as_it_hangs(tmp_path, schema):
    """A prone patient: turned, the right side is at the left edge."""
    values = volume_of()
    sources = sources_of(tmp_path, values, stack_affine((0, 0, 0), (0, 0, 5), (-1, 0, 0, 0, -1, 0), (2, 1)))
    square = window_image(np.rot90(image_at(values, 1), 2), "CT", MEDGEMMA_WINDOWS, SIDE)
    row = row_of(values) | {
        "turn": "rotate_180",
        "image": {"bytes": png_bytes(square.transpose(1, 2, 0)), "path": None},
    }
    picture = pictures_of_rows([row], sources, schema)["i"]
    assert picture.edges == ("R", "L", "A", "P") and not picture.note
    shown = pixels_of(picture)[..., picture.channel_of(["liver"])]
    assert np.abs(shown.astype(int) - display_grey(np.rot90(image_at(values, 1), 2), "CT")).mean() < 6


def test_lungs_are_shown_in_a_lung_window_first(tmp_path, schema):
    values = volume_of()
    picture = pictures_of_rows([row_of(values)], sources_of(tmp_path, values), schema)["i"]
    assert picture.windows == (LUNG, SOFT_TISSUE, BONE)
    assert picture.channel_of(["lung_upper_lobe_left"]) == 0 and picture.channel_of(["rib_left_1"]) == 2
    assert picture.channel_of(["liver"]) == picture.channel_of([]) == 1
    lung = pixels_of(picture)[22:31, 42:51, 0]
    assert 80 < lung.mean() < 140 and pixels_of(picture)[22:31, 42:51, 1].mean() < 10


def test_image_with_a_brain_has_a_brain_window(tmp_path, schema):
    values = volume_of()
    picture = pictures_of_rows([row_of(values, classes=[BRAIN_ID])], sources_of(tmp_path, values), schema)["i"]
    assert picture.windows[0] == BRAIN and picture.channel_of(["brain"]) == 0 and picture.channel_of(["skull"]) == 2


def other_pixels(folder, values):
    return sources_of(folder, values + 300)


def other_grid(folder, values):
    return sources_of(folder, values[:, :-1])


def fewer_slices(folder, values):
    return sources_of(folder, values[..., :1])


def other_volume(folder, values):
    return sources_of(folder, values, volume="w")


def lost_file(folder, values):
    sources = sources_of(folder, values)
    (sources.store / sources.volumes["file"][0]).unlink()
    return sources


def two_files_of_one_volume(folder, values):
    first, second = sources_of(folder, values), sources_of(folder, values + 1)
    return PictureSources(pl.concat([first.volumes, second.volumes]), folder, MEDGEMMA_WINDOWS, SIDE)


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        (other_pixels, "not that of the dataset"),
        (other_grid, "not that of the dataset"),
        (fewer_slices, "not that of the dataset"),
        (other_volume, "not in the store"),
        (lost_file, "not in the store"),
        (two_files_of_one_volume, "not in the store"),
    ],
)
def test_picture_of_the_dataset_is_shown_where_the_volume_is_another(tmp_path, schema, broken, why):
    """A wrong slice would be worse than a small picture, and the row has the letters of its own."""
    values = volume_of()
    row = row_of(values)
    picture = pictures_of_rows([row], broken(tmp_path, values), schema)["i"]
    assert why in picture.note and picture.edges._asdict() == row["edges"]
    stored = window_image(image_at(values, 1), "CT", MEDGEMMA_WINDOWS, SIDE)
    assert np.abs(pixels_of(picture)[..., 1].astype(int) - stored[1]).mean() < 6
    assert np.abs(pixels_of(picture)[..., 0].astype(int) - stored[0]).mean() < 6  # the widest, for lungs


def test_same_volume_in_two_deliveries_is_found(tmp_path, schema):
    values = volume_of()
    sources = sources_of(tmp_path, values)
    twice = PictureSources(pl.concat([sources.volumes, sources.volumes]), tmp_path, MEDGEMMA_WINDOWS, SIDE)
    assert not pictures_of_rows([row_of(values)], twice, schema)["i"].note


def test_huge_slice_is_reduced_in_its_proportions():
    picture = picture_of_slice(np.zeros((1500, 3000), np.int16), "CT", False, 2.0, None)
    assert pixels_of(picture).shape[:2] == (512, 1024)
