"""The state of a review in words, for the card and the terminal. Nobody is named."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from refrad.dataset.shard_io import read_class_names
from refrad.review.item_tables import ITEM_COLUMNS, tables_of_file
from refrad.review.judgement import VerdictHistory
from refrad.review.left_out import read_left_out
from refrad.review.review_statistics import ReviewerAgreement, ReviewSummary, SampledPrecision, summarize_review
from refrad.review.verdicts import open_verdicts

__all__ = ["describe_review", "write_section"]

UNKNOWN = {"caption": "none was judged in the random queue", "question": "the random queue draws captions"}
LEFT_OUT = {"caption": "left out, or without one of their phrases", "question": "left out"}


def write_section(
    files: Sequence[Path], left_out: Sequence[Path], total: Mapping[str, int], verdicts: Path | None, until: int | None
) -> str:
    """The section of the card about the review, as Markdown.

    Args:
        files: of the dataset.
        left_out: tables of what stage shards left out.
        total: items of the dataset, by kind: "caption" and "question".
        verdicts: file of the verdicts; None: there are none.
        until: number of the last verdict to use.
    """
    if verdicts is None:
        return "## Review\n\nNobody has reviewed the dataset: `refrad review` shows its pairs and keeps verdicts.\n"
    with open_verdicts(verdicts, writable=False) as store:
        judged = VerdictHistory(store.all(until=until)).counting()
    images = {verdict.image_id for verdict in judged.standing}
    tables = [tables_of_file(path, images).items for path in files] if images else []
    items = pl.concat([pl.DataFrame(schema=ITEM_COLUMNS), *tables])
    summary = summarize_review(judged, items, total, read_left_out(left_out), read_class_names(files[0]))
    return "\n".join(["## Review\n", *(f"- {line}" for line in describe_review(summary)), ""])


def describe_review(summary: ReviewSummary) -> Iterator[str]:
    """Lines of plain text, one statement a line."""
    for kind in summary.total:
        plural = f"{kind}s"
        yield (
            f"{plural.capitalize()}: {summary.reviewed[kind]:,} of {summary.total[kind]:,} reviewed;"
            f" {summary.left_out[kind]:,} {LEFT_OUT[kind]}{_waiting(summary.waiting[kind])}."
        )
        if kind in summary.precision:
            yield f"Precision of {plural} before the rejected ones left: {_precision(summary.precision[kind])}."
        elif summary.reviewed[kind]:
            yield f"Precision of {plural}: unknown, as {UNKNOWN[kind]}."
        if kind in summary.agreement:
            yield f"Agreement about {plural}: {_agreement(summary.agreement[kind])}."
    for label, estimate in summary.by_group.items():
        yield f"Precision of captions, {label}: {_precision(estimate)}."
    if summary.outdated:
        yield f"{summary.outdated:,} verdicts are on items that have changed since, or are gone: they have no effect."
    yield f"Reviewers: {summary.reviewers}."


def _waiting(count: int) -> str:
    return f", {count:,} more leave at the next run" if count else ""


def _precision(estimate: SampledPrecision) -> str:
    return (
        f"{estimate.share:.3f} (95 % interval {estimate.low:.3f} to {estimate.high:.3f}; {estimate.right:,} of {estimate.judged:,}"
        f" items of {estimate.patients:,} patients, drawn at random, are right)"
    )


def _agreement(agreement: ReviewerAgreement) -> str:
    share = agreement.same / agreement.pairs
    numbers = [
        f"{name} {value:.2f}"
        for name, value in (("Cohen's kappa", agreement.kappa), ("Krippendorff's alpha", agreement.alpha))
        if value is not None
    ]
    return f"{share:.0%} of {agreement.pairs:,} pairs of verdicts on {agreement.items:,} items ({', '.join(numbers) or 'all the same'})"
