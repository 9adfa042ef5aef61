"""Pairs of image and caption that stage grounded dropped, for the gallery."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema
from refrad.core.contracts import CaptionTable, MentionTable, Table, TripletTable, VolumeTable
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow, MentionRow, TripletRow, rows_of
from refrad.core.tables import read_table
from refrad.dicom.side_marks import letters_of_slice
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.reporting.card_pictures import has_brain, picture_of_slice
from refrad.reporting.gallery import ImageCard, class_chip, facts_of, filter_values, mark_spans

__all__ = ["DroppedPair", "TripletTables", "build_dropped_cards", "choose_dropped_pairs"]

R = TypeVar("R")


@dataclass(frozen=True)
class DroppedPair:
    """A pair of image and caption that stage grounded dropped.

    Attributes:
        reason: the code of the reason.
        caption: CaptionTable row.
        mentions: MentionTable rows of the caption.
        volume: VolumeTable row.
        instance: pseudonym of the image.
        image: the slice int16 [row, column], HU for CT.
        affine: of the volume, [4, 4], RAS+ mm.
    """

    reason: str
    caption: CaptionRow
    mentions: Sequence[MentionRow]
    volume: AcceptedVolumeRow
    instance: str
    image: NDArray[np.int16]
    affine: NDArray[np.float64]


@dataclass(frozen=True)
class TripletTables:
    """The tables of a run that its dropped pairs are in."""

    triplets: Sequence[Path]
    captions: Sequence[Path]
    mentions: Sequence[Path]
    volumes: Sequence[Path]


def choose_dropped_pairs(tables: TripletTables, volume_store: Path, count: int) -> Iterator[DroppedPair]:
    """At most `count` pairs, with their slices; the same ones every time.

    Args:
        tables: of the run; at least one table of triplets.
        volume_store: folder of the volumes.
        count: pairs at most.
    """
    reasons = [read_table(path, TripletTable).filter(pl.col("reason").is_not_null()) for path in tables.triplets]
    pairs = pl.concat(reasons).sort("triplet").head(count)
    of_pairs = {name: pl.col(name).is_in(pairs[name].to_list()) for name in ("caption", "volume")}
    captions = {row["caption"]: row for row in _rows(tables.captions, CaptionTable, of_pairs["caption"], CaptionRow)}
    volumes = {row["volume"]: row for row in _rows(tables.volumes, VolumeTable, of_pairs["volume"], AcceptedVolumeRow)}
    mentions: dict[str, list[MentionRow]] = {name: [] for name in captions}
    is_groundable = of_pairs["caption"] & (pl.col("assertion") != "absent")
    for mention in _rows(tables.mentions, MentionTable, is_groundable, MentionRow):
        mentions[mention["caption"]].append(mention)
    for pair in rows_of(pairs, TripletRow):
        volume, caption = volumes[pair["volume"]], captions[pair["caption"]]
        values, affine = read_volume(volume_store / volume["file"])
        image = image_at(values, pair["index"])
        of_caption = mentions[pair["caption"]]
        yield DroppedPair(str(pair["reason"]), caption, of_caption, volume, pair["instance"], image, affine)


def _rows(paths: Iterable[Path], contract: type[Table], among: pl.Expr, row: type[R]) -> Iterator[R]:
    """The rows of some tables for which `among` holds; one table in memory at a time."""
    return (typed for path in paths for typed in rows_of(read_table(path, contract).filter(among), row))


def build_dropped_cards(pairs: Iterable[DroppedPair], schema: Schema) -> list[ImageCard]:
    """Cards of dropped pairs: the image, the classes that the caption names, and the reason."""
    cards = []
    for pair in pairs:
        volume, caption = pair.volume, pair.caption
        classes = {mention["class_id"] for mention in pair.mentions}
        names = [schema.by_id[class_id].name for class_id in sorted(classes)]
        verdict = f"not grounded: {pair.reason.replace('_', ' ')}"
        aspect = volume["columns"] * volume["spacing_x"] / (volume["rows"] * volume["spacing_y"])
        edges = letters_of_slice(pair.affine)
        picture = picture_of_slice(pair.image, volume["modality"], has_brain(names), aspect, edges)
        pseudonyms = {"image": pair.instance, "volume": volume["volume"], "patient": volume["patient"]}
        cards.append(
            ImageCard(
                picture=picture,
                channel=picture.channel_of(names),
                outlines="",
                text=mark_spans(caption["text"], pair.mentions),
                boxes=(),
                facts=[verdict, *facts_of(volume, caption)],
                pseudonyms=pseudonyms | {"caption": caption["caption"]},
                chips=[class_chip(class_id, schema, "not in the image") for class_id in sorted(classes)],
                values=filter_values(volume, caption, classes, schema, verdict),
            )
        )
    return cards
