"""Learning curves of a training as SVG: loss, loss of each task, metric, learning rate, gradient norm."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from markupsafe import Markup

__all__ = ["Chart", "Line", "curve", "learning_curves", "smoothed"]

Points = Sequence[tuple[float, float]]
StepLine = Mapping[str, Any]  # of steps.jsonl

DRAWN = 400  # points of a line, at most: the mean of as many steps as needed is one
WINDOW = 0.03  # share of the points that an exponential moving average covers
COLOURS = ("var(--accent)", "var(--aside)", "var(--used)", "var(--failed)", "var(--soft)")


class Line(NamedTuple):
    """A line of a chart: its name, its points (x, y), its colour in CSS, and whether it is dashed or faint."""

    name: str
    points: Points
    colour: str = COLOURS[0]
    dashed: bool = False
    faint: bool = False


class Chart(NamedTuple):
    """A chart: its heading, its SVG, its lines for a legend, and a sentence."""

    title: str
    svg: Markup
    lines: Sequence[Line]
    caption: str


def learning_curves(points: Sequence[Mapping[str, Any]], steps: Sequence[StepLine]) -> list[Chart]:
    """The charts of a training.

    Args:
        points: its learning curve, as training.json has it.
        steps: the lines of steps.jsonl, in order; none of a training of an earlier release.
    """
    charts = [_loss_chart(points, steps)]
    charts += _task_charts(points, steps)
    if scores := [(point["step"], point["score"]) for point in points if point.get("score") is not None]:
        lines = [Line("validation patients", scores, COLOURS[1])]
        charts.append(_chart("Metric of the best weights", "score", lines, "The highest point has the best weights."))
    if steps:
        rates = Line("learning rate", _series(steps, "learning_rate"))
        charts.append(
            _chart(
                "Learning rate",
                "learning rate",
                [rates],
                "Of all weights but those of a mask head, whose rate is a multiple of it.",
            )
        )
        norms = _series(steps, "grad_norm")
        lines = [Line(_each(len(steps)), norms, faint=True), Line("smoothed", smoothed(norms))]
        charts.append(_chart("Gradient norm", "gradient norm", lines, "Before clipping."))
    return charts


def _loss_chart(points: Sequence[Mapping[str, Any]], steps: Sequence[StepLine]) -> Chart:
    """Training and validation loss; without lines of steps the means between the points of the curve."""
    validation = [(point["step"], point["validation_loss"]) for point in points if point["validation_loss"] is not None]
    if steps:
        raw = _series(steps, "loss")
        lines = [Line(f"training, {_each(len(steps))}", raw, faint=True), Line("training, smoothed", smoothed(raw))]
    else:
        lines = [Line("training", [(point["step"], point["loss"]) for point in points])]
    if validation:
        lines.append(Line("validation patients", validation, COLOURS[1], dashed=True))
    skipped = sum(bool(step.get("skipped")) for step in steps)
    caption = (
        f"{skipped:,} skipped step{'s' * (skipped != 1)}: the gradient was no number."
        if skipped
        else "No step was skipped."
    )
    return _chart("Loss", "loss", lines, caption if steps else "")


def _task_charts(points: Sequence[Mapping[str, Any]], steps: Sequence[StepLine]) -> list[Chart]:
    """The loss of each task in training (full) and on validation patients (dashed), if there are several tasks."""
    tasks = sorted({task for step in steps for task in step.get("task") or ()})
    if len(tasks) < 2:
        return []
    lines = []
    for task, colour in zip(tasks, cycle(COLOURS), strict=False):
        lines.append(Line(task, smoothed(_series(steps, "task", task)), colour))
        validation = [
            (point["step"], loss) for point in points if (loss := point.get("task_losses", {}).get(task)) is not None
        ]
        if validation:
            lines.append(Line(f"{task}, validation", validation, colour, dashed=True))
    return [
        _chart("Loss of each task", "loss", lines, "Full lines: training, smoothed. Dashed lines: validation patients.")
    ]


def _each(steps: int) -> str:
    """What a point of a line of `_series` is."""
    size = -(-steps // DRAWN)
    return "each step" if size < 2 else f"means of {size:,} steps"


def _series(steps: Iterable[StepLine], *keys: str) -> list[tuple[float, float]]:
    """Step and the value under nested keys, where there is one; of long series the means of consecutive values."""
    series = []
    for step in steps:
        value: Any = step
        for key in keys:
            value = (value or {}).get(key)
        if value is not None:
            series.append((float(step["step"]), value))
    size = -(-len(series) // DRAWN) or 1
    parts = (series[first : first + size] for first in range(0, len(series), size))
    return [(part[-1][0], sum(value for _, value in part) / len(part)) for part in parts]


def smoothed(points: Points) -> list[tuple[float, float]]:
    """The exponential moving average of the points of a line, over about WINDOW of them and at least three; unbiased at its start."""
    covered = max(WINDOW * len(points), 3.0)
    decay, total, weight, averages = 1 - 1 / covered, 0.0, 0.0, []
    for x, y in points:
        total, weight = decay * total + (1 - decay) * y, decay * weight + (1 - decay)
        averages.append((x, total / weight))
    return averages


def _chart(title: str, y_label: str, lines: Sequence[Line], caption: str) -> Chart:
    return Chart(title, curve(lines, "step", y_label), lines, caption)


def _label(value: float) -> str:
    """1,234 or 12.3, or 1.2e-3 for values that would not fit next to an axis."""
    if 0 < value < 0.01:
        return f"{value:.1e}".replace("e-0", "e-")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def curve(lines: Sequence[Line], x_label: str, y_label: str, width: int = 640, height: int = 260) -> Markup:
    """Lines as an SVG from y = 0 up, each with a name."""
    points = [point for line in lines for point in line.points]
    x_max, y_max = max((x for x, _ in points), default=0) or 1, max((y for _, y in points), default=0) or 1
    left, top, right, bottom = 66, 26, 24, 40

    def at(x: float, y: float) -> tuple[str, str]:
        across, down = left + (width - left - right) * x / x_max, top + (height - top - bottom) * (1 - y / y_max)
        return f"{across:.1f}", f"{down:.1f}"

    names = f"Curves of {y_label} over {x_label}: {', '.join(line.name for line in lines)}"
    parts = [Markup('<svg class="curve" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, names)]
    parts.append(Markup('<text x="4" y="14">{}</text>').format(y_label))
    for share in (0, 0.5, 1):
        x, y = at(share * x_max, share * y_max)
        parts.append(Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="grid"/>').format(left, y, width - right, y))
        label = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
        parts.append(label.format(left - 6, float(y) + 4, "end", _label(share * y_max)))
        parts.append(label.format(x, height - bottom + 16, "middle", f"{share * x_max:,.4g}"))
    for line in lines:
        path = " ".join(",".join(at(x, y)) for x, y in line.points)
        style = "faint" if line.faint else "dashed" if line.dashed else ""
        polyline = Markup('<polyline points="{}" class="{}" style="stroke:{}"><title>{}</title></polyline>')
        parts.append(polyline.format(path, style, line.colour, line.name))
    parts.append(
        Markup('<text x="{}" y="{}" text-anchor="end">{}</text></svg>').format(width - right, height - 6, x_label)
    )
    return Markup("").join(parts)
