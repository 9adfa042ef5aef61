"""Cards of the gallery: rows of the shards and dropped pairs, with the values of the filters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import polars as pl
from markupsafe import Markup
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow, MentionRow
from refrad.dataset.examples import relative_box
from refrad.dataset.image_codec import decode_image, decode_mask, window_image
from refrad.dataset.shard_rows import CaptionStruct, ImageRow
from refrad.reporting.drawing import class_colour, data_uri, draw_outlines

__all__ = [
    "CardBox",
    "DroppedPair",
    "ImageCard",
    "build_card",
    "build_cards",
    "build_dropped_cards",
    "choose_images",
    "filters_of_cards",
]

LANGUAGES = {"de": "German", "en": "English"}
VIA = {"exact": "", "part": "part", "whole": "coarser"}
FILTERS = ("class", "modality", "plane", "language", "split", "tie", "verdict")


@dataclass(frozen=True)
class CardBox:
    """A box on a card: place and size as shares of width and height (x right, y down)."""

    class_id: int
    name: str
    colour: str
    x: float
    y: float
    width: float
    height: float
    by_model: bool = False  # else a true box


@dataclass(frozen=True)
class ClassChip:
    """A class that the caption names, in its colour, and a note about it."""

    class_id: int
    name: str
    colour: str
    note: str


@dataclass(frozen=True)
class ImageCard:
    """One image with one caption. `aspect` is width by height in mm; `text` is HTML with the spans marked.

    `picture` has the three windows as its channels. `values` are those of the filters: filter to values.
    """

    picture: str
    outlines: str
    aspect: float
    text: Markup
    boxes: Sequence[CardBox]
    facts: Sequence[str]
    chips: Sequence[ClassChip] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class DroppedPair:
    """A pair of image and caption that stage grounded dropped.

    Attributes:
        reason: the code of the reason.
        caption: CaptionTable row.
        mentions: MentionTable rows of the caption.
        volume: VolumeTable row.
        image: the slice int16 [row, column], HU for CT.
    """

    reason: str
    caption: CaptionRow
    mentions: Sequence[MentionRow]
    volume: AcceptedVolumeRow
    image: NDArray[np.int16]


def choose_images(frame: pl.DataFrame, count: int) -> list[str]:
    """The image ids of a gallery: modalities, planes, ties and languages in turn, so that rare ones are seen.

    Args:
        frame: image_id, modality, plane and captions of the shards.
        count: images at most; the same ones every time.
    """
    first = pl.col("captions").list.first().struct
    kinds = [pl.col("modality"), pl.col("plane"), first.field("tie"), first.field("language").alias("language")]
    return (
        frame.sort("image_id")
        .with_columns(turn=pl.int_range(pl.len()).over(kinds))
        .sort("turn", "image_id")
        .head(count)["image_id"]
        .to_list()
    )


def build_card(row: ImageRow, schema: Schema, caption: CaptionStruct | None = None) -> ImageCard:
    """A card of a row with one of its captions, the first if none is named."""
    caption = caption or row["captions"][0]
    entities = caption["entities"]
    classes = {entity["class_id"] for entity in entities}
    size = row["height"], row["width"]
    masks = [
        (structure["class_id"], decode_mask(structure["rle"], *size))
        for structure in row["structures"]
        if structure["class_id"] in classes
    ]
    boxes = [
        card_box(entity["class_id"], relative_box(entity, row["width"], row["height"]), schema) for entity in entities
    ]
    return ImageCard(
        picture=data_uri(Image.fromarray(np.ascontiguousarray(decode_image(row).transpose(1, 2, 0)))),
        outlines=data_uri(draw_outlines(masks, size)),
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=mark_spans(caption["text"], entities),
        boxes=list(dict.fromkeys(boxes)),
        facts=_facts(row, caption),
        chips=list(dict.fromkeys(_chip(entity["class_id"], schema, VIA[entity["via"]]) for entity in entities)),
        values=_values(row, caption, classes, schema, "kept"),
    )


def build_cards(rows: Iterable[ImageRow], schema: Schema) -> list[ImageCard]:
    """A card for the first caption of each language of each row."""
    cards = []
    for row in rows:
        first: dict[str, CaptionStruct] = {}
        for caption in row["captions"]:
            first.setdefault(caption["language"], caption)
        cards += [build_card(row, schema, caption=caption) for caption in first.values()]
    return cards


def build_dropped_cards(
    pairs: Iterable[DroppedPair], schema: Schema, windows: Sequence[Sequence[float]], size: int
) -> list[ImageCard]:
    """Cards of dropped pairs: the image, the classes that the caption names, and the reason.

    Args:
        pairs: of image and caption.
        schema: the class schema.
        windows: width and level of the three channels, HU.
        size: side of the images, px.
    """
    cards = []
    for pair in pairs:
        volume = pair.volume
        channels = window_image(pair.image, volume["modality"], windows, size).transpose(1, 2, 0)
        classes = {mention["class_id"] for mention in pair.mentions}
        verdict = f"dropped: {pair.reason.replace('_', ' ')}"
        cards.append(
            ImageCard(
                picture=data_uri(Image.fromarray(np.ascontiguousarray(channels))),
                outlines="",
                aspect=volume["columns"] * volume["spacing_x"] / (volume["rows"] * volume["spacing_y"]),
                text=mark_spans(pair.caption["text"], pair.mentions),
                boxes=(),
                facts=[verdict, *_facts(volume, pair.caption)],
                chips=[_chip(class_id, schema, "not in the image") for class_id in sorted(classes)],
                values=_values(volume, pair.caption, classes, schema, verdict),
            )
        )
    return cards


def filters_of_cards(cards: Iterable[ImageCard]) -> dict[str, list[str]]:
    """The values of each filter that some card has, sorted; only filters that have a choice."""
    choices: dict[str, set[str]] = {name: set() for name in FILTERS}
    for card in cards:
        for name, values in card.values.items():
            choices[name].update(values)
    return {name: sorted(values) for name, values in choices.items() if len(values) > 1}


def soft_tissue_image(row: ImageRow) -> Image.Image:
    """The stored picture in grey: its second channel, the soft-tissue window of CT."""
    return Image.fromarray(decode_image(row)[1])


def card_box(class_id: int, box: Sequence[float], schema: Schema, by_model: bool = False) -> CardBox:
    """A box (x_min, y_min, x_max, y_max as shares) with its class's name and colour."""
    corner_and_size = box[0], box[1], box[2] - box[0], box[3] - box[1]
    return CardBox(class_id, schema.by_id[class_id].english, _colour(class_id), *corner_and_size, by_model)


class Span(TypedDict):
    """Part of a text that names a class: offsets in code points."""

    start: int
    end: int
    class_id: int


def mark_spans(text: str, entities: Sequence[Span]) -> Markup:
    """The text as HTML with each span underlined in the colours of all its classes."""
    spans: dict[tuple[int, int], list[int]] = {}
    for entity in entities:
        spans.setdefault((entity["start"], entity["end"]), []).append(entity["class_id"])
    parts, at = [], 0
    for (start, end), classes in sorted(spans.items()):
        if start >= at:
            colours = [_colour(class_id) for class_id in dict.fromkeys(classes)]
            names = " ".join(f"c{class_id}" for class_id in dict.fromkeys(classes))
            parts.append(
                Markup('{}<mark class="{}" style="--class:{};--classes:{}">{}</mark>').format(
                    text[at:start], names, colours[0], ",".join([*colours, colours[-1]]), text[start:end]
                )
            )
            at = end
    return Markup("").join([*parts, Markup("{}").format(text[at:])])


def _colour(class_id: int) -> str:
    return "rgb({},{},{})".format(*class_colour(class_id))


def _chip(class_id: int, schema: Schema, note: str) -> ClassChip:
    return ClassChip(class_id, schema.by_id[class_id].english, _colour(class_id), note)


def _facts(row: ImageRow | AcceptedVolumeRow, caption: CaptionStruct | CaptionRow) -> list[str]:
    facts = [row["modality"], row["plane"], LANGUAGES[caption["language"]], row["split"], f"tied by {caption['tie']}"]
    return [str(fact) for fact in facts if fact]


def _values(
    row: ImageRow | AcceptedVolumeRow,
    caption: CaptionStruct | CaptionRow,
    classes: Iterable[int],
    schema: Schema,
    verdict: str,
) -> dict[str, list[str]]:
    facts = {"modality": row["modality"], "plane": row["plane"], "language": LANGUAGES[caption["language"]]}
    facts |= {"split": row["split"], "tie": caption["tie"], "verdict": verdict}
    values = {name: [str(value)] for name, value in facts.items() if value}
    return values | {"class": [schema.by_id[class_id].english for class_id in sorted(classes)]}
