"""Make geometry-checked volumes and say where each SOP instance lies in them; quarantine the rest with a reason."""

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refrad.config import VolumesOptions
from refrad.fingerprint import Fingerprint
from refrad.imaging.delivery import headers_of_file
from refrad.imaging.geometry import check_stack
from refrad.imaging.headers import Header
from refrad.imaging.pixels import PixelReader
from refrad.imaging.reasons import Quarantined
from refrad.imaging.slices import slice_rows
from refrad.imaging.volumes import assemble, store_volume
from refrad.privacy.headers import age_of, body_part_of, contrast_of, date_of, sex_of
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.tables import InstanceTable, SliceTable, VolumeTable, frame_of, read_table, write_table
from refrad.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 1

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
    tally = Tally("volumes")
    pseudonyms = Pseudonyms(read_or_create_key(key))
    members = (
        read_table(instances, InstanceTable)
        .filter(pl.col("shard") == shard, pl.col("volume").is_not_null())
        .join(read_table(files, FileTable).select("file", "path"), on="file")
        .sort("volume", "path", "frame")
    )
    volume_rows: list[Row] = []
    slice_table: list[Row] = []
    spoken = time.monotonic()
    with PixelReader() as reader:
        for images in members.partition_by("volume", maintain_order=True):
            row, its_slices = _volume(dicom, images.to_dicts(), store, options, pseudonyms, reader, tally)
            volume_rows.append(row)
            slice_table += its_slices
            if time.monotonic() - spoken > 10:
                spoken = time.monotonic()
                log.info("volumes: %d of %d", tally.taken, members["volume"].n_unique())
    log.info("volumes: %d taken, %d used", tally.taken, tally.used)
    write_table(volumes, frame_of(volume_rows, VolumeTable), VolumeTable, fingerprint)
    write_table(slices, frame_of(slice_table, SliceTable), SliceTable, fingerprint)
    tally.write(metrics, fingerprint)


def _volume(
    dicom: Path,
    images: Sequence[Row],
    store: Path,
    options: VolumesOptions,
    pseudonyms: Pseudonyms,
    reader: PixelReader,
    tally: Tally,
) -> tuple[Row, list[Row]]:
    """The row of one volume, and the rows of its slices if it is accepted."""
    row = {
        name: images[0][name] for name in ("volume", "series", "study", "patient", "split", "modality", "series_number")
    }
    row["slices"] = len(images)
    tally.take()
    try:
        with tally.timed("headers"):
            headers = _headers(dicom, images)
        row |= _about(headers[0], row["patient"], pseudonyms)
        stack = check_stack(
            [header.position for header in headers],
            [header.orientation for header in headers],
            headers[0].spacing,
            **options.model_dump(),
        )
        ordered = [headers[number] for number in stack.order]
        with tally.timed("pixels"):
            pixels = reader.read(dicom, ordered)
    except Quarantined as quarantined:
        tally.put_aside(quarantined.reason)
        return row | {"reason": quarantined.reason}, []
    with tally.timed("store"):
        voxels = assemble(pixels, [h.slope for h in ordered], [h.intercept for h in ordered], row["modality"])
        digest, file = store_volume(voxels, stack.affine, store)
    spacing = dict(zip(("spacing_x", "spacing_y", "spacing_z"), stack.spacing, strict=True))
    tally.use()
    tally.make("slices", len(images))
    tally.add("modality", row["modality"])
    tally.add("plane", stack.plane)
    instances = [images[number]["instance"] for number in stack.order]
    slices = slice_rows(row["volume"], instances, [header.instance_number for header in ordered])
    return row | spacing | {"plane": stack.plane, "digest": digest, "file": file}, slices


def _headers(dicom: Path, images: Sequence[Row]) -> list[Header]:
    """The headers of the images, read again: positions are in no table.

    Raises:
        Quarantined: if a file is no longer what the index saw.
    """
    of_file = {path: headers_of_file(dicom, path) for path in dict.fromkeys(image["path"] for image in images)}
    headers = [of_file[image["path"]][image["frame"]] for image in images]
    for header in headers:
        if header.reason:
            raise Quarantined(header.reason)
    return headers


def _about(header: Header, patient: str, pseudonyms: Pseudonyms) -> Row:
    """What may be known of the volume, from one of its headers."""
    date = date_of(header.study_date)
    return {
        "columns": header.columns,
        "rows": header.rows,
        "body_part": body_part_of(header.body_part),
        "contrast": contrast_of(header.contrast),
        "sex": sex_of(header.sex),
        "age": age_of(header.age, header.birth_date, header.study_date),
        "date": date + pseudonyms.date_shift(patient) if date else None,
    }
