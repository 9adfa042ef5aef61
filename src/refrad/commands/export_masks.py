"""Masks for other programs: a DICOM segmentation of a series, or one NIfTI file a class."""

import copy
import logging
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import polars as pl
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

import refrad
from refrad.anatomy.schema import AnatomyClass, Schema, load_schema
from refrad.core.contracts import InstanceTable, MaskTable
from refrad.core.files import atomic
from refrad.core.tables import read_table
from refrad.dicom.slices import stack_name
from refrad.dicom.volume_store import read_volume

if TYPE_CHECKING:
    from highdicom.seg import Segmentation

__all__ = ["dicom_segmentation", "main", "nifti_of_classes"]

logger = logging.getLogger(__name__)

SIDES = {"left": ("7771000", "Left"), "right": ("24028007", "Right")}  # SNOMED CT


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

    --masks is masks.parquet of a shard; --volume takes one volume of it. A DICOM segmentation names the images of the archive
    that it belongs to: --dicom is the folder of the delivery, --instances results/index/<delivery>/instances.parquet and
    --files private/<delivery>/files.parquet. What it writes then identifies patients, and does not leave the site.
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
    for row in rows.iter_rows(named=True):
        labels, affine = read_volume(mask_store / row["file"])
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
        raise ValueError("no volume could be written; the lines above say why")


def _images(volume: str, instances: Path, files: Path, dicom: Path) -> list[Dataset]:
    """The DICOM files of a volume, without their pixels; if it is a part of a stack, those of the stack."""
    own = read_table(instances, InstanceTable).filter(pl.col("volume") == stack_name(volume))
    paths = own.join(pl.read_parquet(files, columns=["file", "path"]), on="file")["path"].unique().sort()
    return [pydicom.dcmread(dicom / path, stop_before_pixels=True, force=True) for path in paths]


def nifti_of_classes(
    classes: NDArray[np.uint8], affine: NDArray[np.float64], schema: Schema
) -> Iterator[tuple[str, Any]]:
    """Name and binary image (uint8, 0 or 1) of each class that is there.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, 4 x 4.
        schema: names the classes.
    """
    for class_id in np.flatnonzero(np.bincount(classes.ravel(), minlength=256)[1:]) + 1:
        image: Any = nib.Nifti1Image((classes == class_id).astype(np.uint8), affine)  # type: ignore[no-untyped-call]
        image.header.set_xyzt_units("mm")
        yield schema.by_id[int(class_id)].name, image


def dicom_segmentation(
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    images: Sequence[Dataset],
    schema: Schema,
    segmenter: str,
) -> "Segmentation":
    """A DICOM label map segmentation (PS3.3 A.51, segmentation type LABELMAP) whose segment numbers are the class ids.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, 4 x 4, of the classes.
        images: the DICOM files of the volume: single images of one series, or one multi-frame file.
        schema: names and codes of the classes.
        segmenter: what made the labels.

    Raises:
        ValueError: if there are no classes, or the images lack identifiers that the segmentation must refer to, or other
            headers that it must repeat are not valid. The message holds no value of a header.
    """
    import highdicom as hd

    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID"):
        if not all(image.get(keyword) for image in images):
            raise ValueError(f"the images lack {keyword}, which a segmentation must refer to")
    present = (np.flatnonzero(np.bincount(classes.ravel(), minlength=256)[1:]) + 1).tolist()
    if not present:
        raise ValueError("the volume has no class at all")
    # highdicom: axes slice, row, column; LPS+.
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]
    labels = hd.Volume(
        np.ascontiguousarray(classes.T), lps, "PATIENT", frame_of_reference_uid=images[0].FrameOfReferenceUID
    )
    sources = [copy.copy(image) for image in images]
    for image in sources:
        if not image.get("SliceThickness"):  # may be empty, but highdicom asks for it
            image.SliceThickness = labels.spacing_between_slices
        if not image.get("SpecificCharacterSet", "-"):  # empty: the default one, which highdicom wants left out
            del image.SpecificCharacterSet
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they tell what is in the headers
            return _segmentation(labels, sources, present, schema, segmenter)
    except (ValueError, TypeError, AttributeError) as error:
        place = traceback.extract_tb(error.__traceback__)[-1]  # never the message, which may tell a name
        where = f"{Path(place.filename).name}:{place.lineno}"
        raise ValueError(f"highdicom refuses the headers of the images ({type(error).__name__} in {where})") from None


def _segmentation(
    labels: Any, sources: Sequence[Dataset], present: Sequence[int], schema: Schema, segmenter: str
) -> "Segmentation":
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name=segmenter, version=refrad.__version__, family=codes.DCM.ArtificialIntelligence
    )
    return hd.seg.Segmentation(
        source_images=sources,
        pixel_array=labels,
        segmentation_type=hd.seg.SegmentationTypeValues.LABELMAP,
        segment_descriptions=[_description(schema.by_id[class_id], algorithm) for class_id in present],
        series_instance_uid=generate_uid(),
        series_number=900,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="RefRad",
        manufacturer_model_name=segmenter,
        software_versions=refrad.__version__,
        device_serial_number="0",
        series_description="Automatic segmentation",
        omit_empty_frames=False,
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )


def _description(one: AnatomyClass, algorithm: Any) -> Any:
    import highdicom as hd
    from pydicom.sr.codedict import codes

    code = hd.sr.CodedConcept(one.snomed or str(one.id), "SCT" if one.snomed else "99REFRAD", one.english[:64])
    description = hd.seg.SegmentDescription(
        segment_number=one.id,
        segment_label=one.english[:64],
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=code,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    if one.side:
        value, meaning = SIDES[one.side]
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            hd.sr.CodedConcept(value, "SCT", meaning)
        ]
    return description
