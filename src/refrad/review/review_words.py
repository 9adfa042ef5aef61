"""The state of a review in words: for the card and for the terminal. Nobody is named."""

from collections.abc import Iterator

from refrad.review.review_statistics import Agreement, ReviewSummary, SampledPrecision

__all__ = ["describe_review"]


def describe_review(summary: ReviewSummary) -> Iterator[str]:
    """Lines of plain text, one statement a line."""
    for kind in summary.total:
        plural = f"{kind}s"
        yield (
            f"{plural.capitalize()}: {summary.reviewed[kind]:,} of {summary.total[kind]:,} reviewed;"
            f" {summary.left_out[kind]:,} left out or without one of their phrases after review{_waiting(summary.waiting[kind])}."
        )
        if kind in summary.precision:
            yield f"Precision of {plural} before the rejected ones left: {_precision(summary.precision[kind])}."
        elif summary.reviewed[kind]:
            yield f"Precision of {plural}: unknown, as none was judged in the random queue."
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


def _agreement(agreement: Agreement) -> str:
    share = agreement.same / agreement.pairs
    numbers = [
        f"{name} {value:.2f}"
        for name, value in (("Cohen's kappa", agreement.kappa), ("Krippendorff's alpha", agreement.alpha))
        if value is not None
    ]
    return f"{share:.0%} of {agreement.pairs:,} pairs of verdicts on {agreement.items:,} items ({', '.join(numbers) or 'all the same'})"
