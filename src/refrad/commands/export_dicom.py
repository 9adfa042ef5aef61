"""Write the accepted images of a delivery as de-identified DICOM."""

import functools
import logging
import os
from pathlib import Path
from typing import TypedDict

import polars as pl

from refrad.core.contracts import InstanceTable, SliceTable
from refrad.core.files import atomic, flushed_at_end
from refrad.core.progress import log_progress
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.core.table_rows import rows_of
from refrad.core.tables import read_public_set, read_table, scan_table
from refrad.dataset.accepted_terms import accepted_pages
from refrad.dicom.datasets import PIXELS, read_dataset
from refrad.dicom.encapsulated import JPEG_XL, decompress_jpeg_xl
from refrad.dicom.scan import is_storage_error, quiet_pydicom, without_path
from refrad.dicom.slices import refuse_files_of_volumes
from refrad.privacy.dicom_profile import deidentify
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key

__all__ = ["main"]

log = logging.getLogger(__name__)


class PseudonymousImage(TypedDict):
    """An image to write: its file inside the delivery, its pseudonyms, and whether its header or a rule reports text in the pixels."""

    path: str
    patient: str
    study: str
    series: str
    instance: str
    burned_in: bool | None


def main(
    *,
    dicom: Path,
    instances: Path,
    files: Path,
    slices: list[Path],
    key: Path,
    out: Path,
    memory_gb: float = 2.0,
    seconds: float = 60.0,
    accept_terms: list[str] | None = None,
) -> None:
    """Write each image of an accepted volume to OUT/patient/study/series/instance.dcm, all names pseudonyms.

    Images flagged for burned-in text are excluded. Pixels are copied unchanged; those in JPEG XL, which few programs read and
    whose containers may hold text, are decompressed. Files are read in separate processes, as by the index: a file that crashes
    its reader or exceeds a limit is counted, and affects no other.

    Args:
        dicom: the delivery.
        instances: instances.parquet of stage index.
        files: files.parquet of stage index, in the private folder.
        slices: slices.parquet of stage volumes, of all shards.
        key: the secret key.
        out: folder to write.
        memory_gb: limit in GiB for a file; one that needs more is left out.
        seconds: limit for a file; one that takes longer is left out.
        accept_terms: the public set of the delivery, if its images may not be redistributed and its terms allow you this copy.

    Raises:
        FileNotFoundError: if an input is missing.
        ValueError: if terms are not accepted, or the delivery has NIfTI files.
        OSError: if the storage fails.
    """
    refuse_files_of_volumes(scan_table(instances, InstanceTable), "export-dicom")
    pages = accepted_pages([read_public_set(instances)], ["images"], accept_terms or [])
    pseudonyms = Pseudonyms(read_or_create_key(key))
    accepted = pl.concat([read_table(path, SliceTable) for path in slices])["instance"]
    images = (
        scan_table(instances, InstanceTable)
        .filter(pl.col("instance").is_in(accepted.implode()))
        .join(scan_table(files, FileTable).select("file", "path"), on="file")
        .select("path", "patient", "study", "series", "instance", "burned_in")
        .unique("path", keep="first", maintain_order=True)
        .collect()
    )
    clean = images.filter(~pl.col("burned_in").fill_null(value=False))
    write = functools.partial(_write, dicom, out, pseudonyms)
    limits = Limits.of_gib(memory_gb, seconds)
    outcomes = run_sandboxed(write, rows_of(clean, PseudonymousImage), limits, len(os.sched_getaffinity(0)))
    counts = {True: 0, False: 0, None: 0}
    with flushed_at_end(out):
        for name, text in pages.items():
            out.mkdir(parents=True, exist_ok=True)
            (out / name).write_text(text, encoding="utf-8")
        for _, written in log_progress(outcomes, log, "files", len(clean)):
            counts[written] += 1
    log.info(
        "export-dicom: %d files written, %d left out for burned-in text, %d could not be written, %d went beyond limits",
        *(counts[True], len(images) - len(clean), counts[False], counts[None]),
    )


def _write(dicom: Path, out: Path, pseudonyms: Pseudonyms, image: PseudonymousImage) -> bool:
    """Write one image; return False if its file is too broken, or has no pixels.

    Raises:
        MemoryError: if the memory does not suffice.
        OSError: if the storage fails.
    """
    patient, study, series, instance = image["patient"], image["study"], image["series"], image["instance"]
    try:
        with (dicom / image["path"]).open("rb") as file, quiet_pydicom():
            source = read_dataset(file, None, with_pixels=True)
            if source.file_meta.TransferSyntaxUID in JPEG_XL:
                decompress_jpeg_xl(source)
            dataset = deidentify(source, pseudonyms, patient, study=study, series=series, instance=instance)
            if not any(keyword in dataset for keyword in PIXELS.values()):
                return False
            with atomic(out / patient / study / series / f"{instance}.dcm", flush=False) as temporary:
                dataset.save_as(temporary, enforce_file_format=True)
    except MemoryError:
        raise
    except Exception as error:  # its message may quote the header
        if is_storage_error(error):
            raise without_path(error) from None
        return False
    return True
