"""Parts of a shard's rows from the tables and from an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refrad.config import ShardsOptions
from refrad.core.table_rows import AcceptedVolumeRow, BoxRow, CaptionRow, EntityRow, QuestionRow, StructureRow
from refrad.dataset.image_codec import encode_mask, encode_pixels, encode_png, encode_sketch, window_image
from refrad.dataset.shard_rows import (
    CaptionStruct,
    EncodedPicture,
    EntityStruct,
    GeometryColumns,
    QuestionStruct,
    StructureStruct,
)
from refrad.dicom.hanging import Turn, radiological_turn, turned_letters
from refrad.dicom.side_marks import slice_directions

__all__ = [
    "TurnedGrid",
    "build_caption",
    "build_geometry",
    "build_question",
    "build_structure",
    "encode_picture",
]


@dataclass(frozen=True)
class TurnedGrid:
    """The pixels of an image of the dataset, turned from those of the DICOM image.

    Attributes:
        turn: from the DICOM image.
        columns: of the DICOM image, px.
        rows: of the DICOM image, px.
    """

    turn: Turn
    columns: int
    rows: int

    def box(self, box: BoxRow) -> BoxRow:
        """A box of the DICOM image, in px of the image."""
        x_min, y_min, x_max, y_max = self.turn.box(
            (box["x_min"], box["y_min"], box["x_max"], box["y_max"]), self.columns, self.rows
        )
        return {"x_min": x_min, "y_min": y_min, "x_max": x_max, "y_max": y_max}


def build_geometry(
    volume: AcceptedVolumeRow, affine: NDArray[np.float64], orientation: str
) -> tuple[TurnedGrid, GeometryColumns]:
    """The grid of the images of a volume, and the columns that describe it.

    Args:
        volume: of the table.
        affine: RAS+ mm, [4, 4], of the volume [column, row, slice].
        orientation: stored or radiological, as `shards.orientation` of the config.
    """
    directions = slice_directions(affine)
    turn = radiological_turn(*directions) if orientation == "radiological" else Turn()
    width, height = turn.size(volume["columns"], volume["rows"])
    spacing_x, spacing_y = turn.size(volume["spacing_x"], volume["spacing_y"])
    letters = turned_letters(*directions, turn)
    return TurnedGrid(turn, volume["columns"], volume["rows"]), {
        "width": width,
        "height": height,
        "spacing_x": spacing_x,
        "spacing_y": spacing_y,
        "orientation": orientation,
        "turn": turn.name,
        "edges": {"left": letters.left, "right": letters.right, "top": letters.top, "bottom": letters.bottom},
    }


def build_caption(caption: CaptionRow, tie: str, entities: Sequence[EntityRow], grid: TurnedGrid) -> CaptionStruct:
    """A caption of an image, its tie to the image, and its grounded mentions there.

    Args:
        caption: of the table.
        tie: of the triplet.
        entities: of the triplet, with boxes in px of the DICOM image.
        grid: of the image, into which the boxes are turned.
    """
    return {
        "caption": caption["caption"],
        "sentence": caption["sentence"],
        "language": caption["language"],
        "text": caption["text"],
        "indication": caption["indication"],
        "question": caption["question"],
        "tie": tie,
        "grounded": bool(entities),
        "entities": [_entity(entity, grid) for entity in entities],
    }


def _entity(entity: EntityRow, grid: TurnedGrid) -> EntityStruct:
    return {
        "start": entity["start"],
        "end": entity["end"],
        "text": entity["text"],
        "class_id": entity["class_id"],
        "via": entity["via"],
        "one_sided": entity["one_sided"],
        **grid.box(entity),
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


def build_structure(structure: StructureRow, classes: NDArray[np.uint8], grid: TurnedGrid) -> StructureStruct:
    """A class in an image, with its mask.

    Args:
        structure: of the image, with its box in px of the DICOM image.
        classes: class of each pixel of the image in its grid, uint8 [row, column].
        grid: of the image, into which the box is turned.
    """
    return {
        "class_id": structure["class_id"],
        **grid.box(structure),
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
