"""The Parquet contracts: one class a table, checked whenever a stage writes one.

Identifiers (patient, study, series, volume, instance, caption) are keyed pseudonyms. Boxes are half-open, in pixels of
the DICOM image: x counts columns and y rows, `x_min <= x < x_max`.
"""

import pandera.polars as pa
import polars as pl

from refrad.core.types import LANGUAGES, MODALITIES, SPLITS, TASK_OF

__all__ = [
    "CaptionTable",
    "EntityTable",
    "FlagTable",
    "InstanceTable",
    "MaskTable",
    "MentionTable",
    "QuestionTable",
    "ReferenceTable",
    "SliceTable",
    "StructureTable",
    "Table",
    "TripletTable",
    "VolumeTable",
]

TASKS = list(TASK_OF.values())
FLAGS = ["empty", "volume", "pieces", "sides", "elsewhere"]
PLANES = ["axial", "coronal", "sagittal", "oblique"]
TIES = ["explicit", "reference", "structure"]
ASSERTIONS = ["present", "negated", "absent", "uncertain"]


class Table(pa.DataFrameModel):
    """What all contracts share: exactly these columns, in this order, none missing."""

    class Config:
        strict = True
        ordered = True
        coerce = False


class InstanceTable(Table):
    """Stage index: one row for every file or frame found, used or put aside."""

    file: str = pa.Field(description="keyed digest of the path inside the delivery")
    frame: pl.Int32 = pa.Field(ge=0, description="frame in a multi-frame file, else 0")
    instance: str = pa.Field(nullable=True, description="pseudonym of the SOP instance (and frame); null if unreadable")
    series: str = pa.Field(nullable=True)
    study: str = pa.Field(nullable=True)
    patient: str = pa.Field(nullable=True)
    volume: str = pa.Field(nullable=True, description="geometrically consistent part of a series; null if put aside")
    modality: str = pa.Field(nullable=True)
    series_number: pl.Int32 = pa.Field(nullable=True)
    instance_number: pl.Int32 = pa.Field(nullable=True)
    shard: pl.Int32 = pa.Field(nullable=True, ge=0)
    split: str = pa.Field(nullable=True, isin=SPLITS)
    burned_in: bool = pa.Field(
        nullable=True, description="text in the pixels, by header or rule; null if neither tells"
    )
    reason: str = pa.Field(nullable=True, description="null if used, else why it was put aside")


class VolumeTable(Table):
    """Stage volumes: one row a volume, accepted (`reason` null, `digest` set) or quarantined.

    What is left over of a stack that was split is quarantined under the name of the stack.
    """

    volume: str = pa.Field(
        unique=True, description="as in the index, with -1, -2, ... behind it for the parts of a split stack"
    )
    series: str
    study: str
    patient: str
    split: str = pa.Field(isin=SPLITS)
    modality: str = pa.Field(isin=MODALITIES)
    plane: str = pa.Field(nullable=True, isin=PLANES)
    series_number: pl.Int32 = pa.Field(nullable=True)
    body_part: str = pa.Field(
        nullable=True, description="DICOM BodyPartExamined if it is one of the defined terms, else null"
    )
    contrast: bool = pa.Field(nullable=True, description="a contrast agent was given")
    sex: str = pa.Field(nullable=True, isin=["F", "M", "O"])
    age: pl.Int32 = pa.Field(nullable=True, ge=0, le=90, description="years; 90 and above are 90")
    date: pl.Date = pa.Field(nullable=True, description="study date, shifted by a constant of the patient")
    columns: pl.Int32 = pa.Field(nullable=True, ge=1)
    rows: pl.Int32 = pa.Field(nullable=True, ge=1)
    slices: pl.Int32 = pa.Field(ge=1)
    spacing_x: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between columns")
    spacing_y: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between rows")
    spacing_z: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between slices")
    tilt: pl.Float64 = pa.Field(nullable=True, ge=0, description="degrees between the slices' normal and their stack")
    treated: str = pa.Field(
        nullable=True,
        description="reasons that correct treatments have met: gantry_tilt, slice_missing, spacing_irregular",
    )
    burned_in: bool = pa.Field(nullable=True, description="of any slice; null if neither header nor rules tell")
    frame: str = pa.Field(
        nullable=True, description="pseudonym of the frame of reference: volumes that share it share their coordinates"
    )
    digest: str = pa.Field(nullable=True, description="of voxels and affine")
    file: str = pa.Field(nullable=True, description="NIfTI inside the volume store")
    reason: str = pa.Field(nullable=True, description="null if accepted, else why it was quarantined")


class SliceTable(Table):
    """Stage volumes: where each SOP instance (frame) lies in its volume. `volume[:, :, index].T` is the DICOM image."""

    instance: str = pa.Field(unique=True)
    volume: str
    axis: pl.Int8 = pa.Field(ge=0, le=2, description="array axis across the stack; 2 for volumes of this workflow")
    index: pl.Int32 = pa.Field(ge=0)
    instance_number: pl.Int32 = pa.Field(nullable=True)


class MaskTable(Table):
    """Stage masks: one row an accepted volume, with its label volume in the mask store or the reason there is none."""

    volume: str = pa.Field(unique=True)
    task: str = pa.Field(isin=TASKS)
    segmenter: str = pa.Field(description="which backend made it, with its variant")
    weights: str = pa.Field(nullable=True, description="digest of the weights folders used; null for precomputed masks")
    digest: str = pa.Field(nullable=True, description="of the label voxels")
    file: str = pa.Field(nullable=True, description="NIfTI with native class ids, uint8, inside the mask store")
    labels: pl.Int32 = pa.Field(nullable=True, ge=0, description="classes present")
    reason: str = pa.Field(nullable=True)


class StructureTable(Table):
    """Stage structures: one row a class present in a slice."""

    instance: str
    volume: str
    index: pl.Int32 = pa.Field(ge=0)
    class_id: pl.Int16 = pa.Field(ge=1)
    x_min: pl.Int32 = pa.Field(ge=0)
    y_min: pl.Int32 = pa.Field(ge=0)
    x_max: pl.Int32 = pa.Field(ge=1)
    y_max: pl.Int32 = pa.Field(ge=1)
    area: pl.Int32 = pa.Field(ge=1, description="px inside the kept components")
    area_mm2: pl.Float64 = pa.Field(gt=0)
    components: pl.Int16 = pa.Field(ge=1, description="components kept by the outlier rule")

    @pa.dataframe_check
    def boxes_are_not_empty(cls, data: pa.PolarsData) -> pl.LazyFrame:  # type: ignore[misc]  # noqa: N805
        """Half-open boxes hold at least one pixel."""
        inside = (pl.col("x_min") < pl.col("x_max")) & (pl.col("y_min") < pl.col("y_max"))
        return data.lazyframe.select(inside)


class FlagTable(Table):
    """Stage structures: one row for each thing about the labels of a volume that is not plausible."""

    volume: str
    flag: str = pa.Field(isin=FLAGS)
    class_id: pl.Int16 = pa.Field(nullable=True, ge=1, description="the organ; null if the flag is about the volume")
    value: pl.Float64 = pa.Field(
        nullable=True,
        description="ml, share in the largest piece, share of swapped pairs, or mm from where it should be",
    )
    low: pl.Float64 = pa.Field(nullable=True, description="lowest plausible value")
    high: pl.Float64 = pa.Field(nullable=True, description="highest plausible value")
    action: str = pa.Field(isin=["flag", "quarantine"], description="what the config says of the flag")


class CaptionTable(Table):
    """Stage captions: one row a report sentence in one language, de-identified."""

    caption: str = pa.Field(unique=True, description="sentence and language")
    sentence: str = pa.Field(description="the same for all languages of one sentence")
    report: str
    study: str
    patient: str
    section: str = pa.Field(isin=["findings", "impression"])
    position: pl.Int32 = pa.Field(ge=0, description="of the sentence in its report")
    language: str = pa.Field(isin=LANGUAGES)
    text: str = pa.Field(str_length={"min_value": 1}, description="de-identified and rewritten")
    indication: str = pa.Field(nullable=True, description="clinical information of the report, de-identified")
    question: str = pa.Field(nullable=True, description="clinical question of the report, de-identified")
    tie: str = pa.Field(isin=TIES, description="how the caption finds its images")
    rewriter: str = pa.Field(description="backend of the rewriting, and whether it acted")
    translator: str = pa.Field(description="'source' if the text is in the report's own language, else the backend")


class ReferenceTable(Table):
    """Stage captions: the images that a caption names, as written; a missing part is null."""

    caption: str
    instance: str = pa.Field(nullable=True, description="pseudonym, from the side table")
    series_number: pl.Int32 = pa.Field(nullable=True)
    image_first: pl.Int32 = pa.Field(nullable=True)
    image_last: pl.Int32 = pa.Field(nullable=True)


class MentionTable(Table):
    """Stage mentions: one row a verbatim anatomical span and class of a caption (a span of two classes has two rows)."""

    caption: str
    start: pl.Int32 = pa.Field(ge=0, description="offset in Unicode code points")
    end: pl.Int32 = pa.Field(ge=1, description="offset after the last code point")
    text: str = pa.Field(str_length={"min_value": 1})
    class_id: pl.Int16 = pa.Field(ge=1)
    assertion: str = pa.Field(isin=ASSERTIONS)
    backend: str


class TripletTable(Table):
    """Stage grounded: one row a caption-image pair that was considered, kept or dropped with a reason."""

    triplet: str = pa.Field(unique=True)
    instance: str
    volume: str
    index: pl.Int32 = pa.Field(ge=0)
    caption: str
    tie: str = pa.Field(isin=TIES)
    reason: str = pa.Field(nullable=True, description="null if kept, else why the pair was dropped")


class EntityTable(Table):
    """Stage grounded: the grounded mentions of the kept triplets, in the order of their spans."""

    triplet: str
    start: pl.Int32 = pa.Field(ge=0)
    end: pl.Int32 = pa.Field(ge=1)
    text: str = pa.Field(str_length={"min_value": 1})
    class_id: pl.Int16 = pa.Field(ge=1)
    via: str = pa.Field(description="'exact', or the rule of the hierarchy that led from the mention to this class")
    x_min: pl.Int32 = pa.Field(ge=0)
    y_min: pl.Int32 = pa.Field(ge=0)
    x_max: pl.Int32 = pa.Field(ge=1)
    y_max: pl.Int32 = pa.Field(ge=1)


class QuestionTable(Table):
    """Stage vqa: one row a question-answer pair of an image."""

    instance: str
    language: str = pa.Field(isin=LANGUAGES)
    topic: str = pa.Field(isin=["findings", "metadata"])
    kind: str = pa.Field(isin=["open", "yesno", "multiple"])
    question: str
    choices: pl.List(pl.String) = pa.Field(description="empty unless kind is multiple")  # type: ignore[valid-type]
    answer: str
    backend: str
    reason: str = pa.Field(nullable=True, description="null if it belongs to the dataset, else why it is kept out")
