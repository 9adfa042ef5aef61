"""Some rows of the shards as one picture."""

import base64
import io
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from refrad.anatomy.schema import Schema
from refrad.core.files import atomic
from refrad.dataset.shard_rows import CaptionStruct, ImageRow
from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.gallery import grounded_first
from refrad.reporting.palette import class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["save_overlay"]

RESOLUTION = 128  # px per inch: a slice of 4 inches has 512 px
# Where the letters stand, as shares of the axes: x, y, horizontal and vertical alignment.
EDGES = {
    "left": (0.015, 0.5, "left", "center"),
    "right": (0.985, 0.5, "right", "center"),
    "top": (0.5, 0.985, "center", "top"),
    "bottom": (0.5, 0.015, "center", "bottom"),
}


def save_overlay(
    path: Path, rows: Sequence[ImageRow], pictures: Mapping[str, SlicePicture], schema: Schema, columns: int = 3
) -> None:
    """Save some rows as one PNG: slices in true proportions with letters at their edges, boxes, class names and the caption below.

    Without rows it holds a sentence.

    Args:
        path: of the PNG.
        rows: of the dataset.
        pictures: image id to the picture.
        schema: the class schema.
        columns: slices side by side.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = -(-len(rows) // columns) or 1
    figure = Figure(figsize=(4 * columns, 4.4 * lines), facecolor="black", layout="constrained")
    if not rows:
        figure.text(0.5, 0.5, "The dataset has no images.", color="white", ha="center")
    for number, row in enumerate(rows, 1):
        _draw_row(figure.add_subplot(lines, columns, number), row, pictures[row["image_id"]], schema)
    FigureCanvasAgg(figure)
    with atomic(path) as temporary:
        figure.savefig(temporary, dpi=RESOLUTION, metadata={"Software": None})


def _draw_row(axes: "Axes", row: ImageRow, picture: SlicePicture, schema: Schema) -> None:
    from matplotlib.patheffects import withStroke

    caption = grounded_first(row["captions"])[0]
    width, height = row["width"] * row["spacing_x"], row["height"] * row["spacing_y"]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture.uri.partition(",")[2]))).convert("RGB"))
    names = [schema.by_id[entity["class_id"]].name for entity in caption["entities"]]
    axes.imshow(pixels[..., picture.channel_of(names)], cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
    _draw_boxes(axes, row, caption, schema)
    for edge, (x, y, horizontal, vertical) in EDGES.items():
        letters = getattr(picture.edges, edge) if picture.edges else ""
        axes.text(
            x,
            y,
            letters,
            ha=horizontal,
            va=vertical,
            transform=axes.transAxes,
            color="white",
            fontsize=10,
            weight="bold",
        ).set_path_effects([withStroke(linewidth=2, foreground="black")])
    axes.set_title(_wrapped(caption["text"]), color="white", fontsize=9, y=0, pad=-4, va="top", loc="center")
    axes.set_axis_off()


def _draw_boxes(axes: "Axes", row: ImageRow, caption: CaptionStruct, schema: Schema) -> None:
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    for entity in caption["entities"]:
        colour = np.array(class_colour(entity["class_id"])) / 255
        x_min, x_max = entity["x_min"] * row["spacing_x"], entity["x_max"] * row["spacing_x"]
        y_min, y_max = entity["y_min"] * row["spacing_y"], entity["y_max"] * row["spacing_y"]
        axes.add_patch(
            Rectangle((x_min, y_min), x_max - x_min, y_max - y_min, fill=False, edgecolor=colour, linewidth=2)
        )
        label = axes.text(
            x_min, y_min - 4, schema.by_id[entity["class_id"]].english, color=colour, fontsize=8, clip_on=True
        )
        label.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, 56, max_lines=3))
