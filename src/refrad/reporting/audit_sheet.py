"""The audit of triplets: a random sample of image and caption, and the precision from a ticked sheet."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
from scipy.stats import binomtest

from refrad.dataset.shard_rows import CaptionStruct

__all__ = ["LEVEL", "CaptionedImage", "Precision", "SampledTriplet", "precision_of", "read_marks", "sample_triplets"]

YES = {"yes", "y", "ja", "j", "1", "x", "true", "right"}
NO = {"no", "n", "nein", "0", "false", "wrong"}
LEVEL = 0.95


@dataclass(frozen=True)
class Precision:
    """Share of right triplets among those that were judged, with its Wilson interval."""

    right: int
    judged: int
    not_judged: int
    share: float
    low: float
    high: float


class CaptionedImage(TypedDict):
    """An image and its captions: the columns of a shard that triplets are drawn from."""

    image_id: str
    captions: list[CaptionStruct]


@dataclass(frozen=True)
class SampledTriplet:
    """A pair of image and caption: the number of the shard, the image id, and the caption."""

    shard: int
    image_id: str
    caption: CaptionStruct


def sample_triplets(shards: Iterable[Iterable[CaptionedImage]], count: int, seed: int) -> list[SampledTriplet]:
    """`count` grounded pairs of all shards, drawn uniformly and in random order; an image in two shards is two images."""
    pairs = [
        SampledTriplet(number, image["image_id"], caption)
        for number, images in enumerate(shards)
        for image in images
        for caption in image["captions"]
        if caption["entities"]
    ]
    return [pairs[position] for position in np.random.default_rng(seed).permutation(len(pairs))[:count]]


def read_marks(text: str, name: str) -> list[tuple[dict[str, str], bool | None]]:
    """The rows of a returned sheet, each with whether it is right, or None where it is not judged; arguments as for `precision_of`.

    Raises:
        ValueError: naming the row whose mark is neither yes nor no, or if it is no sheet.
    """
    header = text.splitlines()[0] if text else ""
    rows = list(csv.DictReader(text.splitlines(), delimiter=";" if header.count(";") > header.count(",") else ","))
    if not rows or "right" not in rows[0]:
        raise ValueError(f"{name}: no column right, so this is no sheet of refrad audit")
    marks = [(row, (row["right"] or "").strip().lower()) for row in rows]
    if wrong := [row["number"] for row, mark in marks if mark and mark not in YES | NO]:
        raise ValueError(f"{name}: write yes or no in column right, or nothing: see number {wrong[0]}")
    return [(row, mark in YES if mark else None) for row, mark in marks]


def precision_of(text: str, name: str) -> Precision:
    """The precision from the text of a returned sheet (comma or semicolon, as spreadsheets save it); `name` is for messages.

    Raises:
        ValueError: naming the row whose mark is neither yes nor no, or if no row is judged.
    """
    marks = [mark for _, mark in read_marks(text, name)]
    judged = [mark for mark in marks if mark is not None]
    if not judged:
        raise ValueError(f"{name}: column right is empty")
    interval = binomtest(sum(judged), len(judged)).proportion_ci(LEVEL, method="wilson")
    share = sum(judged) / len(judged)
    return Precision(
        sum(judged), len(judged), len(marks) - len(judged), share, float(interval.low), float(interval.high)
    )
