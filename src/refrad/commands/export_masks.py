"""Masks for other programs: a DICOM segmentation of a series, or one NIfTI file a class."""

import logging
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
import pydicom
from pydicom import Dataset

from refrad.anatomy.schema import load_schema
from refrad.core.contracts import InstanceTable, MaskTable
from refrad.core.files import atomic, flushed_at_end
from refrad.core.table_rows import AcceptedMaskRow, rows_of
from refrad.core.tables import read_table, scan_table
from refrad.dicom.slices import files_of_volumes
from refrad.privacy.pseudonyms import FileTable
from refrad.segmentation.dicom_seg import dicom_segmentation, nifti_of_classes
from refrad.segmentation.labels import read_stored_labels

__all__ = ["main"]

logger = logging.getLogger(__name__)


def main(
    *,
    masks: Path,
    mask_store: Path,
    schema: Path,
    out: Path,
    volume: str | None = None,
    instances: Path | None = None,
    files: Path | None = None,
    dicom: Path | None = None,
) -> None:
    """Write the masks of a shard for other programs: one NIfTI file a class, or with --dicom a DICOM segmentation a volume.

    --masks is masks.parquet of a shard; --volume selects one volume of it. A DICOM segmentation refers to the images of the
    archive: --dicom is the folder of the delivery, --instances results/index/<delivery>/instances.parquet and --files
    private/<delivery>/files.parquet. Such a segmentation identifies patients, and must not leave the site.
    """
    if dicom and not (instances and files):
        raise ValueError("--dicom needs --instances and --files, to find the images of a volume")
    anatomy = load_schema(schema)
    rows = read_table(masks, MaskTable).filter(pl.col("reason").is_null())
    if volume:
        rows = rows.filter(pl.col("volume") == volume)
    if rows.is_empty():
        raise ValueError(f"{masks}: no such volume with labels")
    written = 0
    with flushed_at_end(out):
        for row in rows_of(rows, AcceptedMaskRow):
            labels, affine = read_stored_labels(mask_store / row["file"], row["digest"])
            classes = anatomy.native_lut(row["task"])[labels.astype(np.uint8, copy=False)]
            if dicom and instances and files:
                images = _images(row["volume"], instances, files, dicom)
                try:
                    segmentation = dicom_segmentation(classes, affine, images, anatomy, row["segmenter"])
                except ValueError as error:
                    logger.warning("%s: not written: %s", row["volume"], error)
                    continue
                with atomic(out / f"{row['volume']}.dcm") as temporary:
                    segmentation.save_as(temporary)
            else:
                for name, image in nifti_of_classes(classes, affine, anatomy):
                    with atomic(out / row["volume"] / f"{name}.nii.gz") as temporary:
                        nib.save(image, temporary)  # type: ignore[no-untyped-call]
            written += 1
    logger.info("%d of %d volumes written", written, len(rows))
    if not written:
        raise ValueError("no volume could be written; the lines above give the reasons")


def _images(volume: str, instances: Path, files: Path, dicom: Path) -> list[Dataset]:
    """The DICOM files of a volume, without their pixels; of a part of a split stack, those of the stack."""
    of_volume = files_of_volumes([volume], scan_table(instances, InstanceTable), scan_table(files, FileTable))
    paths = of_volume["path"].unique().sort()
    return [pydicom.dcmread(dicom / path, stop_before_pixels=True, force=True) for path in paths]
