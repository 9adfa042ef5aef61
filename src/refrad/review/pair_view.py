"""What the page of a pair shows: its picture with boxes and outlines, its text with spans, and where it comes from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from refrad.anatomy.schema import Schema
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import CaptionStruct, EntityStruct, ImageRow
from refrad.dicom.windows import window_of_classes
from refrad.review.slice_pictures import WINDOWS, outline_path

__all__ = [
    "BoxView",
    "EntityView",
    "OutlineView",
    "PictureView",
    "TextPart",
    "boxes_of",
    "colours_of",
    "default_window",
    "entities_of",
    "origin_of",
    "outlines_of",
    "split_text",
    "view_of",
]

COLOURS = 8  # classes p0 to p7 of the stylesheet
LETTER = 0.045  # height of the numbers at boxes, as a share of the shorter side
VIA = {"exact": "exact", "part": "part of what the phrase names", "whole": "coarser than the phrase"}


@dataclass(frozen=True)
class PictureView:
    """A picture in true proportions: its address, its size in mm, mm per px across and down, and its words for a screen reader."""

    picture: str
    label: str
    width_mm: float
    height_mm: float
    spacing_x: float
    spacing_y: float

    @property
    def font_mm(self) -> float:
        """Height of the numbers at boxes, mm."""
        return LETTER * min(self.width_mm, self.height_mm)


@dataclass(frozen=True)
class BoxView:
    """A box, half-open, px of the DICOM image; `entities` are the places of its phrases in the caption, `colour` is 0 to 7."""

    entities: tuple[int, ...]
    name: str
    colour: int
    x_min: int
    y_min: int
    x_max: int
    y_max: int

    @property
    def numbers(self) -> str:
        """The numbers of its phrases, from 1, as the page shows them."""
        return _numbers(self.entities)


@dataclass(frozen=True)
class OutlineView:
    """The edges of a class as an SVG path in px of the DICOM image."""

    class_id: int
    name: str
    colour: int
    path: str


@dataclass(frozen=True)
class EntityView:
    """A phrase with its class, how both are related, and the size of its box in mm."""

    text: str
    name: str
    side: str
    via: str
    size: str
    colour: int


@dataclass(frozen=True)
class TextPart:
    """A part of a caption; `entities` are the places of the phrases that it is, none for what is between them."""

    text: str
    entities: tuple[int, ...] = ()
    colour: int = 0

    @property
    def numbers(self) -> str:
        """The numbers of its phrases, from 1, as the page shows them."""
        return _numbers(self.entities)


def view_of(row: ImageRow, picture: str) -> PictureView:
    """The picture of a row at an address, with the DICOM image's proportions."""
    plane = f" {row['plane']}" if row["plane"] else ""
    spacing_x, spacing_y = row["spacing_x"] or 1.0, row["spacing_y"] or 1.0
    return PictureView(
        picture=picture,
        label=f"{row['modality']}{plane}, slice {row['index'] + 1} of its volume",
        width_mm=round(row["width"] * spacing_x, 3),
        height_mm=round(row["height"] * spacing_y, 3),
        spacing_x=spacing_x,
        spacing_y=spacing_y,
    )


def colours_of(entities: Sequence[EntityStruct]) -> dict[int, int]:
    """Class id to number of its colour: the first classes of a caption get the colours that differ most."""
    return {
        class_id: number % COLOURS
        for number, class_id in enumerate(dict.fromkeys(entity["class_id"] for entity in entities))
    }


def boxes_of(entities: Sequence[EntityStruct], schema: Schema) -> list[BoxView]:
    """A box for each class and box of the phrases of a caption, in its order."""
    colours = colours_of(entities)
    numbers: dict[tuple[int, int, int, int, int], list[int]] = {}
    for number, entity in enumerate(entities):
        corners = entity["x_min"], entity["y_min"], entity["x_max"], entity["y_max"]
        numbers.setdefault((entity["class_id"], *corners), []).append(number)
    return [
        BoxView(tuple(phrases), schema.by_id[class_id].english, colours[class_id], *corners)
        for (class_id, *corners), phrases in numbers.items()
    ]


def entities_of(caption: CaptionStruct, row: ImageRow, schema: Schema) -> list[EntityView]:
    """The phrases of a caption in its order."""
    colours = colours_of(caption["entities"])
    views = []
    for entity in caption["entities"]:
        entry = schema.by_id[entity["class_id"]]
        width = (entity["x_max"] - entity["x_min"]) * (row["spacing_x"] or 1.0)
        height = (entity["y_max"] - entity["y_min"]) * (row["spacing_y"] or 1.0)
        via = VIA.get(entity["via"], entity["via"])
        size = f"{width:.0f} x {height:.0f} mm"
        views.append(EntityView(entity["text"], entry.english, entry.side or "", via, size, colours[entry.id]))
    return views


def split_text(caption: CaptionStruct) -> list[TextPart]:
    """The text of a caption, cut at its phrases (offsets in code points). A phrase that overlaps an earlier one is not marked."""
    spans: dict[tuple[int, int], list[int]] = {}
    for number, entity in enumerate(caption["entities"]):
        spans.setdefault((entity["start"], entity["end"]), []).append(number)
    colours, text = colours_of(caption["entities"]), caption["text"]
    parts, at = [], 0
    for (start, end), numbers in sorted(spans.items()):
        if start >= at:
            colour = colours[caption["entities"][numbers[0]]["class_id"]]
            parts += [TextPart(text[at:start]), TextPart(text[start:end], tuple(numbers), colour)]
            at = end
    return [part for part in [*parts, TextPart(text[at:])] if part.text]


def outlines_of(row: ImageRow, classes: Iterable[int], colours: Mapping[int, int], schema: Schema) -> list[OutlineView]:
    """The outlines of some classes of a row, from the masks in the dataset; those without a colour have the first one."""
    chosen = set(classes)
    return [
        OutlineView(
            structure["class_id"],
            schema.by_id[structure["class_id"]].english,
            colours.get(structure["class_id"], 0),
            outline_path(decode_mask(structure["rle"], row["height"], row["width"])),
        )
        for structure in row["structures"]
        if structure["class_id"] in chosen
    ]


def default_window(row: ImageRow, caption: CaptionStruct, schema: Schema) -> str:
    """Name of the window in which the classes of a caption are best seen."""
    if row["modality"] != "CT":
        return WINDOWS["MR"][0]
    return window_of_classes(schema.by_id[entity["class_id"]].name for entity in caption["entities"]).name


def origin_of(row: ImageRow, caption: CaptionStruct, delivery: str, shard: int | str) -> list[tuple[str, str]]:
    """Pseudonyms and facts by which a pair is traced through the tables of the run."""
    provenance = row["provenance"] or {}
    facts = {
        "image": row["image_id"],
        "volume": row["volume"],
        "study": row["study"],
        "patient": row["patient"],
        "caption": caption["caption"],
        "sentence": caption["sentence"],
        "delivery": delivery,
        "shard": str(shard),
        "split": row["split"],
        "tied by": caption["tie"],
        "body part": row["body_part"],
        "contrast": {True: "yes", False: "no", None: None}[row["contrast"]],
        "matrix": f"{row['width']} x {row['height']} px",
        "spacing": f"{row['spacing_x']:.3g} x {row['spacing_y']:.3g} mm" if row["spacing_x"] else None,
        **{name: provenance.get(name) for name in ("segmenter", "mentions", "rewriter", "translator", "vqa")},
    }
    return [(name, str(value)) for name, value in facts.items() if value]


def _numbers(entities: Sequence[int]) -> str:
    return ",".join(str(number + 1) for number in entities)
