"""Make geometry-checked volumes and the table of their slices; quarantine all other stacks with a reason."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from refrad.config import VolumeFiles, VolumesOptions
from refrad.core.contracts import InstanceTable, SliceTable, VolumeTable
from refrad.core.progress import log_progress
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.core.table_rows import SliceRow, StackRow, VolumeRow, rows_of
from refrad.core.tables import frame_of, scan_table, write_table
from refrad.dicom.convert import AcceptedVolume, ConversionJob, GeometryCriteria, QuarantinedVolume
from refrad.dicom.headers import Header
from refrad.dicom.slices import part_name, slice_rows
from refrad.nifti.convert import FileConversion, convert_any
from refrad.nifti.volume_list import read_entries
from refrad.privacy.header_fields import age_of, body_part_of, contrast_of, date_of, sex_of
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.privacy.storage_errors import StorageErrors
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["VERSION", "run"]

log = logging.getLogger(__name__)

VERSION = 6
# Edges of the histograms on the page
SLICE_SPACINGS = (0.5, 1, 1.5, 2, 3, 4, 5, 6, 8, 10)
PIXEL_SPACINGS = (0.3, 0.5, 0.7, 0.8, 0.9, 1, 1.5, 2, 4)
COUNTS = (10, 20, 50, 100, 200, 500, 1000)


def run(
    *,
    instances: Path,
    files: Path,
    key: Path,
    shard: int,
    store: Path,
    volumes: Path,
    slices: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    dicom: Path | None = None,
    volume_files: str | None = None,
) -> None:
    """Make the volumes of one shard from the DICOM files below `dicom`, or from the NIfTI files of `volume_files`.

    `volume_files` is the section volumes of the delivery, as JSON.

    Raises:
        OSError: if the storage cannot be written.
        ValueError: if it fails for more files than the config allows, or the list of NIfTI files has changed since the index.
    """
    if (dicom is None) == (volume_files is None):
        raise ValueError("needs either --dicom or --volume-files")
    options = VolumesOptions.model_validate(fingerprint.options)
    criteria = GeometryCriteria(
        options.minimum_slices, options.spacing_tolerance, options.angle_tolerance, options.gantry_tilt == "shear"
    )
    limits = Limits.of_gib(options.memory_gb, options.seconds)
    tally = Tally("volumes")
    pseudonyms = Pseudonyms(read_or_create_key(key))
    stacks = _read_stacks(instances, files, shard)
    jobs: Iterator[ConversionJob | FileConversion] = (
        _stack_jobs(stacks, dicom, criteria, store, options.gaps == "split")
        if dicom
        else _file_jobs(stacks, volume_files or "", criteria, store)
    )
    outcomes: list[tuple[pl.DataFrame, AcceptedVolume | QuarantinedVolume]] = []
    storage_errors = StorageErrors(files.parent / f"storage_errors_{shard}.txt", options.storage_errors)
    with tally.timed("volumes"):
        for job, results in log_progress(run_sandboxed(convert_any, jobs, limits), log, "stacks", len(stacks)):
            for result in results or [QuarantinedVolume("beyond_limits")]:
                outcomes.append((stacks[job.volume], result))
                if isinstance(result, QuarantinedVolume) and result.unread is not None:
                    storage_errors.add(result.unread)
    if storage_errors.count:
        log.warning("volumes: the storage failed for %s", storage_errors)
    rows = [_row(images, result, pseudonyms) for images, result in outcomes]
    slice_table: list[SliceRow] = []
    for (images, result), row in zip(outcomes, rows, strict=True):
        slice_table += _slice_rows(row["volume"], images, result, pseudonyms)
        _count(tally, row, result)
    log.info("volumes: %d taken, %d used", tally.taken, tally.used)
    write_table(volumes, frame_of(rows, VolumeTable), VolumeTable, fingerprint)
    write_table(slices, frame_of(slice_table, SliceTable), SliceTable, fingerprint)
    tally.write(metrics, fingerprint)


def _read_stacks(instances: Path, files: Path, shard: int) -> dict[str, pl.DataFrame]:
    """Name of each stack of the index in a shard to the rows of its images, with their paths in the delivery."""
    paths = scan_table(files, FileTable, shard).select("file", "path")
    images = (
        scan_table(instances, InstanceTable, shard)
        .filter(pl.col("volume").is_not_null())
        .join(paths, on="file")
        .sort("volume", "path", "frame")
        .collect()
    )
    return {str(stack["volume"][0]): stack for stack in images.partition_by("volume", maintain_order=True)}


def _stack_jobs(
    stacks: Mapping[str, pl.DataFrame], dicom: Path, criteria: GeometryCriteria, store: Path, split: bool
) -> Iterator[ConversionJob]:
    """Yield the jobs of stacks of DICOM images."""
    for name, images in stacks.items():
        frames = tuple(images.select("path", "frame").iter_rows())
        yield ConversionJob(name, dicom, frames, images["modality"][0], criteria, store, split)


def _file_jobs(
    stacks: Mapping[str, pl.DataFrame], volume_files: str, criteria: GeometryCriteria, store: Path
) -> Iterator[FileConversion]:
    """Yield the jobs of NIfTI files, each of which is a stack.

    Raises:
        ValueError: if a file of the index is not in the list of volumes any more.
    """
    source = VolumeFiles.model_validate_json(volume_files)
    volumes = {path: name for name, images in stacks.items() for path in images["path"]}
    for entry in read_entries(source) if volumes else ():
        if name := volumes.pop(entry.path, None):
            yield FileConversion(name, Path(source.folder), entry, criteria, store, source.floor)
        if not volumes:
            return  # the other files are of other shards
    if volumes:
        raise ValueError("deliveries.volumes: the list of files has changed since the index: start the run again")


def _row(images: pl.DataFrame, result: AcceptedVolume | QuarantinedVolume, pseudonyms: Pseudonyms) -> VolumeRow:
    """The row of one volume, or of the images of a split stack that are in no volume."""
    images = _members(images, result)
    stack = next(rows_of(images, StackRow))
    row: VolumeRow = {
        "volume": part_name(stack["volume"], result.part) if result.part else stack["volume"],
        "series": stack["series"],
        "study": stack["study"],
        "patient": stack["patient"],
        "split": stack["split"],
        "modality": stack["modality"],
        "plane": None,
        "series_number": stack["series_number"],
        "body_part": None,
        "contrast": None,
        "sex": None,
        "age": None,
        "date": None,
        "columns": None,
        "rows": None,
        "slices": int(images["slices"].sum()),
        "spacing_x": None,
        "spacing_y": None,
        "spacing_z": None,
        "tilt": None,
        "treated": None,
        "burned_in": _any(images["burned_in"]),
        "frame": None,
        "digest": None,
        "file": None,
        "reason": None,
    }
    if result.header:
        _add_header(row, result.header, pseudonyms)
    if isinstance(result, QuarantinedVolume):
        row["reason"] = result.reason
    else:
        row["spacing_x"], row["spacing_y"], row["spacing_z"] = result.stack.spacing
        row["plane"], row["tilt"] = result.stack.plane, result.stack.tilt
        row["treated"] = ", ".join(result.treated) or None
        row["digest"], row["file"] = result.digest, result.file
    return row


def _add_header(row: VolumeRow, header: Header, pseudonyms: Pseudonyms) -> None:
    """Set the columns of a row that come from a header, de-identified."""
    date = date_of(header.study_date)
    row["frame"] = pseudonyms.frame(header.frame_of_reference) if header.frame_of_reference else None
    row["columns"], row["rows"] = header.columns or None, header.rows or None
    row["body_part"] = body_part_of(header.body_part)
    row["contrast"] = contrast_of(header.contrast)
    row["sex"] = sex_of(header.sex)
    row["age"] = age_of(header.age, header.birth_date, header.study_date)
    row["date"] = date + pseudonyms.date_shift(row["patient"]) if date else None


def _slice_rows(
    volume: str, images: pl.DataFrame, result: AcceptedVolume | QuarantinedVolume, pseudonyms: Pseudonyms
) -> list[SliceRow]:
    """The rows of the slices of an accepted volume; a slice of a NIfTI file is an instance of this table alone."""
    if isinstance(result, QuarantinedVolume):
        return []
    order = [int(number) for number in result.stack.order]
    if result.header.slices > 1:
        return slice_rows(
            volume, [pseudonyms.instance(f"{volume}|{index}") for index in order], result.instance_numbers
        )
    instances = _members(images, result)["instance"]
    return slice_rows(volume, [instances[number] for number in order], result.instance_numbers)


def _members(images: pl.DataFrame, result: AcceptedVolume | QuarantinedVolume) -> pl.DataFrame:
    return images if result.members is None else images[list(result.members)]


def _any(flags: pl.Series) -> bool | None:
    """True if any flag is, False if all are False, None otherwise."""
    return True if flags.any() else False if flags.not_().all(ignore_nulls=False) else None


def _count(tally: Tally, row: VolumeRow, result: AcceptedVolume | QuarantinedVolume) -> None:
    """Count a volume, and the row of an accepted one in the histograms."""
    tally.take()
    if isinstance(result, QuarantinedVolume):
        tally.quarantine(result.reason)
        return
    tally.use()
    tally.make("slices", row["slices"])
    for reason in result.treated:
        tally.add("treated", reason)
    spacing_x, _, spacing_z = result.stack.spacing
    tally.add("modality", row["modality"])
    tally.add("plane", result.stack.plane)
    tally.add("body part", row["body_part"] or "unknown")
    tally.add("mm between slices", _bin(spacing_z, SLICE_SPACINGS))
    tally.add("mm between pixels", _bin(spacing_x, PIXEL_SPACINGS))
    tally.add("slices a volume", _bin(row["slices"], COUNTS))
    tally.add("burned-in text", {True: "yes", False: "no", None: "unknown"}[row["burned_in"]])


def _bin(value: float, edges: Sequence[float]) -> str:
    """The bin of a histogram: "1 to 2", with the lower edge inside of it."""
    for lower, upper in zip((0, *edges), edges, strict=False):
        if value < upper:
            return f"{lower:g} to {upper:g}"
    return f"from {edges[-1]:g}"
