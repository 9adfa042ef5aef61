"""The results of trials as a table, one column a model, and as JSON."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

import numpy as np

from refrad.acceptance.labelled_item import LabelVerdict
from refrad.acceptance.trial import Level, Quality, best_level

__all__ = ["SiteAmount", "Trial", "format_trials", "summarize_trial"]

WIDTH = 60  # largest of the first column, letters
MOST_REASONS = 8  # lines of reasons of one kind


@dataclass(frozen=True)
class SiteAmount:
    """Requests of the site, in the unit of workflow/rates.yaml; `unknown` is the reason if they cannot be counted."""

    requests: int | None
    unit: str
    unknown: str = ""


@dataclass(frozen=True)
class Trial:
    """The results of one model. `price` is that of a million prompt and of a million answer tokens."""

    model: str
    endpoint: str
    quality: Quality
    levels: Sequence[Level]
    price: Sequence[float] | None = None


def summarize_trial(trial: Trial, amount: SiteAmount) -> dict[str, Any]:
    """All figures of a trial, for a file of JSON."""
    quality, usage = trial.quality, trial.quality.usage
    best, seconds = best_level(trial.levels), [used.seconds for used in usage] or [0.0]
    prompt, answer = (
        mean(part) if part else 0.0 for part in ([used[0] for used in usage], [used[1] for used in usage])
    )
    hours = amount.requests / best.throughput / 3600 if amount.requests is not None and best else None
    cost = None
    if trial.price is not None and amount.requests is not None:
        cost = amount.requests * (trial.price[0] * prompt + trial.price[1] * answer) / 1e6
    return {
        "model": trial.model,
        "endpoint": trial.endpoint,
        "outcomes": {
            language: _by_outcome(verdicts) | {"total": verdicts.total()}
            for language, verdicts in sorted(quality.verdicts.items())
        },
        "wrong": _reasons(quality.verdicts.values(), "wrong"),
        "refused": _reasons(quality.verdicts.values(), "refused"),
        "sent_again": dict(quality.sent_again.most_common()),
        "completions": quality.completions,
        "in_form": quality.in_form,
        "requests": len(usage),
        "prompt_tokens": sum(used.prompt_tokens for used in usage),
        "answer_tokens": sum(used.answer_tokens for used in usage),
        "prompt_tokens_a_request": prompt,
        "answer_tokens_a_request": answer,
        "latency": median(seconds),
        "latency_95": float(np.percentile(seconds, 95)),
        "levels": [asdict(level) for level in trial.levels],
        "concurrency": best.concurrency if best else None,
        "throughput": best.throughput if best else None,
        "site_requests": amount.requests,
        "site_unit": amount.unit,
        "site_unknown": amount.unknown or None,
        "site_hours": hours,
        "site_cost": cost,
    }


def format_trials(summaries: Sequence[dict[str, Any]]) -> str:
    """The summaries of one or two trials as lines of text, one column each."""
    columns = [_column(summary, summaries) for summary in summaries]
    labels = [label for label, _ in columns[0]]
    first = max(map(len, labels))
    width = max(len(cell) for column in columns for _, cell in column) + 2
    rows = zip(labels, *([cell for _, cell in column] for column in columns), strict=True)
    lines = [f"{label:<{first}}{''.join(f'{cell:>{width}}' for cell in cells)}".rstrip() for label, *cells in rows]
    site = summaries[0]
    if site["site_requests"] is None:
        lines.append(f"the hours are unknown: {site['site_unknown']}")
    else:
        lines.append(
            f"the hours are those of {site['site_requests']:,} {site['site_unit']}, as refrad plan counts them"
        )
    return "\n".join(lines)


def _column(summary: dict[str, Any], summaries: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    """Labels and cells of one model; the labels are the same for all."""
    levels = sorted({level["concurrency"] for each in summaries for level in each["levels"]})
    has_price = any(each["site_cost"] is not None for each in summaries)
    languages = sorted({language for each in summaries for language in each["outcomes"]})
    return [
        ("", summary["model"]),
        *((f"right, {language}", _share(summary["outcomes"].get(language))) for language in languages),
        *_counts("accepted, but wrong", "wrong", summary, summaries),
        *_counts("refused", "refused", summary, summaries),
        *_counts("sent again", "sent_again", summary, summaries),
        ("schema obeyed", f"{summary['in_form']:,} of {summary['completions']:,}"),
        ("prompt tokens a request", f"{summary['prompt_tokens_a_request']:,.0f}"),
        ("answer tokens a request", f"{summary['answer_tokens_a_request']:,.0f}"),
        ("tokens in all", f"{summary['prompt_tokens']:,} + {summary['answer_tokens']:,}"),
        ("seconds a request, median", f"{summary['latency']:.2f}"),
        ("seconds a request, 95th percentile", f"{summary['latency_95']:.2f}"),
        *((f"requests a second, {level} at once", _throughput(summary, level)) for level in levels),
        ("concurrency to set", str(summary["concurrency"] or "unknown")),
        ("hours for this site", _number(summary["site_hours"])),
        *([("cost for this site", _number(summary["site_cost"]))] if has_price else []),
    ]


def _counts(
    label: str, key: str, summary: dict[str, Any], summaries: Sequence[dict[str, Any]]
) -> Iterator[tuple[str, str]]:
    """The sum of some counts, and those of the most frequent reasons of all models."""
    yield label, f"{sum(summary[key].values()):,}"
    totals: Counter[str] = Counter()
    for each in summaries:
        totals.update(each[key])
    for reason, _ in totals.most_common(MOST_REASONS):
        yield _shorten(f"  {reason}"), f"{summary[key].get(reason, 0):,}"
    if (hidden := len(totals) - MOST_REASONS) > 0:
        yield f"  and {hidden} more reasons", ""


def _by_outcome(verdicts: Counter[LabelVerdict]) -> dict[str, int]:
    counts = dict.fromkeys(("right", "wrong", "refused"), 0)
    for verdict, number in verdicts.items():
        counts[verdict.outcome] += number
    return counts


def _reasons(verdicts: Iterable[Counter[LabelVerdict]], outcome: str) -> dict[str, int]:
    reasons: Counter[str] = Counter()
    for counts in verdicts:
        for verdict, number in counts.items():
            if verdict.outcome == outcome:
                reasons[verdict.reason] += number
    return dict(reasons.most_common())


def _share(outcomes: dict[str, int] | None) -> str:
    if outcomes is None:
        return "-"
    return f"{outcomes['right']} of {outcomes['total']} ({outcomes['right'] / max(outcomes['total'], 1):.0%})"


def _throughput(summary: dict[str, Any], concurrency: int) -> str:
    level = next((level for level in summary["levels"] if level["concurrency"] == concurrency), None)
    if level is None:
        return "-"
    return f"{level['throughput']:.2f}" + (f" (busy {level['busy']}x)" if level["busy"] else "")


def _number(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def _shorten(label: str) -> str:
    return label if len(label) < WIDTH else f"{label[: WIDTH - 2]}…"
