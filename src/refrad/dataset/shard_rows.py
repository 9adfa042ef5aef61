"""The rows of the shards as typed dictionaries. Keys and types follow `refrad.dataset.columns` (a test compares them)."""

from typing import NotRequired, TypedDict

from refrad.core.table_rows import BoxRow, EntityColumns, QuestionColumns

__all__ = [
    "BenchmarkImageRow",
    "CaptionStruct",
    "EdgeStruct",
    "EncodedPicture",
    "EntityStruct",
    "GeometryColumns",
    "GridColumns",
    "IdentifiedPicture",
    "ImageIdentity",
    "ImageRow",
    "ImageStruct",
    "PictureColumns",
    "ProvenanceStruct",
    "QuestionStruct",
    "StructureStruct",
]


class ImageStruct(TypedDict):
    """A picture as `datasets` stores it."""

    bytes: bytes
    path: str | None


class EdgeStruct(TypedDict):
    """The side of the patient at each edge of an image, in the letters of DICOM."""

    left: str
    right: str
    top: str
    bottom: str


class StructureStruct(BoxRow):
    """A class in an image: union box in px of the image in its own resolution, area in px, mask as COCO run-length code."""

    class_id: int
    area: int
    rle: str


class EntityStruct(EntityColumns):
    """A grounded phrase of a caption."""


class CaptionStruct(TypedDict):
    """A report sentence of an image, with its grounded phrases: none if it is not `grounded`."""

    caption: str
    sentence: str
    language: str
    text: str
    indication: str | None
    question: str | None
    tie: str
    grounded: bool
    entities: list[EntityStruct]


class QuestionStruct(QuestionColumns):
    """A question-answer pair of an image."""


class ProvenanceStruct(TypedDict):
    """The backends of the parts of a row, and a digest of the fingerprint of each stage."""

    segmenter: str | None
    weights: str | None
    mentions: str | None
    rewriter: str | None
    translator: str | None
    vqa: str | None
    fingerprints: dict[str, str | None]


class ImageIdentity(TypedDict):
    """The columns that say which image a row is about: pseudonyms, split of the patient, and place in the volume."""

    image_id: str
    volume: str
    study: str
    patient: str
    split: str
    index: int


class GridColumns(TypedDict):
    """The columns with the size of an image in its own resolution, px, and its spacing, mm."""

    width: int
    height: int
    spacing_x: float
    spacing_y: float


class GeometryColumns(GridColumns):
    """The columns that describe the grid of an image."""

    orientation: str
    turn: str
    edges: EdgeStruct


class PictureColumns(TypedDict):
    """The columns with the square picture of a row: at least one of them."""

    image: NotRequired[ImageStruct]
    pixels: NotRequired[bytes]


class EncodedPicture(PictureColumns):
    """The columns that hold an image in the formats of the config, and its sketch."""

    image_full: NotRequired[ImageStruct]
    sketch: bytes


class ImageRow(ImageIdentity, GeometryColumns, EncodedPicture):
    """A row of a shard. The pictures that the config does not ask for are absent."""

    public_set: str | None
    modality: str
    plane: str | None
    body_part: str | None
    contrast: bool | None
    structures: list[StructureStruct]
    captions: list[CaptionStruct]
    questions: list[QuestionStruct]
    provenance: ProvenanceStruct


class IdentifiedPicture(PictureColumns):
    """The square picture of a row, and what identifies its image, patient and split."""

    image_id: str
    patient: str
    split: str


class BenchmarkImageRow(ImageIdentity, GridColumns, PictureColumns):
    """A row of a public benchmark, for a shard: the columns that benchmarks have; the others are null in the file."""

    modality: str | None
    image_full: NotRequired[ImageStruct]
    structures: list[StructureStruct]
    captions: list[CaptionStruct]
    questions: list[QuestionStruct]
