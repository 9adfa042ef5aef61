"""Rows of the shards as cards of the gallery, and some of them as one picture."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from markupsafe import Markup
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.dataset.pictures import decode_mask, stored
from refrad.files import atomic
from refrad.reporting.pictures import colour_of, inside_html, mask_outlines

__all__ = ["Card", "Drawn", "card", "choose", "save_overlay"]


@dataclass(frozen=True)
class Drawn:
    """A box on a card: place and size as shares of width and height (x right, y down)."""

    class_id: int
    name: str
    colour: str
    x: float
    y: float
    width: float
    height: float
    given: bool = False  # by the model, else true


@dataclass(frozen=True)
class Card:
    """One image with one caption. `aspect` is width by height in mm; `text` is HTML with the spans marked."""

    picture: str
    outlines: str
    aspect: float
    text: Markup
    boxes: Sequence[Drawn]
    facts: Sequence[str]


def choose(frame: pl.DataFrame, count: int) -> pl.DataFrame:
    """Rows for the gallery: modalities, planes and ties in turn, so that rare ones are seen; the same ones every time."""
    kinds = [pl.col("modality"), pl.col("plane"), pl.col("captions").list.first().struct.field("tie")]
    return (
        frame.sort("image_id")
        .with_columns(turn=pl.int_range(pl.len()).over(kinds))
        .sort("turn", "image_id")
        .head(count)
        .drop("turn")
    )


def card(row: Mapping[str, Any], schema: Schema, given: Sequence[tuple[int, Sequence[float]]] = ()) -> Card:
    """A card of the first caption of a row. `given`: class and box (shares) of a model's answer, drawn beside the true ones."""
    caption = row["captions"][0]
    classes = {entity["class_id"] for entity in caption["entities"]}
    masks = [
        (one["class_id"], decode_mask(one["rle"], row["height"], row["width"]))
        for one in row["structures"]
        if one["class_id"] in classes
    ]
    boxes = [drawn(one["class_id"], _shares(one, row), schema) for one in caption["entities"]]
    boxes += [drawn(class_id, box, schema, given=True) for class_id, box in given if class_id in schema.by_id]
    facts = [row["modality"], row["plane"], row["split"], f"tied by {caption['tie']}"]
    return Card(
        picture=inside_html(soft_tissue(row)),
        outlines=inside_html(mask_outlines(masks, (row["height"], row["width"]))),
        aspect=row["width"] * row["spacing_x"] / (row["height"] * row["spacing_y"]),
        text=marked(caption["text"], caption["entities"]),
        boxes=list(dict.fromkeys(boxes)),
        facts=[str(fact) for fact in facts if fact],
    )


def soft_tissue(row: Mapping[str, Any]) -> Image.Image:
    """The stored picture in grey: its second channel, the soft-tissue window of CT."""
    return Image.fromarray(stored(row)[1])


def _shares(box: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[float, float, float, float]:
    width, height = row["width"], row["height"]
    return box["x_min"] / width, box["y_min"] / height, box["x_max"] / width, box["y_max"] / height


def drawn(class_id: int, box: Sequence[float], schema: Schema, given: bool = False) -> Drawn:
    """A box (x_min, y_min, x_max, y_max as shares) with its class's name and colour."""
    colour = "rgb({},{},{})".format(*colour_of(class_id))
    return Drawn(
        class_id, schema.by_id[class_id].english, colour, box[0], box[1], box[2] - box[0], box[3] - box[1], given
    )


def marked(text: str, entities: Sequence[Mapping[str, Any]]) -> Markup:
    """The text as HTML with each span in the colour of its (first) class."""
    parts, at = [], 0
    for start, end, class_id in _spans(entities):
        if start >= at:
            colour = "rgb({},{},{})".format(*colour_of(class_id))
            parts.append(Markup('{}<mark style="--class:{}">{}</mark>').format(text[at:start], colour, text[start:end]))
            at = end
    return Markup("").join([*parts, Markup("{}").format(text[at:])])


def _spans(entities: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, int, int]]:
    yield from sorted((one["start"], one["end"], one["class_id"]) for one in entities)


def save_overlay(path: Path, rows: Sequence[Mapping[str, Any]], schema: Schema, columns: int = 3) -> None:
    """Save some rows as one PNG: slices in true proportions with boxes, class names and the caption below."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    lines = -(-len(rows) // columns) or 1
    figure = Figure(figsize=(4 * columns, 4.4 * lines), facecolor="black", layout="constrained")
    for number, row in enumerate(rows, 1):
        caption = row["captions"][0]
        axes = figure.add_subplot(lines, columns, number)
        width, height = row["width"] * row["spacing_x"], row["height"] * row["spacing_y"]
        axes.imshow(np.asarray(soft_tissue(row)), cmap="gray", extent=(0, width, height, 0))
        for entity in caption["entities"]:
            colour = np.array(colour_of(entity["class_id"])) / 255
            x_min, y_min, x_max, y_max = (
                share * side for share, side in zip(_shares(entity, row), (width, height) * 2, strict=True)
            )
            axes.add_patch(
                Rectangle((x_min, y_min), x_max - x_min, y_max - y_min, fill=False, edgecolor=colour, linewidth=2)
            )
            label = axes.text(
                x_min, y_min - 4, schema.by_id[entity["class_id"]].english, color=colour, fontsize=8, clip_on=True
            )
            label.set_path_effects([withStroke(linewidth=2, foreground="black")])
        axes.set_title(_wrapped(caption["text"]), color="white", fontsize=9, y=-0.02, va="top", loc="center")
        axes.set_axis_off()
    FigureCanvasAgg(figure)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=100, metadata={"Software": None})


def _wrapped(text: str) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, 56, max_lines=3))
