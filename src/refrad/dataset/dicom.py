"""Write the accepted images of a delivery as de-identified DICOM."""

import logging
from pathlib import Path

import polars as pl
import pydicom

from refrad.files import atomic
from refrad.imaging.delivery import quiet
from refrad.privacy.dicom import deidentify
from refrad.privacy.pseudonyms import FileTable, Pseudonyms, read_or_create_key
from refrad.tables import InstanceTable, SliceTable, read_table

__all__ = ["main"]

log = logging.getLogger(__name__)


def main(*, dicom: Path, instances: Path, files: Path, slices: list[Path], key: Path, out: Path) -> None:
    """Write each image that lies in an accepted volume to OUT/patient/study/series/instance.dcm, all pseudonyms.

    Images that are flagged for burned-in text stay out. Pixels are copied as they are.

    Args:
        dicom: the delivery.
        instances: instances.parquet of stage index.
        files: files.parquet of stage index, in the private folder.
        slices: slices.parquet of stage volumes, of all shards.
        key: the secret key.
        out: where to.

    Raises:
        FileNotFoundError: if an input is missing.
    """
    pseudonyms = Pseudonyms(read_or_create_key(key))
    accepted = pl.concat([read_table(path, SliceTable) for path in slices])["instance"]
    images = (
        read_table(instances, InstanceTable)
        .filter(pl.col("instance").is_in(accepted.implode()))
        .join(read_table(files, FileTable).select("file", "path"), on="file")
        .unique("file", keep="first", maintain_order=True)
    )
    clean = images.filter(~pl.col("burned_in").fill_null(value=False))
    failed = 0
    for image in clean.iter_rows(named=True):
        try:
            with quiet():
                dataset = deidentify(pydicom.dcmread(dicom / image["path"]), pseudonyms, image["patient"])
                name = f"{image['patient']}/{image['study']}/{image['series']}/{image['instance']}.dcm"
                with atomic(out / name) as temporary:
                    dataset.save_as(temporary, enforce_file_format=True)
        except (AttributeError, KeyError, TypeError, ValueError):  # its message may quote the header
            failed += 1
    log.info(
        "export-dicom: %d files written, %d left out for burned-in text, %d could not be written",
        *(len(clean) - failed, len(images) - len(clean), failed),
    )
