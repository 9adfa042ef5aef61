"""Some rows of the shards as one picture."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.core.files import atomic
from refrad.dataset.shard_rows import ImageRow
from refrad.reporting.drawing import class_colour
from refrad.reporting.gallery import soft_tissue_image

__all__ = ["save_overlay"]


def save_overlay(path: Path, rows: Sequence[ImageRow], schema: Schema, columns: int = 3) -> None:
    """Save some rows as one PNG: slices in true proportions with boxes, class names and the caption below; or a sentence."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    lines = -(-len(rows) // columns) or 1
    figure = Figure(figsize=(4 * columns, 4.4 * lines), facecolor="black", layout="constrained")
    if not rows:
        figure.text(0.5, 0.5, "The dataset has no images.", color="white", ha="center")
    for number, row in enumerate(rows, 1):
        caption = row["captions"][0]
        axes = figure.add_subplot(lines, columns, number)
        width, height = row["width"] * row["spacing_x"], row["height"] * row["spacing_y"]
        axes.imshow(np.asarray(soft_tissue_image(row)), cmap="gray", extent=(0, width, height, 0))
        for entity in caption["entities"]:
            colour = np.array(class_colour(entity["class_id"])) / 255
            x_min, x_max = (entity[key] * row["spacing_x"] for key in ("x_min", "x_max"))
            y_min, y_max = (entity[key] * row["spacing_y"] for key in ("y_min", "y_max"))
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
    return "\n".join(textwrap.wrap(text, 56, max_lines=3))
