"""Self-contained HTML pages: no script, no font, no picture from elsewhere."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment

from refrad.dataset.shard_rows import QuestionStruct
from refrad.reporting.bins import in_order
from refrad.reporting.card_pictures import CHANNELS
from refrad.reporting.evaluation_page import caption_bars, compare_with_baselines
from refrad.reporting.gallery import ImageCard, filters_of_cards
from refrad.reporting.learning_curves import Chart
from refrad.reporting.sentence_index import SentenceSample
from refrad.reporting.templating import page_environment
from refrad.reporting.views import VolumeFigure
from refrad.reporting.wording import METRIC_NAMES, REASONS, STAGES, TABLE_TITLES, TASK_NAMES
from refrad.workflow.tally import StageMetrics

__all__ = ["StageExtras", "fingerprint_rows", "render", "render_gallery", "render_stage"]


@dataclass(frozen=True)
class StageExtras:
    """Content of a stage page in addition to its counts: pictures, tables and curves; an empty one has no section."""

    figures: Sequence[VolumeFigure] = ()
    sheet: VolumeFigure | None = None
    cards: Sequence[ImageCard] = ()
    charts: Sequence[Chart] = ()
    hint: str = ""
    captions: Sequence[SentenceSample] = ()
    samples: Sequence[SentenceSample] = ()
    questions: Sequence[tuple[str, QuestionStruct]] = ()
    steps: Sequence[tuple[str, Sequence[tuple[str, int]]]] = ()


@cache
def _environment() -> Environment:
    environment = page_environment("refrad.reporting")
    environment.globals |= {"STAGES": STAGES, "REASONS": REASONS, "TASKS": TASK_NAMES}
    environment.globals |= {"caption_bars": caption_bars, "compare_with_baselines": compare_with_baselines}
    environment.filters |= {"number": _number, "seconds": _seconds, "words": lambda text: text.replace("_", " ")}
    environment.filters |= {
        "metric_words": METRIC_NAMES.__getitem__,
        "sentence_case": lambda text: text[:1].upper() + text[1:],
    }
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
        made=fingerprint_rows(metrics),
        titles=TABLE_TITLES.get(stage, {}),
        **vars(extras),
    )


def render_gallery(cards: Sequence[ImageCard], stages: Sequence[str]) -> str:
    """The gallery with its filters."""
    first: dict[str, int] = {}
    return render(
        "gallery.html",
        title="Gallery",
        up="",
        there=stages,
        cards=cards,
        firsts=[first.setdefault(card.picture.uri, number) for number, card in enumerate(cards)],
        filters=filters_of_cards(cards),
        channels=CHANNELS,
        classes=sorted({chip.class_id for card in cards for chip in card.chips}),
    )


def fingerprint_rows(metrics: StageMetrics | Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fingerprint of a metrics file as names and values: the release of the stage, its options, then digests of files and models."""
    fingerprint = json.loads(metrics["fingerprint"])
    version, options = fingerprint.pop("version"), fingerprint.pop("options")
    fingerprint.pop("stage")
    return [("version of the stage", str(version)), *_flat(options), *_flat(fingerprint)]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and values of a nested mapping."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            simple = isinstance(value, list) and not any(isinstance(entry, list | dict) for entry in value)
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            yield (
                f"{prefix}{name}",
                (", ".join(map(str, value)) or "none") if simple else "none" if value == {} else text,
            )


def _number(value: float) -> str:
    """12,345 or 0.123."""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value and float(value).is_integer() else f"{value:,.3f}"


def _seconds(value: float) -> str:
    if value < 1:
        return f"{1000 * value:.0f} ms" if value >= 0.01 else f"{1000 * value:.1f} ms"
    return f"{value / 3600:.1f} h" if value >= 3600 else f"{value / 60:.1f} min" if value >= 90 else f"{value:.1f} s"
