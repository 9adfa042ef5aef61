"""Masks for other programs: a DICOM segmentation of a series with its grounded sentences, or one NIfTI file a class."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypedDict, get_args

import nibabel as nib
import numpy as np
import polars as pl
import pydicom
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema, load_schema
from refrad.config.public_sets import SetPart
from refrad.core.contracts import InstanceTable, MaskTable, SliceTable
from refrad.core.files import atomic, flushed_at_end
from refrad.core.table_rows import AcceptedMaskRow, rows_of
from refrad.core.tables import read_public_set, read_table, scan_table
from refrad.core.types import Language
from refrad.dataset.accepted_terms import accepted_pages
from refrad.dataset.file_list import list_dataset
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import CaptionStruct, StructureStruct
from refrad.dicom.slices import refuse_files_of_volumes
from refrad.privacy.pseudonyms import FileTable
from refrad.reporting.palette import class_colour
from refrad.segmentation.dicom_seg import SegmentationKind, dicom_segmentation, nifti_of_classes
from refrad.segmentation.labels import read_stored_labels
from refrad.segmentation.source_images import SourceSlice
from refrad.segmentation.structured_report import GroundedPhrase, GroundedSentence, structured_report

__all__ = ["main"]

logger = logging.getLogger(__name__)


class _CaptionedRow(TypedDict):
    """The columns of the dataset that a structured report needs."""

    volume: str
    index: int
    spacing_x: float
    spacing_y: float
    structures: list[StructureStruct]
    captions: list[CaptionStruct]


class _Archive:
    """The DICOM files of a delivery, and where they hold the slices of some volumes."""

    def __init__(self, slices: Path, instances: Path, files: Path, dicom: Path, volumes: Sequence[str]) -> None:
        refuse_files_of_volumes(scan_table(instances, InstanceTable), "--dicom")
        of_volumes = scan_table(slices, SliceTable).filter(pl.col("volume").is_in(volumes))
        places = scan_table(instances, InstanceTable).select("instance", "file", "frame")
        paths = scan_table(files, FileTable).select("file", "path")
        rows = of_volumes.join(places, on="instance").join(paths, on="file").sort("index")
        self._of_volume = rows.select("volume", "index", "path", "frame").collect().partition_by("volume", as_dict=True)
        self._dicom = dicom

    def slices(self, volume: str) -> dict[int, SourceSlice]:
        """Slice index to its image, without pixels, and frame.

        Raises:
            ValueError: if the tables do not have the volume, or files are missing in the delivery.
        """
        if (volume,) not in self._of_volume:
            raise ValueError("--slices, --instances and --files do not have it: give the tables of its own delivery")
        rows = self._of_volume[(volume,)].select("index", "path", "frame").rows()
        paths = dict.fromkeys(path for _, path, _ in rows)
        if missing := sum(not (self._dicom / path).is_file() for path in paths):
            raise ValueError(f"{missing} of {len(paths)} of its files are not in the folder of --dicom")
        images = {path: pydicom.dcmread(self._dicom / path, stop_before_pixels=True, force=True) for path in paths}
        return {
            index: SourceSlice(images[path], frame if images[path].get("NumberOfFrames") else None)
            for index, path, frame in rows
        }


def main(
    *,
    masks: Path,
    mask_store: Path,
    schema: Path,
    out: Path,
    volume: str | None = None,
    slices: Path | None = None,
    instances: Path | None = None,
    files: Path | None = None,
    dicom: Path | None = None,
    kind: SegmentationKind = "labelmap",
    images: Path | None = None,
    accept_terms: list[str] | None = None,
) -> None:
    """Write the masks of a shard for other programs: one NIfTI file a class, or with --dicom a DICOM segmentation a volume.

    --masks is masks.parquet of a shard; --volume selects one volume of it. A DICOM segmentation refers to the images of the
    archive: --dicom is the folder of the delivery, --instances results/index/<delivery>/instances.parquet and --files
    private/<delivery>/files.parquet; --slices, needed if --masks is not in results/masks, is slices.parquet of its shard. --kind is
    labelmap, or binary for viewers that do not read label maps. With --images, the folder of the dataset, each volume with grounded
    sentences gets a DICOM structured report (TID 1500) for each language. DICOM files identify patients, and must not leave the site.
    --accept-terms names the public set of the masks, if it may not be redistributed and its terms allow you this copy.
    """
    if dicom and not (instances and files):
        raise ValueError("--dicom needs --instances and --files, to find the images of a volume")
    if images and not dicom:
        raise ValueError("--images needs --dicom: only DICOM files refer to sentences")
    anatomy = load_schema(schema)
    rows = read_table(masks, MaskTable).filter(pl.col("reason").is_null())
    if volume:
        rows = rows.filter(pl.col("volume") == volume)
    if rows.is_empty():
        raise ValueError(f"{masks}: no such volume with labels")
    pages = _terms(masks, accept_terms or [], with_reports=images is not None)
    archive = None
    if dicom and instances and files:
        archive = _Archive(slices or _slices_of_shard(masks), instances, files, dicom, rows["volume"].to_list())
    captioned = _captioned_rows(images, set(rows["volume"])) if images else {}
    written = reports = 0
    with flushed_at_end(out):
        for name, text in pages.items():
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
        for row in rows_of(rows, AcceptedMaskRow):
            labels, affine = read_stored_labels(mask_store / row["file"], row["digest"])
            classes = anatomy.native_lut(row["task"])[labels.astype(np.uint8, copy=False)]
            if archive:
                try:
                    objects = dict(
                        _dicom_objects(row, classes, affine, archive, anatomy, kind, captioned.get(row["volume"], []))
                    )
                except ValueError as error:
                    logger.warning("%s: not written: %s", row["volume"], error)
                    continue
                for name, dataset in objects.items():
                    with atomic(out / name) as temporary:
                        dataset.save_as(temporary)
                reports += len(objects) - 1
            else:
                for name, image in nifti_of_classes(classes, affine, anatomy):
                    with atomic(out / row["volume"] / f"{name}.nii.gz") as temporary:
                        nib.save(image, temporary)  # type: ignore[no-untyped-call]
            written += 1
    logger.info("%d of %d volumes written, %d structured reports", written, len(rows), reports)
    if not written:
        raise ValueError("no volume could be written; the lines above give the reasons")


def _terms(masks: Path, accepted: Sequence[str], *, with_reports: bool) -> dict[str, str]:
    """File name to text of the terms of the public set that masks are of; none for a site's own.

    Raises:
        ValueError: if its terms are not accepted, and have to be.
    """
    parts: list[SetPart] = ["images", "masks", "reports"] if with_reports else ["images", "masks"]
    return accepted_pages([read_public_set(masks)], parts, accepted)


def _slices_of_shard(masks: Path) -> Path:
    """slices.parquet of the shard of results/masks/<delivery>/<shard>/masks.parquet."""
    shard = masks.resolve().parent
    slices = shard.parents[2] / "volumes" / shard.parent.name / shard.name / "slices.parquet"
    if not slices.is_file():
        raise ValueError(
            "--dicom needs --slices, slices.parquet of the shard: --masks is not in results/masks/<delivery>/<shard>"
        )
    return slices


def _captioned_rows(images: Path, volumes: set[str]) -> dict[str, list[_CaptionedRow]]:
    """The rows of the dataset with captions, by volume, in the order of the slices."""
    captioned: dict[str, list[_CaptionedRow]] = {}
    for row in read_rows(list_dataset(images), _CaptionedRow):
        if row["volume"] in volumes and row["captions"]:
            captioned.setdefault(row["volume"], []).append(row)
    return {volume: sorted(rows, key=lambda row: row["index"]) for volume, rows in captioned.items()}


def _dicom_objects(
    mask: AcceptedMaskRow,
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    archive: _Archive,
    schema: Schema,
    kind: SegmentationKind,
    rows: Sequence[_CaptionedRow],
) -> Iterator[tuple[str, Any]]:
    """File name and content: the segmentation of a volume, then the report of each language that has sentences."""
    volume, slices = mask["volume"], archive.slices(mask["volume"])
    colours = {entry.id: class_colour(entry.id) for entry in schema.classes}
    segmentation = dicom_segmentation(classes, affine, slices, schema, mask["segmenter"], kind=kind, colours=colours)
    yield f"{volume}.dcm", segmentation
    for language in get_args(Language):
        sentences = list(_sentences(rows, language))
        if sentences:
            report = structured_report(sentences, language, segmentation, affine, slices, schema)
            yield f"{volume}.{language}.sr.dcm", report


def _sentences(rows: Sequence[_CaptionedRow], language: Language) -> Iterator[GroundedSentence]:
    """The sentences of a language with their phrases; a phrase that names a class twice counts once."""
    for row in rows:
        areas = {structure["class_id"]: structure["area"] for structure in row["structures"]}
        pixel = row["spacing_x"] * row["spacing_y"]
        for caption in row["captions"]:
            phrases = dict.fromkeys((entity["text"], entity["class_id"]) for entity in caption["entities"])
            if caption["language"] == language and phrases:
                yield GroundedSentence(
                    caption["text"],
                    row["index"],
                    [GroundedPhrase(text, class_id, areas[class_id] * pixel) for text, class_id in phrases],
                )
