"""Overlap of training and test images: the same image or patient by name, or nearly the same picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from refrad.core.tables import read_frame
from refrad.dataset.image_codec import decode_image, mean_grey_difference, perceptual_hash, thumbnail
from refrad.dataset.leakage import find_near_pairs
from refrad.dataset.shard_io import read_rows, read_schema
from refrad.dataset.shard_rows import IdentifiedPicture
from refrad.workflow.tally import Tally

__all__ = ["TrainingOverlap", "count_training_parts", "find_training_overlap", "split_for_training"]

IDENTITY = ("image_id", "patient", "split")


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


def find_training_overlap(training: Sequence[Path], tested: Sequence[Path], difference: float) -> TrainingOverlap:
    """Compare the training images of some files with the test images of others; the files are shards, or files of `refrad public`.

    Two pictures are nearly the same under the rule of `find_leakage`: close perceptual hashes, and at most `difference` grey
    levels of 255 apart. A file may be on both sides: its own splits are compared then.
    """
    sides = [
        _hashed_images(path, split).with_columns(side=pl.lit(split))
        for paths, split in ((training, "train"), (tested, "test"))
        for path in dict.fromkeys(paths)
    ]
    frame = pl.concat(sides) if sides else pl.DataFrame()
    if frame.is_empty():
        return TrainingOverlap()
    by_side = {split: frame.filter(pl.col("side") == split) for split in ("train", "test")}
    # By name
    same_name = set[str]()
    for column in ("image_id", "patient"):
        shared = set(by_side["train"][column]) & set(by_side["test"][column])
        same_name |= set(frame.filter(pl.col(column).is_in(shared))["image_id"])
    # By picture: hashes propose pairs, thumbnails decide
    pairs = [
        sorted((frame.row(a, named=True), frame.row(b, named=True)), key=lambda row: row["side"], reverse=True)
        for a, b in find_near_pairs(frame.drop("split").rename({"side": "split"}))
    ]
    candidates = {row["image_id"] for pair in pairs for row in pair}
    rows = read_rows(dict.fromkeys([*training, *tested]), IdentifiedPicture) if candidates else ()
    thumbnails = {
        (row["image_id"], row["split"]): thumbnail(decode_image(row)) for row in rows if row["image_id"] in candidates
    }
    same_picture = [
        (train["image_id"], test["image_id"])
        for train, test in pairs
        if mean_grey_difference(thumbnails[train["image_id"], "train"], thumbnails[test["image_id"], "test"])
        <= difference
    ]
    matched_by_name = frozenset(same_name & set(by_side["test"]["image_id"]))
    return TrainingOverlap(
        training_ids=frozenset(same_name & set(by_side["train"]["image_id"])) | {train for train, _ in same_picture},
        test_ids=matched_by_name | {test for _, test in same_picture},
        matched_by_name=matched_by_name,
        compared=len(frame),
    )


def split_for_training(frame: pl.DataFrame, overlap: TrainingOverlap) -> dict[str, pl.DataFrame]:
    """The images of split train that are no test images as well, and those of split validation.

    Raises:
        ValueError: if no training image is left.
    """
    leaking = (frame["split"] == "train") & frame["image_id"].is_in(overlap.training_ids)
    parts = {split: frame.filter((frame["split"] == split) & ~leaking) for split in ("train", "validation")}
    if parts["train"].is_empty():
        raise ValueError(
            "no image of a training patient has a grounded caption: see the report pages of grounded and shards"
        )
    return parts


def count_training_parts(tally: Tally, frame: pl.DataFrame, parts: Mapping[str, pl.DataFrame]) -> None:
    """Count the images of a dataset that are used as those parts, and the reasons of the others."""
    used = sum(len(part) for part in parts.values())
    leaking = int((frame["split"] == "train").sum()) - len(parts["train"])
    tally.take(len(frame))
    tally.use(used)
    tally.quarantine("also_in_test", leaking)
    tally.quarantine("test_patient", len(frame) - used - leaking)
    for split, part in parts.items():
        tally.add("split", split, len(part))


def _hashed_images(path: Path, split: str) -> pl.DataFrame:
    """image_id, patient, split and perceptual_hash of the images of one split; hashes that the file lacks are computed."""
    has_hashes = "perceptual_hash" in read_schema(path).names
    frame = read_frame(path, [*IDENTITY, *(["perceptual_hash"] if has_hashes else [])])
    frame = frame.filter(pl.col("split") == split)
    hashes: dict[str, str] = (
        dict(frame.select("image_id", "perceptual_hash").drop_nulls().iter_rows()) if has_hashes else {}
    )
    if len(hashes) < len(frame):
        unhashed = set(frame["image_id"]) - hashes.keys()
        hashes |= {
            row["image_id"]: perceptual_hash(decode_image(row))
            for row in read_rows([path], IdentifiedPicture)
            if row["split"] == split and row["image_id"] in unhashed
        }
    return frame.select(IDENTITY).with_columns(
        perceptual_hash=pl.Series([hashes[image_id] for image_id in frame["image_id"]], dtype=pl.String)
    )
