"""Self-contained HTML pages: no script, no font, no picture from elsewhere."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from refrad.reporting.evaluation_page import compare_with_baselines
from refrad.reporting.gallery import ImageCard, filters_of_cards
from refrad.reporting.sentence_index import SentenceSample
from refrad.reporting.wording import REASONS, STAGES
from refrad.workflow.tally import StageMetrics

__all__ = ["StageExtras", "curve", "loss_curve", "pretty_fingerprint", "render", "render_gallery", "render_stage"]


@dataclass(frozen=True)
class StageExtras:
    """Content of a stage page in addition to its counts: pictures, tables and curves; an empty one has no section."""

    figures: Sequence[Mapping[str, str]] = ()
    sheet: Mapping[str, str] | None = None
    cards: Sequence[ImageCard] = ()
    curve: Markup | None = None
    samples: Sequence[SentenceSample] = ()
    steps: Sequence[tuple[str, int]] = ()


@cache
def _environment() -> Environment:
    # Autoescape: sentences of reports are data, never HTML.
    environment = Environment(
        loader=PackageLoader("refrad.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"STAGES": STAGES, "REASONS": REASONS, "compare_with_baselines": compare_with_baselines}
    environment.filters |= {"number": _number, "seconds": _seconds, "words": lambda text: text.replace("_", " ")}
    environment.filters |= {"in_order": in_order, "in_words": lambda rows: [(k.replace("_", " "), v) for k, v in rows]}
    return environment


def render(template: str, **values: Any) -> str:
    """A page from a template of this package; a value that the template misses raises."""
    return _environment().get_template(template).render(**values)


def render_stage(
    stage: str,
    metrics: StageMetrics,
    jobs: Sequence[tuple[str, StageMetrics]],
    extras: StageExtras,
    stages: Sequence[str],
) -> str:
    """The page of a stage.

    Args:
        stage: its name.
        metrics: its counts over all jobs.
        jobs: delivery/shard and the metrics of each job.
        extras: pictures and tables of this stage.
        stages: the stages that have a page, for the links.
    """
    return render(
        "stage.html",
        title=stage,
        up="../",
        there=stages,
        metrics=metrics,
        shards=jobs,
        made_with=pretty_fingerprint(metrics),
        **vars(extras),
    )


def render_gallery(cards: Sequence[ImageCard], windows: Sequence[Sequence[float]], stages: Sequence[str]) -> str:
    """The gallery with its filters; `windows` are width and level of the three channels, HU."""
    return render(
        "gallery.html",
        title="Gallery",
        up="",
        there=stages,
        cards=cards,
        filters=filters_of_cards(cards),
        windows=windows,
        classes=sorted({chip.class_id for card in cards for chip in card.chips}),
    )


def pretty_fingerprint(metrics: StageMetrics | Mapping[str, Any]) -> str:
    """The fingerprint of a metrics file as indented JSON."""
    return json.dumps(json.loads(metrics["fingerprint"]), indent=2, ensure_ascii=False)


def loss_curve(points: Sequence[Mapping[str, Any]]) -> Markup:
    """The training loss, and the validation loss where it was measured, over the seconds of training."""
    lines = [("training", [(point["seconds"], point["loss"]) for point in points])]
    validation = [
        (point["seconds"], point["validation_loss"]) for point in points if point["validation_loss"] is not None
    ]
    return curve([*lines, ("validation patients", validation)] if validation else lines, "seconds")


def _number(value: float) -> str:
    """12,345 or 0.123."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value and float(value).is_integer() else f"{value:,.3f}"


def in_order(rows: Mapping[str, float]) -> list[tuple[str, float]]:
    """Bins of a histogram ("0.5 to 1", "from 10") by their edges, other rows by their numbers, the largest first."""
    edges = {name: re.match(r"(?:from )?([\d.]+)(?: to |$)", name) for name in rows}
    if all(edges.values()) and any(" to " in name for name in rows):
        return sorted(rows.items(), key=lambda row: (row[0].startswith("from"), float((edges[row[0]] or [0, 0])[1])))
    return sorted(rows.items(), key=lambda row: -row[1])


def _seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms" if value >= 0.01 else f"{1000 * value:.1f} ms"
    return f"{value / 3600:.1f} h" if value >= 3600 else f"{value / 60:.1f} min" if value >= 90 else f"{value:.1f} s"


def curve(
    lines: Sequence[tuple[str, Sequence[tuple[float, float]]]], x_label: str, width: int = 640, height: int = 240
) -> Markup:
    """Lines of (x, y) points as an SVG from y = 0 up, each with a name; the first is drawn full, later ones dashed."""
    points = [point for _, line in lines for point in line]
    x_max, y_max = max(x for x, _ in points) or 1, max(y for _, y in points) or 1
    left, bottom = 44, 34

    def at(x: float, y: float) -> str:
        return f"{left + (width - left - 8) * x / x_max:.1f},{8 + (height - bottom - 8) * (1 - y / y_max):.1f}"

    parts = [
        Markup('<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            width, height, "Curves of " + ", ".join(name for name, _ in lines)
        )
    ]
    for share in (0, 0.5, 1):
        x, y = at(0, share * y_max).split(",")
        parts.append(Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="grid"/>').format(x, y, width - 8, y))
        parts.append(
            Markup('<text x="{}" y="{}" text-anchor="end">{:.2f}</text>').format(left - 6, float(y) + 4, share * y_max)
        )
    for number, (name, line) in enumerate(lines):
        path = " ".join(at(x, y) for x, y in line)
        parts.append(
            Markup('<polyline points="{}" class="line{}"><title>{}</title></polyline>').format(path, number, name)
        )
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{} (0 to {:g})</text></svg>').format(
            width - 8, height - 8, x_label, x_max
        )
    )
    return Markup("").join(parts)
