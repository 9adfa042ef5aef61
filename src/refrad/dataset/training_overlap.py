"""Overlap of training and test images: the same image or patient by name, or nearly the same picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from refrad.core.tables import read_frame
from refrad.dataset.example_rows import ExampleRows
from refrad.dataset.picture_copies import find_copies
from refrad.dataset.picture_files import PictureFiles
from refrad.dataset.row_store import RowStore, StoredRows
from refrad.workflow.tally import Tally

__all__ = ["TrainingOverlap", "count_training_parts", "find_training_overlap"]


@dataclass(frozen=True)
class TrainingOverlap:
    """Images that are on both sides, by image_id.

    Attributes:
        training_ids: training images to leave out of the training.
        test_ids: test images whose scores mean nothing if the training images are not left out.
        matched_by_name: the test images that were matched by image or patient name.
        compared: number of images compared.
    """

    training_ids: frozenset[str] = frozenset()
    test_ids: frozenset[str] = frozenset()
    matched_by_name: frozenset[str] = frozenset()
    compared: int = 0

    def sentence(self) -> str:
        """The numbers as a sentence without identifiers."""
        alike = len(self.test_ids - self.matched_by_name)
        return (
            f"{len(self.test_ids)} test images are also images of the training ({len(self.matched_by_name)} by name or"
            f" patient, {alike} by picture), {len(self.training_ids)} there"
        )


def find_training_overlap(training: Sequence[Path], tested: Sequence[Path], correlation: float) -> TrainingOverlap:
    """Compare the training images of some files with the test images of others; the files are shards, or files of `refrad public`.

    Two pictures are the same under the rule of `find_copies`, with `correlation` the least of their fine structure. A file may be
    on both sides: its own splits are compared then.
    """
    files = list(dict.fromkeys([*training, *tested]))
    if not files:
        return TrainingOverlap()
    frame = pl.concat([_sides(path, path in training, path in tested) for path in files])
    by_side = {side: frame.filter(pl.col("side") == side) for side in ("train", "test")}
    # By name
    same_name = set[str]()
    for column in ("image_id", "patient"):
        shared = set(by_side["train"][column]) & set(by_side["test"][column])
        same_name |= set(frame.filter(pl.col(column).is_in(shared))["image_id"])
    # By picture
    copies = find_copies(frame.select("side", "volume"), PictureFiles(files), correlation).pairs
    pairs = [{frame["side"][row]: frame["image_id"][row] for row in (copy.first, copy.second)} for copy in copies]
    matched_by_name = frozenset(same_name & set(by_side["test"]["image_id"]))
    return TrainingOverlap(
        training_ids=frozenset(same_name & set(by_side["train"]["image_id"])) | {pair["train"] for pair in pairs},
        test_ids=matched_by_name | {pair["test"] for pair in pairs},
        matched_by_name=matched_by_name,
        compared=sum(map(len, by_side.values())),
    )


def count_training_parts(
    tally: Tally,
    store: RowStore,
    parts: Mapping[str, StoredRows],
    used: Mapping[str, ExampleRows] | None = None,
) -> None:
    """Count the images of a dataset that are used as parts train and validation, and the reasons of the others.

    Args:
        tally: of images.
        store: the rows of the training.
        parts: its images of splits train and validation that are no test images.
        used: those of them with a caption in the language of the training; None for all.
    """
    used = parts if used is None else used
    number, divided = (sum(len(part) for part in each.values()) for each in (used, parts))
    leaking = store.training - len(parts["train"])
    tally.take(store.images)
    tally.use(number)
    tally.quarantine("also_in_test", leaking)
    tally.quarantine("test_patient", store.images - divided - leaking)
    tally.quarantine("no_caption_in_language", divided - number)
    for split, part in used.items():
        tally.add("split", split, len(part))


def _sides(path: Path, in_training: bool, in_test: bool) -> pl.DataFrame:
    """image_id, patient, volume and side of the rows of a file: train, test, or null for rows that are on neither."""
    frame = read_frame(path, ["image_id", "patient", "volume", "split"])
    sides = [side for side, present in (("train", in_training), ("test", in_test)) if present]
    return frame.select("image_id", "patient", "volume", side=pl.when(pl.col("split").is_in(sides)).then("split"))
