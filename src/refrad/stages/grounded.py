"""Pair captions and images, and keep the pairs where both agree on anatomy."""

import logging
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from refrad.anatomy.schema import load_schema
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
from refrad.grounding.caption_images import ImageFinder
from refrad.grounding.pairing import (
    UNGROUNDED,
    Entity,
    PairingError,
    Slice,
    StudyImages,
    class_matcher,
    ground_mentions,
)
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 5

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
    """Ground the captions of one shard. A caption with a kept pair is used; every other caption is put aside with a reason.

    The table of triplets has the pairs that captions make themselves, by a reference, also where no box results (`UNGROUNDED`).
    """
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
    finder = ImageFinder(anatomy, match, options.images_per_caption, tally)
    pairs: list[TripletRow] = []
    entity_rows: list[EntityRow] = []
    for caption in rows_of(read_table(captions, CaptionTable), CaptionRow):
        tally.take()
        key = (caption["caption"],)
        rows = list(rows_of(mentions_of[key], MentionRow)) if key in mentions_of else []
        references = list(rows_of(references_of[key], ReferenceRow)) if key in references_of else []
        study = studies.get(caption["study"])
        try:
            candidates = finder.find(caption, rows, references, study)
        except PairingError as error:
            is_copied = str(error) == "no_image_in_study" and study is None and caption["study"] in with_copies
            tally.quarantine("copied_study" if is_copied else str(error))
            tally.add("captions by their pairs", "without")
            continue
        reasons = []
        for image in candidates.images:
            in_image = ground_mentions(candidates.mentions, image.areas, match, anatomy.twin)
            is_labelled = study is not None and study.has_labels(image.volume)
            reason = candidates.reason or "no_common_class" if is_labelled else "not_labelled"
            pair = _pair_row(caption, image, None if in_image else reason)
            reasons.append(pair["reason"])
            pairs.append(pair)
            entity_rows += [
                _entity_row(pair["triplet"], entity, boxes[image.instance, entity.class_id]) for entity in in_image
            ]
            _count_pair(tally, pair, in_image)
        tally.use() if None in reasons else tally.quarantine(candidates.reason or "no_common_class")
        tally.add("captions by their pairs", _kind_of_pairs(reasons))
    tally.make("pairs", len(pairs))
    tally.make("triplets", sum(pair["reason"] is None for pair in pairs))
    tally.make("ungrounded pairs", sum(pair["reason"] in UNGROUNDED for pair in pairs))
    tally.make("entities", len(entity_rows))
    _count_yield(tally)
    write_table(triplets, frame_of(pairs, TripletTable), TripletTable, fingerprint)
    write_table(entities, frame_of(entity_rows, EntityTable), EntityTable, fingerprint)
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


def _count_pair(tally: Tally, pair: TripletRow, entities: Sequence[Entity]) -> None:
    tally.add("pairs", pair["reason"] or "kept")
    if pair["reason"] in UNGROUNDED:
        tally.add("tie of ungrounded pairs", pair["tie"])
    tally.add("tie of kept pairs", pair["tie"], int(bool(entities)))
    for entity in entities:
        tally.add("via", entity.via)
        tally.add("sides of phrases", "one of two in the image" if entity.one_sided else "as named")


def _kind_of_pairs(reasons: Sequence[str | None]) -> str:
    """Whether a caption has a pair with a box, or none but ungrounded ones, or none that may be in the dataset."""
    if None in reasons:
        return "grounded"
    return "ungrounded" if any(reason in UNGROUNDED for reason in reasons) else "without"


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
