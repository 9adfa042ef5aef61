"""The columns of the dataset: name, type, origin and meaning.

The Arrow schema, the features that `datasets` reads, Croissant and the page docs/dataset.md all follow from here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from refrad.anatomy.schema import Schema
from refrad.workflow.stages import DATASET_SOURCES

__all__ = ["COLUMNS", "FORMATS", "Column", "arrow_schema", "features"]

BOX = [(name, pa.int32()) for name in ("x_min", "y_min", "x_max", "y_max")]
# int64, since that is how `datasets` stores class labels.
STRUCTURE = pa.struct([("class_id", pa.int64()), *BOX, ("area", pa.int32()), ("rle", pa.string())])
ENTITY = pa.struct(
    [(name, pa.int32()) for name in ("start", "end")]
    + [("text", pa.string()), ("class_id", pa.int64()), ("via", pa.string()), ("one_sided", pa.bool_()), *BOX]
)
CAPTION_STRUCT = pa.struct(
    [(name, pa.string()) for name in ("caption", "sentence", "language", "text", "indication", "question", "tie")]
    + [("grounded", pa.bool_()), ("entities", pa.list_(ENTITY))]
)
QUESTION_STRUCT = pa.struct(
    [(name, pa.string()) for name in ("language", "topic", "kind", "question")]
    + [("choices", pa.list_(pa.string())), ("answer", pa.string()), ("backend", pa.string())]
)
EDGES = pa.struct([(name, pa.string()) for name in ("left", "right", "top", "bottom")])
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BACKENDS = ("segmenter", "weights", "mentions", "rewriter", "translator", "vqa")
PROVENANCE = pa.struct(
    [(name, pa.string()) for name in BACKENDS]
    + [("fingerprints", pa.struct([(name, pa.string()) for name in DATASET_SOURCES]))]
)


@dataclass(frozen=True)
class Column:
    """A column. `group` names whose terms apply; a column with a `format` exists only if the config lists that format."""

    name: str
    kind: pa.DataType
    group: str
    meaning: str
    format: str | None = None


COLUMNS: Sequence[Column] = (
    Column(
        "image_id",
        pa.string(),
        "identity",
        "pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume",
    ),
    Column("volume", pa.string(), "identity", "pseudonym of the volume that the image is a slice of"),
    Column("study", pa.string(), "identity", "pseudonym of the study"),
    Column("patient", pa.string(), "identity", "pseudonym of the patient"),
    Column("split", pa.string(), "identity", "train, validation or test; the same for all images of a patient"),
    Column("public_set", pa.string(), "identity", "public set that the image is of; null: the site's own data"),
    Column("modality", pa.string(), "header", "CT or MR"),
    Column("plane", pa.string(), "header", "axial, coronal, sagittal or oblique, from the geometry"),
    Column("index", pa.int32(), "header", "place of the slice in its volume"),
    Column("body_part", pa.string(), "header", "BodyPartExamined where it is a defined term, else null"),
    Column("contrast", pa.bool_(), "header", "whether a contrast agent was given; null: unknown"),
    Column("width", pa.int32(), "header", "columns of the image in its own resolution, px"),
    Column("height", pa.int32(), "header", "rows of the image in its own resolution, px"),
    Column("spacing_x", pa.float64(), "header", "mm between columns"),
    Column("spacing_y", pa.float64(), "header", "mm between rows"),
    Column(
        "orientation", pa.string(), "header", "stored, or radiological: image, boxes and masks are turned by `turn`"
    ),
    Column(
        "turn",
        pa.string(),
        "header",
        "from the stored slice to the image: none, mirror, flip, rotate_90 (clockwise), rotate_180, rotate_270, transpose or"
        " transpose_180",
    ),
    Column("edges", EDGES, "header", "side of the patient at each edge of the image: R, L, A, P, H, F, or two of them"),
    Column("image", IMAGE, "image", "PNG of the windowed image, squashed to a square; three channels", "png"),
    Column(
        "pixels",
        pa.binary(),
        "image",
        "the same picture as uint8 [channel, row, column] in one zstd frame: the fastest to load",
        "raw",
    ),
    Column("image_full", IMAGE, "image", "PNG of the windowed image in its own resolution", "full"),
    Column(
        "sketch",
        pa.binary(),
        "image",
        "the structure of the picture without its brightness and contrast, int8 [32, 32], by which copies are found",
    ),
    Column(
        "structures",
        pa.list_(STRUCTURE),
        "anatomy",
        "all classes in the image: union box (half-open, px of the image in its own resolution), area in px, mask as COCO run-length"
        " code of size [height, width]",
    ),
    Column(
        "captions",
        pa.list_(CAPTION_STRUCT),
        "report",
        "report sentences of the image in every language there is, with indication and clinical question of their report,"
        " how they were tied to the image, whether they are grounded in it, and their grounded phrases: span (code points), class, box, and via"
        " (exact, part or whole), and one_sided (the phrase names both sides, the image shows this one only)",
    ),
    Column(
        "questions",
        pa.list_(QUESTION_STRUCT),
        "questions",
        "question-answer pairs of the image; choices only if kind is multiple",
    ),
    Column(
        "provenance",
        PROVENANCE,
        "provenance",
        "the backend of each part of the row, and a digest of the fingerprint of each stage; the fingerprints themselves are in"
        " the metadata of the file",
    ),
)
FORMATS = ("png", "raw", "full")


def arrow_schema(formats: Sequence[str]) -> pa.Schema:
    """The columns of a file whose pictures are stored in these formats."""
    return pa.schema(
        [(column.name, column.kind) for column in COLUMNS if column.format is None or column.format in formats]
    )


def features(arrow: pa.Schema, schema: Schema) -> dict[str, Any]:
    """The columns as `datasets` describes them, so that it shows pictures as pictures and class ids as names."""
    names = {entry.id: entry.name for entry in schema.classes}
    label = {
        "names": [names.get(i, "background" if i == 0 else f"unused_{i}") for i in range(max(names) + 1)],
        "_type": "ClassLabel",
    }

    def describe(kind: pa.DataType, name: str) -> Any:
        if name == "class_id":
            return label
        if kind == IMAGE:
            return {"_type": "Image"}
        if pa.types.is_list(kind):
            return {"feature": describe(kind.value_type, ""), "_type": "List"}
        if pa.types.is_struct(kind):
            return {field.name: describe(field.type, field.name) for field in kind}
        return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}

    return {field.name: describe(field.type, field.name) for field in arrow}
