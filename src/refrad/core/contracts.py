"""The Parquet contracts: one class per table, checked when a stage writes it.

Identifiers (patient, study, series, volume, instance, caption) are keyed pseudonyms. Boxes are half-open, in pixels of
the DICOM image: x counts columns and y rows, `x_min <= x < x_max`.
"""

import polars as pl

from refrad.core.schemas import pa
from refrad.core.types import LANGUAGES, MODALITIES, SPLITS, TASK_OF

__all__ = [
    "CaptionTable",
    "CopyTable",
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
RELATIONS = ["study", "patient", "another_patient", "earlier_delivery"]
TIES = ["explicit", "reference", "structure"]
ASSERTIONS = ["present", "negated", "absent", "uncertain"]


class Table(pa.DataFrameModel):
    """Base of all contracts: exactly these columns, in this order."""

    class Config:
        strict = True
        ordered = True
        coerce = False


class InstanceTable(Table):
    """Stage index: one row for every file or frame in the delivery, used or quarantined. A NIfTI file is one row."""

    file: str = pa.Field(description="keyed digest of the path inside the delivery")
    frame: pl.Int32 = pa.Field(ge=0, description="frame in a multi-frame file, else 0")
    slices: pl.Int32 = pa.Field(ge=1, description="images of the row: 1, or the slices of a NIfTI volume")
    instance: str = pa.Field(
        nullable=True,
        description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume; null if unreadable",
    )
    series: str = pa.Field(nullable=True, description="pseudonym of the series; null if unreadable")
    study: str = pa.Field(nullable=True, description="pseudonym of the study; null if unreadable")
    patient: str = pa.Field(nullable=True, description="pseudonym of the patient; null if unreadable")
    volume: str = pa.Field(
        nullable=True, description="pseudonym of the stack, the part of a series with one geometry; null if quarantined"
    )
    modality: str = pa.Field(nullable=True, description="DICOM Modality; null if unreadable")
    series_number: pl.Int32 = pa.Field(nullable=True, description="DICOM SeriesNumber")
    instance_number: pl.Int32 = pa.Field(
        nullable=True,
        description="DICOM InstanceNumber; that of the first slice of a NIfTI volume with numbered slices",
    )
    shard: pl.Int32 = pa.Field(nullable=True, ge=0, description="shard of the patient; null if unreadable")
    split: str = pa.Field(nullable=True, isin=SPLITS, description="split of the patient; null if unreadable")
    burned_in: bool = pa.Field(nullable=True, description="text in the pixels, by header or rule; null if unknown")
    reason: str = pa.Field(nullable=True, description="null if used, else the reason of the quarantine")


class VolumeTable(Table):
    """Stage volumes: one row per volume, accepted (`reason` null, `digest` set) or quarantined.

    The remaining slices of a split stack are quarantined under the name of the stack.
    """

    volume: str = pa.Field(
        unique=True, description="pseudonym as in the index, with the suffix -1, -2, ... for the parts of a split stack"
    )
    series: str = pa.Field(description="pseudonym of the series")
    study: str = pa.Field(description="pseudonym of the study")
    patient: str = pa.Field(description="pseudonym of the patient")
    split: str = pa.Field(isin=SPLITS, description="split of the patient")
    modality: str = pa.Field(isin=MODALITIES, description="DICOM Modality")
    plane: str = pa.Field(nullable=True, isin=PLANES, description="plane of the slices, from the geometry")
    series_number: pl.Int32 = pa.Field(nullable=True, description="DICOM SeriesNumber")
    body_part: str = pa.Field(
        nullable=True, description="DICOM BodyPartExamined if it is one of the defined terms, else null"
    )
    contrast: bool = pa.Field(nullable=True, description="whether a contrast agent was given")
    sex: str = pa.Field(nullable=True, isin=["F", "M", "O"], description="DICOM PatientSex")
    age: pl.Int32 = pa.Field(nullable=True, ge=0, le=90, description="years; 90 and above are 90")
    date: pl.Date = pa.Field(nullable=True, description="study date, shifted by a constant of the patient")
    columns: pl.Int32 = pa.Field(nullable=True, ge=1, description="columns of a slice, px")
    rows: pl.Int32 = pa.Field(nullable=True, ge=1, description="rows of a slice, px")
    slices: pl.Int32 = pa.Field(ge=1, description="number of slices")
    spacing_x: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between columns")
    spacing_y: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between rows")
    spacing_z: pl.Float64 = pa.Field(nullable=True, gt=0, description="mm between slices")
    tilt: pl.Float64 = pa.Field(
        nullable=True, ge=0, description="degrees between the normal of the slices and the stacking direction"
    )
    treated: str = pa.Field(
        nullable=True,
        description="treatments that were applied, as reasons: gantry_tilt, frames_of_reference_differ, slice_missing, "
        "spacing_irregular, unreadable_pixels, storage_error",
    )
    burned_in: bool = pa.Field(nullable=True, description="text in the pixels of any slice; null if unknown")
    frame: str = pa.Field(
        nullable=True, description="pseudonym of the frame of reference: volumes that share it share their coordinates"
    )
    digest: str = pa.Field(nullable=True, description="digest of voxels and affine")
    file: str = pa.Field(nullable=True, description="NIfTI inside the volume store")
    reason: str = pa.Field(nullable=True, description="null if accepted, else the reason of the quarantine")


class SliceTable(Table):
    """Stage volumes: the position of each SOP instance (frame) in its volume. `volume[:, :, index].T` is the DICOM image."""

    instance: str = pa.Field(
        unique=True, description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume"
    )
    volume: str = pa.Field(description="pseudonym of the volume")
    axis: pl.Int8 = pa.Field(ge=0, le=2, description="array axis across the stack; 2 for volumes of this workflow")
    index: pl.Int32 = pa.Field(ge=0, description="position of the slice along the axis")
    instance_number: pl.Int32 = pa.Field(nullable=True, description="DICOM InstanceNumber")


class MaskTable(Table):
    """Stage masks: one row per accepted volume, with its label volume in the mask store or the reason why there is none."""

    volume: str = pa.Field(unique=True, description="pseudonym of the volume")
    task: str = pa.Field(isin=TASKS, description="TotalSegmentator task whose ids the labels have")
    segmenter: str = pa.Field(description="backend, with its variant")
    weights: str = pa.Field(nullable=True, description="digest of the weights folders used; null for precomputed masks")
    digest: str = pa.Field(nullable=True, description="digest of the label voxels")
    file: str = pa.Field(nullable=True, description="NIfTI with native class ids, uint8, inside the mask store")
    labels: pl.Int32 = pa.Field(nullable=True, ge=0, description="number of classes present")
    reason: str = pa.Field(nullable=True, description="null if there are labels, else the reason why not")


class StructureTable(Table):
    """Stage structures: one row per class and slice."""

    instance: str = pa.Field(
        description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume"
    )
    volume: str = pa.Field(description="pseudonym of the volume")
    index: pl.Int32 = pa.Field(ge=0, description="position of the slice along the axis")
    class_id: pl.Int16 = pa.Field(ge=1, description="id in the class schema")
    x_min: pl.Int32 = pa.Field(ge=0, description="first column of the box, px")
    y_min: pl.Int32 = pa.Field(ge=0, description="first row of the box, px")
    x_max: pl.Int32 = pa.Field(ge=1, description="column after the box, px")
    y_max: pl.Int32 = pa.Field(ge=1, description="row after the box, px")
    area: pl.Int32 = pa.Field(ge=1, description="area of the kept components, px")
    area_mm2: pl.Float64 = pa.Field(gt=0, description="area of the kept components, mm²")
    components: pl.Int16 = pa.Field(ge=1, description="number of components kept by the outlier rule")

    @pa.dataframe_check
    def boxes_are_not_empty(cls, data: pa.PolarsData) -> pl.LazyFrame:  # type: ignore[misc]  # noqa: N805
        """Half-open boxes hold at least one pixel."""
        inside = (pl.col("x_min") < pl.col("x_max")) & (pl.col("y_min") < pl.col("y_max"))
        return data.lazyframe.select(inside)


class FlagTable(Table):
    """Stage structures: one row per implausible finding in the labels of a volume."""

    volume: str = pa.Field(description="pseudonym of the volume")
    flag: str = pa.Field(isin=FLAGS, description="kind of implausible labels")
    class_id: pl.Int16 = pa.Field(nullable=True, ge=1, description="the organ; null if the flag concerns the volume")
    value: pl.Float64 = pa.Field(
        nullable=True,
        description="ml, share in the largest piece, share of swapped pairs, or mm from the expected position",
    )
    low: pl.Float64 = pa.Field(nullable=True, description="lowest plausible value")
    high: pl.Float64 = pa.Field(nullable=True, description="highest plausible value")
    action: str = pa.Field(isin=["flag", "quarantine"], description="policy of the config for the flag")


class CaptionTable(Table):
    """Stage captions: one row per report sentence and language, de-identified."""

    caption: str = pa.Field(unique=True, description="id of sentence and language")
    sentence: str = pa.Field(description="id of the sentence, the same in all languages")
    report: str = pa.Field(description="pseudonym of the report")
    study: str = pa.Field(description="pseudonym of the study")
    patient: str = pa.Field(description="pseudonym of the patient")
    section: str = pa.Field(
        isin=["findings", "impression", "addendum", "correction"], description="section of the report"
    )
    position: pl.Int32 = pa.Field(ge=0, description="index of the sentence in its report")
    language: str = pa.Field(isin=LANGUAGES, description="language of the text")
    text: str = pa.Field(str_length={"min_value": 1}, description="the sentence, de-identified and rewritten")
    indication: str = pa.Field(nullable=True, description="clinical information of the report, de-identified")
    question: str = pa.Field(nullable=True, description="clinical question of the report, de-identified")
    tie: str = pa.Field(isin=TIES, description="how the caption finds its images")
    rewriter: str = pa.Field(description="backend of the rewriting, and its effect")
    translator: str = pa.Field(description="'source' if the text is in the report's own language, else the backend")


class ReferenceTable(Table):
    """Stage captions: the images that a caption names, as written; a missing part is null."""

    caption: str = pa.Field(description="id of the caption")
    instance: str = pa.Field(nullable=True, description="pseudonym of the SOP instance, from the references table")
    series_number: pl.Int32 = pa.Field(nullable=True, description="DICOM SeriesNumber of the reference")
    image_first: pl.Int32 = pa.Field(nullable=True, description="first image number of the reference")
    image_last: pl.Int32 = pa.Field(nullable=True, description="last image number of the reference")
    plane: str = pa.Field(
        nullable=True,
        isin=["axial", "coronal", "sagittal"],
        description="plane of the volumes that have the image, where the text names one in place of a series",
    )


class MentionTable(Table):
    """Stage mentions: one row per verbatim anatomical span and class of a caption (a span of two classes has two rows)."""

    caption: str = pa.Field(description="id of the caption")
    start: pl.Int32 = pa.Field(ge=0, description="offset in Unicode code points")
    end: pl.Int32 = pa.Field(ge=1, description="offset after the last code point")
    text: str = pa.Field(str_length={"min_value": 1}, description="the span, verbatim")
    class_id: pl.Int16 = pa.Field(ge=1, description="id in the class schema")
    assertion: str = pa.Field(isin=ASSERTIONS, description="status of the structure in the sentence")
    backend: str = pa.Field(description="backend that found the mention")


class CopyTable(Table):
    """Stage copies: one row per volume of the delivery that is a copy of another one, of this or of an earlier delivery."""

    volume: str = pa.Field(unique=True, description="pseudonym of the copy, a volume of this delivery")
    original: str = pa.Field(description="pseudonym of the volume of which it is a copy")
    relation: str = pa.Field(isin=RELATIONS, description="where the original is")
    kind: str = pa.Field(isin=["same_voxels", "altered"], description="whether voxels and affine are the same")
    reason: str = pa.Field(
        nullable=True, description="null if the config keeps both, else the reason why the copy is left out"
    )


class TripletTable(Table):
    """Stage grounded: one row per considered pair of caption and image, grounded, or not with a reason."""

    triplet: str = pa.Field(unique=True, description="id of the pair")
    instance: str = pa.Field(
        description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume"
    )
    volume: str = pa.Field(description="pseudonym of the volume")
    index: pl.Int32 = pa.Field(ge=0, description="position of the slice along the axis")
    caption: str = pa.Field(description="id of the caption")
    tie: str = pa.Field(isin=TIES, description="how the caption finds its images")
    reason: str = pa.Field(nullable=True, description="null if grounded, else the reason why not")


class EntityTable(Table):
    """Stage grounded: the grounded mentions of the kept triplets, in the order of their spans."""

    triplet: str = pa.Field(description="id of the triplet")
    start: pl.Int32 = pa.Field(ge=0, description="offset in Unicode code points")
    end: pl.Int32 = pa.Field(ge=1, description="offset after the last code point")
    text: str = pa.Field(str_length={"min_value": 1}, description="the span, verbatim")
    class_id: pl.Int16 = pa.Field(ge=1, description="id of the class with the box")
    via: str = pa.Field(description="relation of mention and class: exact, part or whole")
    one_sided: bool = pa.Field(description="whether the mention names both sides and the image shows this one only")
    x_min: pl.Int32 = pa.Field(ge=0, description="first column of the box, px")
    y_min: pl.Int32 = pa.Field(ge=0, description="first row of the box, px")
    x_max: pl.Int32 = pa.Field(ge=1, description="column after the box, px")
    y_max: pl.Int32 = pa.Field(ge=1, description="row after the box, px")


class QuestionTable(Table):
    """Stage vqa: one row per question-answer pair of an image."""

    instance: str = pa.Field(
        description="pseudonym of the image: a SOP instance (and frame), or a slice of a NIfTI volume"
    )
    language: str = pa.Field(isin=LANGUAGES, description="language of question and answer")
    topic: str = pa.Field(isin=["findings", "metadata"], description="source of the question")
    kind: str = pa.Field(isin=["open", "yesno", "multiple"], description="form of the question")
    question: str = pa.Field(description="text of the question")
    choices: pl.List(pl.String) = pa.Field(description="choices; empty unless kind is multiple")  # type: ignore[valid-type]
    answer: str = pa.Field(description="text of the answer")
    backend: str = pa.Field(description="backend that wrote the pair")
    reason: str = pa.Field(nullable=True, description="null if in the dataset, else the reason of the quarantine")
