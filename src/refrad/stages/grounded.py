"""Pair captions and images, and keep the pairs where both agree on anatomy."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from refrad.anatomy.schema import load_schema
from refrad.config import GroundedOptions
from refrad.core.contracts import (
    CaptionTable,
    EntityTable,
    MentionTable,
    ReferenceTable,
    SliceTable,
    StructureTable,
    TripletTable,
    VolumeTable,
)
from refrad.core.files import digest_bytes
from refrad.core.tables import frame_of, read_table, write_table
from refrad.grounding.pairing import GroundableMention, PairingError, Slice, StudyImages, class_matcher, ground_mentions
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 1

logger = logging.getLogger(__name__)


def run(
    *,
    captions: Path,
    image_references: Path,
    mentions: Path,
    slices: Path,
    volumes: Path,
    structures: Path,
    schema: Path,
    triplets: Path,
    entities: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Ground the captions of one shard. A caption with a kept pair is used; each other one is aside with its reason."""
    options = GroundedOptions.model_validate(fingerprint.options)
    match = class_matcher(load_schema(schema), options.mode)
    studies, boxes = _studies(
        read_table(slices, SliceTable), read_table(volumes, VolumeTable), read_table(structures, StructureTable)
    )
    named = read_table(mentions, MentionTable).partition_by("caption", as_dict=True)
    references = read_table(image_references, ReferenceTable).partition_by("caption", as_dict=True)
    tally = Tally("captions")
    pairs: list[dict[str, Any]] = []
    grounded: list[dict[str, Any]] = []
    for caption in read_table(captions, CaptionTable).iter_rows(named=True):
        tally.take()
        key = (caption["caption"],)
        rows = named[key].rows(named=True) if key in named else []
        ties = references[key].rows(named=True) if key in references else []
        try:
            spans = _mentions(rows, caption["text"])
            study = studies.get(caption["study"])
            images = _images(caption["tie"], ties, spans, study, match, options.images_per_caption, tally)
        except PairingError as reason:
            tally.put_aside(str(reason))
            continue
        kept = 0
        for image in images:
            triplet = digest_bytes(image.instance.encode(), caption["caption"].encode())[:16]
            found = ground_mentions(spans, image.areas, match)
            pairs.append(
                {"triplet": triplet, "instance": image.instance, "volume": image.volume, "index": image.index}
                | {"caption": caption["caption"], "tie": caption["tie"], "reason": None if found else "no_common_class"}
            )
            grounded += [vars(one) | {"triplet": triplet} | boxes[image.instance, one.class_id] for one in found]
            kept += bool(found)
            tally.add("pairs", "kept" if found else "no_common_class")
            tally.add("tie of kept pairs", caption["tie"], int(bool(found)))
            for one in found:
                tally.add("via", one.via)
        tally.use(1) if kept else tally.put_aside("no_common_class")
    tally.make("pairs", len(pairs))
    tally.make("triplets", sum(pair["reason"] is None for pair in pairs))
    tally.make("entities", len(grounded))
    _count_yield(tally)
    write_table(triplets, frame_of(pairs, TripletTable), TripletTable, fingerprint)
    write_table(entities, frame_of(grounded, EntityTable), EntityTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d captions, %d of them grounded in %d triplets", tally.taken, tally.used, tally.made["triplets"])


# What is left of the captions after each step, and the reasons for which the others stop there.
YIELD = (
    ("captions", ()),
    ("with a mention", ("no_mention", "mention_not_verbatim")),
    ("... of something that is there", ("only_absent_mentions",)),
    ("... in a study with labelled images", ("no_image_in_study",)),
    ("... whose references are found", ("reference_not_found", "reference_ambiguous")),
    ("... and agree with an image", ("no_common_class",)),
)


def _count_yield(tally: Tally) -> None:
    """The yield funnel, from the reasons themselves, so that it adds up; its last row are the captions that are used."""
    left = tally.taken
    for step, reasons in YIELD:
        left -= sum(tally.aside.get(reason, 0) for reason in reasons)
        tally.add("yield", step, left)
    if left != tally.used:
        raise ValueError(f"grounded: the yield does not add up: {left} captions left, {tally.used} used")


def _studies(
    slices: pl.DataFrame, volumes: pl.DataFrame, structures: pl.DataFrame
) -> tuple[dict[str, StudyImages], dict[tuple[str, int], dict[str, int]]]:
    """The images of each study, and the box of each class in each image."""
    areas: dict[str, dict[int, int]] = {}
    boxes: dict[tuple[str, int], dict[str, int]] = {}
    for one in structures.iter_rows(named=True):
        areas.setdefault(one["instance"], {})[one["class_id"]] = one["area"]
        boxes[one["instance"], one["class_id"]] = {key: one[key] for key in ("x_min", "y_min", "x_max", "y_max")}
    images: dict[str, list[Slice]] = {}
    placed = slices.join(volumes.select("volume", "study", "series_number"), on="volume").sort("volume", "index")
    for one in placed.iter_rows(named=True):
        found = Slice(
            one["instance"],
            one["volume"],
            one["index"],
            one["series_number"],
            one["instance_number"],
            areas.get(one["instance"], {}),
        )
        images.setdefault(one["study"], []).append(found)
    return {study: StudyImages(found) for study, found in images.items()}, boxes


def _mentions(rows: Sequence[Mapping[str, Any]], text: str) -> list[GroundableMention]:
    """Mentions that may ground, a span each; what was removed is not in the image."""
    if not rows:
        raise PairingError("no_mention")
    spans: dict[tuple[int, int, str], list[int]] = {}
    for row in rows:
        if text[row["start"] : row["end"]] != row["text"]:
            raise PairingError("mention_not_verbatim")
        if row["assertion"] != "absent":
            spans.setdefault((row["start"], row["end"], row["text"]), []).append(row["class_id"])
    if not spans:
        raise PairingError("only_absent_mentions")
    return [GroundableMention(*span, tuple(classes)) for span, classes in spans.items()]


def _images(
    tie: str,
    ties: Sequence[Mapping[str, Any]],
    spans: Sequence[GroundableMention],
    study: StudyImages | None,
    match: Any,
    count: int,
    tally: Tally,
) -> list[Slice]:
    """The images that a caption meets. Each of its references is counted, found or why not."""
    if study is None or not study.labelled:
        raise PairingError("no_image_in_study")
    if tie == "structure":
        return study.largest(spans, match, count)
    found: dict[str, Slice] = {}
    failed = PairingError("reference_not_found")
    for one in ties:
        if (one["instance"] is None) == (tie == "explicit"):
            continue  # a caption that is tied by hand goes by that alone
        try:
            if tie == "explicit":
                images = study.explicit(one["instance"])
            else:
                images = study.referenced(one["series_number"], one["image_first"], one["image_last"])
                if one["image_first"] is None:  # a whole series: its best slices
                    images = StudyImages(images).largest(spans, match, count)
        except PairingError as reason:
            failed = reason
            tally.add("references", str(reason))
        else:
            found |= {image.instance: image for image in images}
            tally.add("references", "found")
    if not found:
        raise failed
    return list(found.values())
