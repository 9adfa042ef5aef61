"""Rows of images.parquet: pictures with two squares as organs, captions and questions."""

import io
from typing import Any

import numpy as np
from PIL import Image

from refrad.dataset.image_codec import encode_mask

SIDE = 64  # px of the made-up images


def png_bytes(picture: np.ndarray) -> bytes:
    """The PNG file of a picture (row, column, 3; 8 bits)."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def image_row(number: int, split: str, rng: np.random.Generator) -> dict[str, Any]:
    """An image of SIDE px with a bright square, the liver, and a grey one, the spleen."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    structures, entities = [], []
    for class_id, text, level, start in ((5, "Liver", 255, 0), (1, "spleen", 120, 10)):
        x, y = rng.integers(2, 13, 2) + (0 if class_id == 5 else 30)
        picture[y : y + 20, x : x + 20] = level
        mask = np.zeros((SIDE, SIDE), bool)
        mask[y : y + 20, x : x + 20] = True
        box = {"x_min": int(x), "y_min": int(y), "x_max": int(x) + 20, "y_max": int(y) + 20}
        structures.append(box | {"class_id": class_id, "area": 400, "rle": encode_mask(mask)})
        span = {"start": start, "end": start + len(text), "text": text}
        entities.append(box | span | {"class_id": class_id, "via": "exact", "one_sided": False})
    caption = {
        "caption": f"c{number}",
        "sentence": f"s{number}",
        "language": "en",
        "text": "Liver and spleen are normal.",
        "tie": "structure",
        "indication": "pain",
        "question": None,
        "entities": entities,
    }
    question = {
        "language": "en",
        "topic": "metadata",
        "kind": "open",
        "question": "Which imaging modality is this?",
        "choices": [],
        "answer": "CT",
        "backend": "templates",
    }
    return {
        "image_id": f"i{number:04d}",
        "volume": "v",
        "study": "s",
        "patient": f"{split} p{number % 7}",
        "split": split,
        "modality": "CT",
        "plane": "axial",
        "index": number,
        "width": SIDE,
        "height": SIDE,
        "spacing_x": 1.0,
        "spacing_y": 1.0,
        **{"orientation": "stored", "turn": "none", "edges": {"left": "R", "right": "L", "top": "A", "bottom": "P"}},
        "image": {"bytes": png_bytes(picture), "path": None},
        "structures": structures,
        "captions": [caption],
        "questions": [question],
        "provenance": None,
    }
