"""Pair captions and images, and keep the pairs where both agree on anatomy."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import GroundedOptions
from refrad.core.contracts import (
    CaptionTable,
    CopyTable,
    EntityTable,
    MentionTable,
    ReferenceTable,
    SliceTable,
    StructureTable,
    TripletTable,
    VolumeTable,
)
from refrad.core.files import digest_bytes
from refrad.core.table_rows import (
    BoxRow,
    CaptionRow,
    EntityRow,
    MentionRow,
    ReferenceRow,
    SliceRow,
    StructureRow,
    TripletRow,
    rows_of,
)
from refrad.core.tables import frame_of, read_table, write_table
from refrad.grounding.pairing import (
    Entity,
    GroundableMention,
    Matcher,
    PairingError,
    Slice,
    StudyImages,
    class_matcher,
    ground_mentions,
)
from refrad.grounding.phrase_extent import finer_classes
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 4

logger = logging.getLogger(__name__)


def run(
    *,
    captions: Path,
    image_references: Path,
    mentions: Path,
    slices: Path,
    volumes: Path,
    structures: Path,
    copies: Path,
    schema: Path,
    triplets: Path,
    entities: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Ground the captions of one shard. A caption with a kept pair is used; every other caption is put aside with a reason."""
    options = GroundedOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    match = class_matcher(anatomy, options.mode)
    left_out = read_table(copies, CopyTable).filter(pl.col("reason").is_not_null())
    volume_table = read_table(volumes, VolumeTable).join(
        left_out.select("volume", "original", "relation"), on="volume", how="left"
    )
    studies, boxes = _studies(read_table(slices, SliceTable), volume_table, read_table(structures, StructureTable))
    with_copies = set(volume_table.filter(pl.col("relation") != "study")["study"])
    mentions_of = read_table(mentions, MentionTable).partition_by("caption", as_dict=True)
    references_of = read_table(image_references, ReferenceTable).partition_by("caption", as_dict=True)
    tally = Tally("captions")
    pairs: list[TripletRow] = []
    grounded: list[EntityRow] = []
    for caption in rows_of(read_table(captions, CaptionTable), CaptionRow):
        tally.take()
        key = (caption["caption"],)
        rows = list(rows_of(mentions_of[key], MentionRow)) if key in mentions_of else []
        references = list(rows_of(references_of[key], ReferenceRow)) if key in references_of else []
        try:
            groundable = _groundable_mentions(rows, caption, anatomy)
            study = studies.get(caption["study"])
            if study is None and caption["study"] in with_copies:
                raise PairingError("copied_study")
            images = _images(caption["tie"], references, groundable, study, match, options.images_per_caption, tally)
        except PairingError as reason:
            tally.quarantine(str(reason))
            continue
        triplet_count = 0
        for image in images:
            in_image = ground_mentions(groundable, image.areas, match, anatomy.twin)
            pair = _pair_row(caption, image, None if in_image else "no_common_class")
            pairs.append(pair)
            grounded += [
                _entity_row(pair["triplet"], entity, boxes[image.instance, entity.class_id]) for entity in in_image
            ]
            triplet_count += bool(in_image)
            tally.add("pairs", "kept" if in_image else "no_common_class")
            tally.add("tie of kept pairs", caption["tie"], int(bool(in_image)))
            for entity in in_image:
                tally.add("via", entity.via)
                tally.add("sides of phrases", "one of two in the image" if entity.one_sided else "as named")
        tally.use(1) if triplet_count else tally.quarantine("no_common_class")
    tally.make("pairs", len(pairs))
    tally.make("triplets", sum(pair["reason"] is None for pair in pairs))
    tally.make("entities", len(grounded))
    _count_yield(tally)
    write_table(triplets, frame_of(pairs, TripletTable), TripletTable, fingerprint)
    write_table(entities, frame_of(grounded, EntityTable), EntityTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d captions, %d of them grounded in %d triplets", tally.taken, tally.used, tally.made["triplets"])


# Steps of the yield: captions that pass each, and the reasons for which the others stop there.
YIELD = (
    ("captions", ()),
    ("with a mention", ("no_mention", "mention_not_verbatim")),
    ("... of something that is there", ("only_absent_mentions",)),
    ("... in a study with labelled images", ("no_image_in_study", "copied_study")),
    ("... whose references are found", ("reference_not_found", "reference_ambiguous")),
    ("... and agree with an image", ("no_common_class",)),
)


def _count_yield(tally: Tally) -> None:
    """Count the captions left after each step, from the reasons, so that the last row is the captions that are used."""
    left = tally.taken
    for step, reasons in YIELD:
        left -= sum(tally.aside.get(reason, 0) for reason in reasons)
        tally.add("yield", step, left)
    if left != tally.used:
        raise ValueError(f"grounded: the yield does not add up: {left} captions left, {tally.used} used")


class _StudySliceRow(SliceRow):
    """A slice with its study, the number of its series, and the plane of its volume, and what this is a copy of."""

    study: str
    series_number: int | None
    plane: str | None
    original: str | None
    relation: str | None


def _studies(
    slices: pl.DataFrame, volumes: pl.DataFrame, structures: pl.DataFrame
) -> tuple[dict[str, StudyImages], dict[tuple[str, int], BoxRow]]:
    """The images of each study, without those of copies of volumes, and the box of each class in each image."""
    areas: dict[str, dict[int, int]] = {}
    boxes: dict[tuple[str, int], BoxRow] = {}
    for row in rows_of(structures, StructureRow):
        areas.setdefault(row["instance"], {})[row["class_id"]] = row["area"]
        boxes[row["instance"], row["class_id"]] = BoxRow(
            x_min=row["x_min"], y_min=row["y_min"], x_max=row["x_max"], y_max=row["y_max"]
        )
    images: dict[str, list[Slice]] = {}
    copies: dict[str, list[tuple[Slice, str]]] = {}
    columns = volumes.select("volume", "study", "series_number", "plane", "original", "relation")
    joined = slices.join(columns, on="volume").sort("volume", "index")
    for image in rows_of(joined, _StudySliceRow):
        image_slice = Slice(
            image["instance"],
            image["volume"],
            image["index"],
            image["series_number"],
            image["instance_number"],
            areas.get(image["instance"], {}),
            image["plane"],
        )
        if image["original"] is None:
            images.setdefault(image["study"], []).append(image_slice)
        elif image["relation"] == "study":
            copies.setdefault(image["study"], []).append((image_slice, image["original"]))
    return {study: StudyImages(group, copies.get(study, ())) for study, group in images.items()}, boxes


def _pair_row(caption: CaptionRow, image: Slice, reason: str | None) -> TripletRow:
    """A row of the table of triplets; a pair with a reason is no triplet."""
    return {
        "triplet": digest_bytes(image.instance.encode(), caption["caption"].encode())[:16],
        "instance": image.instance,
        "volume": image.volume,
        "index": image.index,
        "caption": caption["caption"],
        "tie": caption["tie"],
        "reason": reason,
    }


def _entity_row(triplet: str, entity: Entity, box: BoxRow) -> EntityRow:
    """A row of the table of entities."""
    return {
        "triplet": triplet,
        "start": entity.start,
        "end": entity.end,
        "text": entity.text,
        "class_id": entity.class_id,
        "via": entity.via,
        "one_sided": entity.one_sided,
        **box,
    }


def _groundable_mentions(rows: Sequence[MentionRow], caption: CaptionRow, anatomy: Schema) -> list[GroundableMention]:
    """One mention for each span; an absent organ is not in the image."""
    text, language = caption["text"], caption["language"]
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
    mentions = []
    for span, classes in spans.items():
        boxed = frozenset(classes).union(*(anatomy.related[class_id] for class_id in classes))
        finer = finer_classes(text, *span[:2], language, boxed, anatomy)
        mentions.append(GroundableMention(*span, tuple(classes), finer))
    return mentions


def _images(
    tie: str,
    references: Sequence[ReferenceRow],
    mentions: Sequence[GroundableMention],
    study: StudyImages | None,
    match: Matcher,
    count: int,
    tally: Tally,
) -> list[Slice]:
    """The images of a caption. Each of its references is counted, as found or by the reason why not."""
    if study is None or not study.labelled:
        raise PairingError("no_image_in_study")
    if tie == "structure":
        return study.with_largest(mentions, match, count)
    images: dict[str, Slice] = {}
    failure = PairingError("reference_not_found")
    for reference in references:
        instance = reference["instance"]
        if (instance is None) == (tie == "explicit"):
            continue  # a caption that is tied by hand has no other images
        try:
            if instance is not None:
                named = study.with_instance(instance)
            else:
                first, last = reference["image_first"], reference["image_last"]
                named = study.with_numbers(reference["series_number"], first, last, reference["plane"])
                if first is None:  # a whole series: its best slices
                    named = StudyImages(named).with_largest(mentions, match, count)
        except PairingError as reason:
            failure = reason
            tally.add("references", str(reason))
        else:
            images |= {image.instance: image for image in named}
            tally.add("references", "found")
    if not images:
        raise failure
    return list(images.values())
