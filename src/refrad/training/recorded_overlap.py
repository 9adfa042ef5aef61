"""The overlap of a training with test images, kept for a resume: the search compares each training image with each test image."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from refrad.core.checksums import TableError, table_digest
from refrad.core.files import digest_bytes, digest_file
from refrad.core.manifests import read_sealed, write_sealed
from refrad.dataset.training_overlap import TrainingOverlap, find_training_overlap

__all__ = ["find_recorded_overlap"]

FORMAT = 1  # raised when the search finds others in the same files
FILE = ".overlap.json"  # hidden, as it is no state: see `claim_folder`

log = logging.getLogger(__name__)


def find_recorded_overlap(
    work: Path, training: Sequence[Path], tested: Sequence[Path], correlation: float
) -> TrainingOverlap:
    """The overlap as `find_training_overlap` finds it, or found it for the same content of the files.

    Args:
        work: folder of the states of the training, where the result is kept; it may be missing.
        training: files of the training.
        tested: files with test images.
        correlation: the least of the fine structure of two pictures that are the same.
    """
    digests = [sorted(table_digest(path) or digest_file(path) for path in files) for files in (training, tested)]
    key = digest_bytes(json.dumps([FORMAT, correlation, *digests]).encode())
    if (recorded := _read(work / FILE, key)) is not None:
        log.info("leaks: the training images that are also test images are known from an earlier start")
        return recorded
    overlap = find_training_overlap(training, tested, correlation)
    work.mkdir(parents=True, exist_ok=True)
    names = {
        "training_ids": sorted(overlap.training_ids),
        "test_ids": sorted(overlap.test_ids),
        "matched_by_name": sorted(overlap.matched_by_name),
    }
    write_sealed(work / FILE, {"key": key, "compared": overlap.compared, **names})
    return overlap


def _read(file: Path, key: str) -> TrainingOverlap | None:
    """The overlap in a file; None without one, or if it is damaged or of other files."""
    try:
        content = read_sealed(file)
        if content["key"] != key:
            return None
        return TrainingOverlap(
            frozenset(content["training_ids"]),
            frozenset(content["test_ids"]),
            frozenset(content["matched_by_name"]),
            content["compared"],
        )
    except (FileNotFoundError, NotADirectoryError, TableError, KeyError, TypeError):
        return None
