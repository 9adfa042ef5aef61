"""The results of trials as a table, one column a model, and as JSON."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import mean, median
from typing import Any

import numpy as np

from refrad.acceptance.labelled_item import LabelVerdict
from refrad.acceptance.trial import Level, Quality, best_level

__all__ = ["SiteAmount", "Trial", "format_trials", "summarize_trial"]

WIDTH = 60  # of the first column, letters
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
        "sent_back": dict(quality.sent_back.most_common()),
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
    width = max(20, *(len(summary["model"]) + 2 for summary in summaries))
    lines: list[str] = []

    def add(label: str, cell: Callable[[dict[str, Any]], str]) -> None:
        lines.append(f"{label:<{WIDTH}}" + "".join(f"{cell(summary):>{width}}" for summary in summaries))

    def add_counts(label: str, key: str) -> None:
        add(label, lambda summary: f"{sum(summary[key].values()):,}")
        totals: Counter[str] = Counter()
        for summary in summaries:
            totals.update(summary[key])
        for reason, _ in totals.most_common(MOST_REASONS):
            add(_shorten(f"  {reason}"), lambda summary, reason=reason: f"{summary[key].get(reason, 0):,}")  # type: ignore[misc]
        if hidden := len(totals) - MOST_REASONS:
            lines.extend([f"  and {hidden} more reasons"] if hidden > 0 else [])

    add("", lambda summary: summary["model"])
    for language in summaries[0]["outcomes"]:
        add(f"right, {language}", lambda summary, language=language: _share(summary["outcomes"][language]))  # type: ignore[misc]
    add_counts("accepted, but wrong", "wrong")
    add_counts("refused", "refused")
    add_counts("sent back once", "sent_back")
    add("schema obeyed", lambda summary: f"{summary['in_form']:,} of {summary['completions']:,}")
    add("prompt tokens a request", lambda summary: f"{summary['prompt_tokens_a_request']:,.0f}")
    add("answer tokens a request", lambda summary: f"{summary['answer_tokens_a_request']:,.0f}")
    add("tokens in all", lambda summary: f"{summary['prompt_tokens']:,} + {summary['answer_tokens']:,}")
    add("seconds a request, median", lambda summary: f"{summary['latency']:.2f}")
    add("seconds a request, 95th percentile", lambda summary: f"{summary['latency_95']:.2f}")
    for concurrency in sorted({level["concurrency"] for summary in summaries for level in summary["levels"]}):
        add(f"requests a second, {concurrency} at once", lambda summary, at=concurrency: _throughput(summary, at))  # type: ignore[misc]
    add("concurrency to set", lambda summary: str(summary["concurrency"] or "unknown"))
    add("hours for this site", lambda summary: _hours(summary))
    if any(summary["site_cost"] is not None for summary in summaries):
        add("cost for this site", lambda summary: f"{summary['site_cost'] or 0:,.2f}")
    site = summaries[0]
    if site["site_requests"] is None:
        lines.append(f"the hours are unknown: {site['site_unknown']}")
    else:
        lines.append(
            f"the hours are those of {site['site_requests']:,} {site['site_unit']}, as refrad plan counts them"
        )
    return "\n".join(line.rstrip() for line in lines)


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


def _share(outcomes: dict[str, int]) -> str:
    return f"{outcomes['right']} of {outcomes['total']} ({outcomes['right'] / max(outcomes['total'], 1):.0%})"


def _throughput(summary: dict[str, Any], concurrency: int) -> str:
    level = next((level for level in summary["levels"] if level["concurrency"] == concurrency), None)
    if level is None:
        return "-"
    return f"{level['throughput']:.2f}" + (f" (busy {level['busy']}x)" if level["busy"] else "")


def _hours(summary: dict[str, Any]) -> str:
    hours = summary["site_hours"]
    return "unknown" if hours is None else f"{hours:,.1f}" if hours >= 1 else f"{hours:.2g}"


def _shorten(label: str) -> str:
    return label if len(label) < WIDTH else f"{label[: WIDTH - 2]}…"
