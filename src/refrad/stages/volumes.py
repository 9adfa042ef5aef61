"""Make geometry-checked volumes and say where each SOP instance lies in them; quarantine the rest with a reason."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refrad.config import VolumesOptions
from refrad.core.contracts import InstanceTable, SliceTable, VolumeTable
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.core.tables import frame_of, scan_table, write_table
from refrad.dicom.convert import ConversionJob, Converted, GeometryCriteria, convert
from refrad.dicom.headers import Header
from refrad.dicom.slices import part_name, slice_rows
from refrad.privacy.header_fields import age_of, body_part_of, contrast_of, date_of, sex_of
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 4
# Edges of the histograms on the page
SLICE_SPACINGS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)
PIXEL_SPACINGS = (0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.5, 2, 4)
COUNTS = (10, 20, 50, 100, 200, 500, 1000)

Row = dict[str, Any]


def run(
    *,
    dicom: Path,
    instances: Path,
    files: Path,
    key: Path,
    shard: int,
    store: Path,
    volumes: Path,
    slices: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Make the volumes of one shard from the DICOM files below `dicom`.

    Raises:
        OSError: if the storage fails.
    """
    options = VolumesOptions.model_validate(fingerprint.options)
    gate = GeometryCriteria(
        options.minimum_slices, options.spacing_tolerance, options.angle_tolerance, options.gantry_tilt == "shear"
    )
    limits = Limits(int(options.memory_gb * 2**30), options.seconds)
    tally = Tally("volumes")
    pseudonyms = Pseudonyms(read_or_create_key(key))
    paths = scan_table(files, FileTable).filter(pl.col("shard") == shard).select("file", "path")
    members = (
        scan_table(instances, InstanceTable)
        .filter(pl.col("shard") == shard, pl.col("volume").is_not_null())
        .join(paths, on="file")
        .sort("volume", "path", "frame")
        .collect()
    )
    groups = {str(rows["volume"][0]): rows for rows in members.partition_by("volume", maintain_order=True)}
    jobs = (_images(name, dicom, rows, gate, store, options.gaps == "split") for name, rows in groups.items())
    done = 0
    volume_rows: list[Row] = []
    slice_table: list[Row] = []
    spoken = time.monotonic()
    with tally.timed("volumes"):
        for images, converted in run_sandboxed(convert, jobs, limits):
            done += 1
            for part in converted or [Converted("beyond_limits")]:
                row, its_slices = _row(groups[images.volume], part, pseudonyms)
                volume_rows.append(row)
                slice_table += its_slices
                _count(tally, row)
            if time.monotonic() - spoken > 10:
                spoken = time.monotonic()
                log.info("volumes: %d of %d", done, len(groups))
    log.info("volumes: %d taken, %d used", tally.taken, tally.used)
    write_table(volumes, frame_of(volume_rows, VolumeTable), VolumeTable, fingerprint)
    write_table(slices, frame_of(slice_table, SliceTable), SliceTable, fingerprint)
    tally.write(metrics, fingerprint)


def _images(
    volume: str, dicom: Path, rows: pl.DataFrame, gate: GeometryCriteria, store: Path, split: bool
) -> ConversionJob:
    frames = tuple(rows.select("path", "frame").iter_rows())
    return ConversionJob(volume, dicom, frames, rows["modality"][0], gate, store, split)


def _row(images: pl.DataFrame, converted: Converted, pseudonyms: Pseudonyms) -> tuple[Row, list[Row]]:
    """The row of one volume, or of what is left over of a split stack; and the rows of its slices if it is accepted."""
    if converted.members is not None:
        images = images[list(converted.members)]
    names = ("volume", "series", "study", "patient", "split", "modality", "series_number")
    row = images.select(names).row(0, named=True)
    if converted.part:
        row["volume"] = part_name(row["volume"], converted.part)
    row |= {"slices": len(images), "reason": converted.reason, "burned_in": _any(images["burned_in"])}
    if converted.header:
        row |= _about(converted.header, row["patient"], pseudonyms)
    stack = converted.stack
    if stack is None:
        return row, []
    row |= dict(zip(("spacing_x", "spacing_y", "spacing_z"), stack.spacing, strict=True))
    row |= {"plane": stack.plane, "tilt": stack.tilt, "treated": ", ".join(converted.treated) or None}
    row |= {"digest": converted.digest, "file": converted.file}
    instances = [images["instance"][int(number)] for number in stack.order]
    return row, slice_rows(row["volume"], instances, converted.numbers)


def _any(flags: pl.Series) -> bool | None:
    """True if one is, False if all are, None if nobody knows."""
    return True if flags.any() else False if flags.not_().all(ignore_nulls=False) else None


def _about(header: Header, patient: str, pseudonyms: Pseudonyms) -> Row:
    """What may be known of the volume, from one of its headers."""
    date = date_of(header.study_date)
    return {
        "frame": pseudonyms.frame(header.frame_of_reference) if header.frame_of_reference else None,
        "columns": header.columns,
        "rows": header.rows,
        "body_part": body_part_of(header.body_part),
        "contrast": contrast_of(header.contrast),
        "sex": sex_of(header.sex),
        "age": age_of(header.age, header.birth_date, header.study_date),
        "date": date + pseudonyms.date_shift(patient) if date else None,
    }


def _count(tally: Tally, row: Row) -> None:
    tally.take()
    if row["reason"]:
        tally.put_aside(row["reason"])
        return
    tally.use()
    tally.make("slices", row["slices"])
    for reason in (row["treated"] or "").split(", "):
        if reason:
            tally.add("treated", reason)
    tally.add("modality", row["modality"])
    tally.add("plane", row["plane"])
    tally.add("body part", row["body_part"] or "unknown")
    tally.add("mm between slices", _bin(row["spacing_z"], SLICE_SPACINGS))
    tally.add("mm between pixels", _bin(row["spacing_x"], PIXEL_SPACINGS))
    tally.add("slices a volume", _bin(row["slices"], COUNTS))
    tally.add("burned-in text", {True: "yes", False: "no", None: "unknown"}[row["burned_in"]])


def _bin(value: float, edges: Sequence[float]) -> str:
    """The bin of a histogram: "1 to 2", with the lower edge inside of it."""
    for lower, upper in zip((0, *edges), edges, strict=False):
        if value < upper:
            return f"{lower:g} to {upper:g}"
    return f"from {edges[-1]:g}"
