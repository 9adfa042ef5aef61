"""Cards of the gallery: rows of the shards and dropped pairs, with the values of the filters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict

import polars as pl
from markupsafe import Markup

from refrad.anatomy.schema import Schema
from refrad.config.public_sets import PUBLIC_SETS
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow
from refrad.dataset.examples import relative_box
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import CaptionStruct, EntityStruct, ImageRow, QuestionStruct
from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.drawing import data_uri, draw_outlines
from refrad.reporting.palette import css_colour

__all__ = [
    "CardBox",
    "ClassChip",
    "ImageCard",
    "build_card",
    "build_cards",
    "choose_images",
    "class_chip",
    "facts_of",
    "filter_values",
    "filters_of_cards",
    "grounded_first",
    "legend_of",
    "pseudonyms_of",
]

LANGUAGES = {"de": "German", "en": "English"}
VIA = {"exact": "", "part": "part", "whole": "coarser"}
UNGROUNDED = "not grounded"
OWN_DATA = "own data"  # value of the filter for images of no public set
FILTERS = ("class", "modality", "plane", "language", "split", "tie", "source", "verdict")


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
    """One image with one caption. `text` is HTML with the spans marked.

    `channel` is the channel of the picture to show first, `pseudonyms` are those by which the row is found, by their columns, `values`
    are those of the filters: filter to values.
    """

    picture: SlicePicture
    channel: int
    outlines: str
    text: Markup
    boxes: Sequence[CardBox]
    facts: Sequence[str]
    pseudonyms: Mapping[str, str]
    chips: Sequence[ClassChip] = ()
    questions: Sequence[QuestionStruct] = ()
    values: Mapping[str, Sequence[str]] = field(default_factory=dict)


def choose_images(frame: pl.DataFrame, count: int) -> list[str]:
    """The image ids of a gallery: modalities, planes, ties and languages in turn, so that rare ones are seen.

    Args:
        frame: image_id, modality, plane and captions of the shards.
        count: images at most; the same ones every time.
    """
    first = pl.col("captions").list.first().struct
    kinds = [pl.col("modality"), pl.col("plane"), first.field("tie"), first.field("language").alias("language")]
    kinds += [(first.field("entities").list.len() > 0).alias("grounded")]
    return (
        frame.sort("image_id")
        .unique("image_id", keep="first", maintain_order=True)  # deliveries may share an image
        .with_columns(turn=pl.int_range(pl.len()).over(kinds))
        .sort("turn", "image_id")
        .head(count)["image_id"]
        .to_list()
    )


def build_card(row: ImageRow, schema: Schema, picture: SlicePicture, caption: CaptionStruct | None = None) -> ImageCard:
    """A card of a row with one of its captions, the first if none is named, and the questions in the language of that caption."""
    caption = caption or grounded_first(row["captions"])[0]
    entities = caption["entities"]
    source = PUBLIC_SETS.get(row.get("public_set") or "")
    facts = [*facts_of(row, caption), *([source.title] if source else [])]
    if source and source.reports_of_masks:
        facts.append("report made from masks")
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
        picture=picture,
        channel=picture.channel_of(schema.by_id[class_id].name for class_id in classes),
        outlines=data_uri(draw_outlines(masks, size)),
        text=mark_spans(caption["text"], entities),
        boxes=list(dict.fromkeys(boxes)),
        facts=facts if entities else [UNGROUNDED, *facts],
        pseudonyms=pseudonyms_of(row) | {"caption": caption["caption"]},
        chips=list(dict.fromkeys(class_chip(entity["class_id"], schema, _note(entity)) for entity in entities)),
        questions=[question for question in row["questions"] or () if question["language"] == caption["language"]],
        values=filter_values(row, caption, classes, schema, "kept" if entities else UNGROUNDED)
        | {"source": [source.title if source else OWN_DATA]},
    )


def build_cards(rows: Iterable[ImageRow], pictures: Mapping[str, SlicePicture], schema: Schema) -> list[ImageCard]:
    """A card for the first caption of each language of each row, with the picture of its image id; of grounded ones if there are any."""
    cards = []
    for row in rows:
        first: dict[str, CaptionStruct] = {}
        for caption in grounded_first(row["captions"]):
            first.setdefault(caption["language"], caption)
        cards += [build_card(row, schema, pictures[row["image_id"]], caption) for caption in first.values()]
    return cards


def grounded_first(captions: Sequence[CaptionStruct]) -> list[CaptionStruct]:
    """The captions of an image, those without boxes at the end."""
    return sorted(captions, key=lambda caption: not caption["entities"])


def pseudonyms_of(row: ImageRow) -> dict[str, str]:
    """The pseudonyms by which a row of the dataset is found."""
    return {"image": row["image_id"], "volume": row["volume"], "patient": row["patient"]}


def filters_of_cards(cards: Iterable[ImageCard]) -> dict[str, list[str]]:
    """The values of each filter that some card has, sorted; only filters that have a choice."""
    choices: dict[str, set[str]] = {name: set() for name in FILTERS}
    for card in cards:
        for name, values in card.values.items():
            choices[name].update(values)
    return {name: sorted(values) for name, values in choices.items() if len(values) > 1}


def card_box(class_id: int, box: Sequence[float], schema: Schema, by_model: bool = False) -> CardBox:
    """A box (x_min, y_min, x_max, y_max as shares) with its class's name and colour."""
    corner_and_size = box[0], box[1], box[2] - box[0], box[3] - box[1]
    return CardBox(class_id, schema.by_id[class_id].english, css_colour(class_id), *corner_and_size, by_model)


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
            colours = [css_colour(class_id) for class_id in dict.fromkeys(classes)]
            names = " ".join(f"c{class_id}" for class_id in dict.fromkeys(classes))
            parts.append(
                Markup('{}<mark class="{}" style="--class:{};--classes:{}">{}</mark>').format(
                    text[at:start], names, colours[0], ",".join([*colours, colours[-1]]), text[start:end]
                )
            )
            at = end
    return Markup("").join([*parts, Markup("{}").format(text[at:])])


def _note(entity: EntityStruct) -> str:
    """How the box of an entity differs from what its phrase names."""
    return ", ".join(filter(None, (VIA[entity["via"]], "one of two sides" if entity["one_sided"] else "")))


def legend_of(class_ids: Iterable[int], schema: Schema) -> list[ClassChip]:
    """The classes of a picture in their colours, in the order of `class_ids`."""
    return [class_chip(class_id, schema, "") for class_id in class_ids]


def class_chip(class_id: int, schema: Schema, note: str) -> ClassChip:
    """A class in its colour, with a note about it."""
    return ClassChip(class_id, schema.by_id[class_id].english, css_colour(class_id), note)


def facts_of(row: ImageRow | AcceptedVolumeRow, caption: CaptionStruct | CaptionRow) -> list[str]:
    """What a card says of its image and caption."""
    facts = [row["modality"], row["plane"], LANGUAGES[caption["language"]], row["split"], f"tied by {caption['tie']}"]
    return [str(fact) for fact in facts if fact]


def filter_values(
    row: ImageRow | AcceptedVolumeRow,
    caption: CaptionStruct | CaptionRow,
    classes: Iterable[int],
    schema: Schema,
    verdict: str,
) -> dict[str, list[str]]:
    """The values of the filters that a card has."""
    facts = {"modality": row["modality"], "plane": row["plane"], "language": LANGUAGES[caption["language"]]}
    facts |= {"split": row["split"], "tie": caption["tie"], "verdict": verdict}
    values = {name: [str(value)] for name, value in facts.items() if value}
    return values | {"class": [schema.by_id[class_id].english for class_id in sorted(classes)]}
