"""Test images that a training has seen: the same image or patient by name, or nearly the same picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq

from refrad.dataset.image_codec import grey_levels_apart, perceptual_hash, stored, thumbnail
from refrad.dataset.leakage import near_pairs
from refrad.dataset.shard_io import read_rows
from refrad.workflow.tally import Tally

__all__ = ["Seen", "count_parts", "parts_to_learn", "seen_in_training"]

TOLD = ("image_id", "patient", "split")


@dataclass(frozen=True)
class Seen:
    """Images on both sides, by id: `training` are those that a training should leave out, `tested` those that say nothing any
    more if it does not. `named` are the tested ones that were found by name, `looked` how many images were compared.
    """

    training: frozenset[str] = frozenset()
    tested: frozenset[str] = frozenset()
    named: frozenset[str] = frozenset()
    looked: int = 0

    def sentence(self) -> str:
        """What was found, without a name."""
        alike = len(self.tested - self.named)
        return (
            f"{len(self.tested)} test images are also images of the training ({len(self.named)} by name or patient, {alike}"
            f" by picture), {len(self.training)} there"
        )


def seen_in_training(training: Sequence[Path], tested: Sequence[Path], difference: float) -> Seen:
    """Compare the training images of some files with the test images of others; both are shards, or made by `refrad public`.

    Pictures are nearly the same as in `find_leakage`: alike in the hash, and by at most `difference` grey levels of 255 apart.
    A file may be among both: its own splits are compared then.
    """
    sides = [
        _told(path, split).with_columns(side=pl.lit(split))
        for paths, split in ((training, "train"), (tested, "test"))
        for path in dict.fromkeys(paths)
    ]
    frame = pl.concat(sides) if sides else pl.DataFrame()
    if frame.is_empty():
        return Seen()
    by_side = {split: frame.filter(pl.col("side") == split) for split in ("train", "test")}
    names = set[str]()
    for column in ("image_id", "patient"):
        both = set(by_side["train"][column]) & set(by_side["test"][column])
        names |= set(frame.filter(pl.col(column).is_in(both))["image_id"])
    pairs = [
        sorted((frame.row(one, named=True), frame.row(other, named=True)), key=lambda row: row["side"], reverse=True)
        for one, other in near_pairs(frame.drop("split").rename({"side": "split"}))
    ]
    wanted = {row["image_id"] for pair in pairs for row in pair}
    rows = read_rows(dict.fromkeys([*training, *tested]), [*TOLD, "image", "pixels"]) if wanted else ()
    small = {(r["image_id"], r["split"]): thumbnail(stored(r)) for r in rows if r["image_id"] in wanted}
    near = [
        (one["image_id"], other["image_id"])
        for one, other in pairs
        if grey_levels_apart(small[one["image_id"], "train"], small[other["image_id"], "test"]) <= difference
    ]
    named = frozenset(names & set(by_side["test"]["image_id"]))
    return Seen(
        frozenset(names & set(by_side["train"]["image_id"])) | {one for one, _ in near},
        named | {other for _, other in near},
        named,
        len(frame),
    )


def parts_to_learn(frame: pl.DataFrame, seen: Seen) -> dict[str, pl.DataFrame]:
    """The images of `train` that are no test images as well, and those of `validation`.

    Raises:
        ValueError: if there is nothing to learn from.
    """
    leaking = (frame["split"] == "train") & frame["image_id"].is_in(seen.training)
    parts = {split: frame.filter((frame["split"] == split) & ~leaking) for split in ("train", "validation")}
    if parts["train"].is_empty():
        raise ValueError(
            "no image of a training patient has a grounded caption: see the report pages of grounded and shards"
        )
    return parts


def count_parts(tally: Tally, frame: pl.DataFrame, parts: Mapping[str, pl.DataFrame]) -> None:
    """What of a dataset is used as those parts, and why not the rest."""
    used = sum(len(part) for part in parts.values())
    leaking = int((frame["split"] == "train").sum()) - len(parts["train"])
    tally.take(len(frame))
    tally.use(used)
    tally.put_aside("also_in_test", leaking)
    tally.put_aside("test_patient", len(frame) - used - leaking)
    for split, part in parts.items():
        tally.add("split", split, len(part))


def _told(path: Path, split: str) -> pl.DataFrame:
    """image_id, patient, split and perceptual_hash of the images of one split; hashes that the file lacks are made."""
    there = "perceptual_hash" in pq.read_schema(path).names
    frame = pl.read_parquet(path, columns=[*TOLD, *(["perceptual_hash"] if there else [])])
    frame = frame.filter(pl.col("split") == split)
    known = dict(frame.select("image_id", "perceptual_hash").drop_nulls().iter_rows()) if there else {}
    if len(known) < len(frame):
        wanted = set(frame["image_id"]) - known.keys()
        known |= {
            row["image_id"]: perceptual_hash(stored(row))
            for row in read_rows([path], [*TOLD, "image", "pixels"])
            if row["split"] == split and row["image_id"] in wanted
        }
    hashes: Mapping[str, str] = known
    return frame.select(TOLD).with_columns(
        perceptual_hash=pl.Series([hashes[one] for one in frame["image_id"]], dtype=pl.String)
    )
