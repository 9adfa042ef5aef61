"""Parts of a shard's rows from the tables and from an image."""

from collections.abc import Sequence
from typing import NotRequired

import numpy as np
from numpy.typing import NDArray

from refrad.config import ShardsOptions
from refrad.core.table_rows import CaptionRow, EntityRow, QuestionRow, StructureRow
from refrad.dataset.image_codec import encode_mask, encode_pixels, encode_png, encode_sketch, window_image
from refrad.dataset.shard_rows import (
    CaptionStruct,
    EntityStruct,
    ImageStruct,
    PictureColumns,
    QuestionStruct,
    StructureStruct,
)

__all__ = ["EncodedPicture", "build_caption", "build_question", "build_structure", "encode_picture"]


class EncodedPicture(PictureColumns):
    """The columns that hold an image in the formats of the config, and its sketch."""

    image_full: NotRequired[ImageStruct]
    sketch: bytes


def build_caption(caption: CaptionRow, tie: str, entities: Sequence[EntityRow]) -> CaptionStruct:
    """A caption of an image, its tie to the image, and its grounded mentions there (boxes in px of the DICOM image)."""
    return {
        "caption": caption["caption"],
        "sentence": caption["sentence"],
        "language": caption["language"],
        "text": caption["text"],
        "indication": caption["indication"],
        "question": caption["question"],
        "tie": tie,
        "entities": [_entity(entity) for entity in entities],
    }


def _entity(entity: EntityRow) -> EntityStruct:
    return {
        "start": entity["start"],
        "end": entity["end"],
        "text": entity["text"],
        "class_id": entity["class_id"],
        "via": entity["via"],
        "one_sided": entity["one_sided"],
        "x_min": entity["x_min"],
        "y_min": entity["y_min"],
        "x_max": entity["x_max"],
        "y_max": entity["y_max"],
    }


def build_question(question: QuestionRow) -> QuestionStruct:
    """A question-answer pair of an image."""
    return {
        "language": question["language"],
        "topic": question["topic"],
        "kind": question["kind"],
        "question": question["question"],
        "choices": question["choices"],
        "answer": question["answer"],
        "backend": question["backend"],
    }


def build_structure(structure: StructureRow, classes: NDArray[np.uint8]) -> StructureStruct:
    """A class in an image, with its mask.

    Args:
        structure: of the image.
        classes: class of each pixel of the DICOM image, uint8 [row, column].
    """
    return {
        "class_id": structure["class_id"],
        "x_min": structure["x_min"],
        "y_min": structure["y_min"],
        "x_max": structure["x_max"],
        "y_max": structure["y_max"],
        "area": structure["area"],
        "rle": encode_mask(classes == structure["class_id"]),
    }


def encode_picture(image: NDArray[np.int16], modality: str, options: ShardsOptions) -> EncodedPicture:
    """An image in the formats of the options, and its sketch.

    Args:
        image: int16 [row, column], HU for CT.
        modality: CT or MR.
        options: windows (HU), size of the square (px) and formats.
    """
    square = window_image(image, modality, options.windows, options.image_size)
    row: EncodedPicture = {"sketch": encode_sketch(square)}
    if "png" in options.formats:
        row["image"] = {"bytes": encode_png(square), "path": None}
    if "raw" in options.formats:
        row["pixels"] = encode_pixels(square)
    if "full" in options.formats:
        row["image_full"] = {"bytes": encode_png(window_image(image, modality, options.windows, None)), "path": None}
    return row
