"""A made-up dataset for the model: shards as stage shards writes them, of a few bright squares that are called organs."""

import io

import numpy as np
import pytest
from PIL import Image

from refrad.anatomy.schema import load_schema
from refrad.dataset.shards import write_images
from refrad.fingerprint import Fingerprint

SIDE = 64


def row(number: int, split: str, rng: np.random.Generator) -> dict:
    """An image of SIDE px with a bright square, the liver, and a grey one, the spleen."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    structures, entities = [], []
    for class_id, text, level, start in ((5, "Liver", 255, 0), (1, "spleen", 120, 10)):
        x, y = rng.integers(2, 13, 2) + (0 if class_id == 5 else 30)
        picture[y : y + 20, x : x + 20] = level
        box = {"x_min": int(x), "y_min": int(y), "x_max": int(x) + 20, "y_max": int(y) + 20}
        structures.append(box | {"class_id": class_id, "area": 400, "rle": ""})
        entities.append(box | {"start": start, "end": start + len(text), "text": text, "class_id": class_id, "via": "exact"})
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    caption = {"caption": f"c{number}", "sentence": f"s{number}", "language": "en", "text": "Liver and spleen are normal.", "tie": "structure"}
    question = {"language": "en", "topic": "metadata", "kind": "open", "question": "Which imaging modality is this?", "choices": [], "answer": "CT"}
    return {
        **{"image_id": f"i{number:04d}", "volume": "v", "study": "s", "patient": f"p{number % 7}", "split": split, "modality": "CT"},
        **{"plane": "axial", "index": number, "width": SIDE, "height": SIDE, "spacing_x": 1.0, "spacing_y": 1.0},
        **{"image": {"bytes": buffer.getvalue(), "path": None}, "structures": structures},
        "captions": [caption | {"indication": "pain", "question": None, "entities": entities}],
        "questions": [question | {"backend": "templates"}],
        "provenance": None,
    }


@pytest.fixture(scope="session")
def schema(root):
    return load_schema(root / "workflow" / "anatomy" / "classes.yaml")


@pytest.fixture(scope="session")
def images(tmp_path_factory, schema):
    """images.parquet with 24 training, 4 validation and 6 test images."""
    path = tmp_path_factory.mktemp("images") / "images.parquet"
    rng = np.random.default_rng(0)
    splits = ["train"] * 24 + ["validation"] * 4 + ["test"] * 6
    write_images(path, [row(number, split, rng) for number, split in enumerate(splits)], schema, Fingerprint("shards", 1, {}, {}))
    return path


@pytest.fixture(scope="session")
def processor():
    from refrad.model.processor import tiny_processor

    return tiny_processor(["Locate: Liver, spleen ", "Lokalisiere: Leber, Milz "] * 4, image_size=64, patch=8, words=320)
