"""What the verdicts say about the dataset: how much is reviewed, its precision, and whether reviewers agree."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from refrad.evaluation.metrics.agreement import krippendorff_alpha
from refrad.review.judgement import ITEMS, CountingVerdicts, ItemKey, ReviewVerdict

__all__ = [
    "ReviewSummary",
    "ReviewerAgreement",
    "SampledPrecision",
    "agreement_of",
    "cohen_kappa",
    "precision_of_sample",
    "summarize_review",
]

LEAST = 20  # judged items of a class or modality that have a line
Z = 1.959963984540054  # of a two-sided interval of 95 %


@dataclass(frozen=True)
class SampledPrecision:
    """Share of right items among the judged ones of the random queue, and its 95 % interval; `patients` they come from."""

    right: int
    judged: int
    patients: int
    low: float
    high: float

    @property
    def share(self) -> float:
        """The estimate."""
        return self.right / self.judged


@dataclass(frozen=True)
class ReviewerAgreement:
    """Of the items of the random queue that several reviewers judged.

    Attributes:
        items: how many there are.
        pairs: pairs of verdicts on the same item.
        same: pairs of which both accept or both reject.
        kappa: Cohen's kappa of two reviewers; None for others, or if it is not defined.
        alpha: Krippendorff's alpha (nominal); None if it is not defined, as where all verdicts are the same.
    """

    items: int
    pairs: int
    same: int
    kappa: float | None
    alpha: float | None


@dataclass(frozen=True)
class ReviewSummary:
    """The state of the review. Keys of mappings are "caption" and "question".

    Attributes:
        total: items in the dataset, and what was left out.
        reviewed: items that are judged as they are, or as they were when they were left out.
        left_out: items that the last run left out, or took a phrase from, because of verdicts.
        waiting: items that a verdict rejects and that are still in the dataset: they leave at the next run.
        outdated: verdicts on items that have changed since, or are gone for another reason; they have no effect.
        reviewers: people who gave verdicts that count.
        precision: of the random queue, by kind.
        by_group: of captions, by "modality CT", "class liver", for groups with LEAST judged items.
        agreement: by kind; kinds that nobody else judged again are absent.
    """

    total: Mapping[str, int]
    reviewed: Mapping[str, int]
    left_out: Mapping[str, int]
    waiting: Mapping[str, int]
    outdated: int
    reviewers: int
    precision: Mapping[str, SampledPrecision] = field(default_factory=dict)
    by_group: Mapping[str, SampledPrecision] = field(default_factory=dict)
    agreement: Mapping[str, ReviewerAgreement] = field(default_factory=dict)


def summarize_review(
    verdicts: CountingVerdicts,
    items: pl.DataFrame,
    total: Mapping[str, int],
    left_out: pl.DataFrame,
    names: Mapping[int, str],
) -> ReviewSummary:
    """The state of a review.

    Args:
        verdicts: those that count.
        items: items of the dataset, all or those of images with verdicts: `image_id`, `item`, `item_id`, `digest`, `patient`,
            `modality`, `classes`.
        total: items of the dataset, by kind.
        left_out: `LeftOutTable`: what the last run left out.
        names: of the classes.
    """
    columns = ["image_id", "item", "item_id", "digest", "patient", "modality", "classes"]
    gone = {row[:4]: row[4:] for row in left_out.select(columns).iter_rows()}
    concerned = items.lazy().select(columns)
    for position, name in ((0, "image_id"), (2, "item_id")):
        named = pl.Series(
            list({key[position] for key in (*gone, *(verdict.key for verdict in verdicts.standing))}), dtype=pl.String
        )
        concerned = concerned.filter(pl.col(name).is_in(named.implode()))
    present_items = concerned.collect()
    values = zip(*(present_items[name].to_list() for name in columns), strict=True)  # faster than rows
    present = {row[:4]: row[4:] for row in values}
    facts = gone | present
    staying = {key[:3] for key in present}
    counting = [verdict for verdict in verdicts.standing if verdict.key in facts]
    rejected = {verdict.key for verdict in counting if verdict.verdict != "accept"}
    sample = [verdict for verdict in verdicts.sample if verdict.key in facts]
    outcomes = _outcomes(sample)
    groups: dict[str, list[tuple[str, bool]]] = {}
    for key, right in outcomes.items():
        patient, modality, classes = facts[key]
        labels = [key[1]]
        if key[1] == "caption":
            labels += [f"modality {modality}", *(f"class {names.get(number, number)}" for number in classes)]
        for label in labels:
            groups.setdefault(label, []).append((patient, right))
    precision = {label: precision_of_sample(rows) for label, rows in groups.items()}
    return ReviewSummary(
        total={
            kind: total.get(kind, 0) + _count({key for key in gone if key[:3] not in staying}, kind) for kind in ITEMS
        },
        reviewed={kind: _count({verdict.key for verdict in counting}, kind) for kind in ITEMS},
        left_out={kind: _count(gone, kind) for kind in ITEMS},
        waiting={kind: _count(rejected & present.keys(), kind) for kind in ITEMS},
        outdated=len({(verdict.key, verdict.reviewer) for verdict in verdicts.standing if verdict.key not in facts}),
        reviewers=len({verdict.reviewer for verdict in counting}),
        precision={kind: precision[kind] for kind in ITEMS if kind in precision},
        by_group={
            label: estimate
            for label, estimate in sorted(precision.items())
            if label not in ITEMS and estimate.judged >= LEAST
        },
        agreement={
            kind: agreement
            for kind in ITEMS
            if (agreement := agreement_of([verdict for verdict in sample if verdict.item == kind])) is not None
        },
    )


def _count(keys: Iterable[ItemKey], kind: str) -> int:
    return sum(key[1] == kind for key in keys)


def _outcomes(sample: Iterable[ReviewVerdict]) -> dict[ItemKey, bool]:
    """Item to whether all reviewers accept it. An item that lost a phrase and was judged again is one item: a wrong one."""
    right: dict[ItemKey, bool] = {}
    for verdict in sample:
        right[verdict.key] = right.get(verdict.key, True) and verdict.verdict == "accept"
    states: dict[tuple[str, str, str], ItemKey] = {}
    for key in right:
        former = states.get(key[:3])
        if former is None or (right[former] and not right[key]):
            states[key[:3]] = key
    return {key: right[key] for key in states.values()}


def precision_of_sample(rows: Sequence[tuple[str, bool]]) -> SampledPrecision:
    """The share of right items and its 95 % Wilson interval (Wilson 1927), as wide as items of the same patient need it.

    Items of a patient resemble each other. The number of items is divided by the design effect, the variance of the share between
    patients over that of independent items (Kish 1965), before the interval is computed (Dean and Pagano 2015); it is at least 1.

    Args:
        rows: patient and whether the item is right.

    Raises:
        ValueError: if there are no rows.
    """
    if not rows:
        raise ValueError("no precision without a judged item")
    right: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    for patient, is_right in rows:
        right[patient] += is_right
        sizes[patient] += 1
    judged = len(rows)
    share = sum(right.values()) / judged
    effective = judged / _design_effect([right[name] for name in sizes], list(sizes.values()))
    middle = (share + Z**2 / (2 * effective)) / (1 + Z**2 / effective)
    half = Z / (1 + Z**2 / effective) * np.sqrt(share * (1 - share) / effective + Z**2 / (4 * effective**2))
    low, high = max(0.0, float(middle - half)), min(1.0, float(middle + half))
    return SampledPrecision(sum(right.values()), judged, len(sizes), low, high)


def _design_effect(right: ArrayLike, sizes: ArrayLike) -> float:
    """How many times the variance of a share is that of independent items, from right and all items of each patient; at least 1."""
    hits, counts = np.asarray(right, np.float64), np.asarray(sizes, np.float64)
    judged, patients = counts.sum(), len(counts)
    share = hits.sum() / judged
    if patients < 2 or share in (0.0, 1.0):
        return 1.0
    between = patients / (patients - 1) * ((hits - share * counts) ** 2).sum() / judged**2
    independent = share * (1 - share) / (judged - 1)
    return max(1.0, float(between / independent))


def agreement_of(sample: Iterable[ReviewVerdict]) -> ReviewerAgreement | None:
    """The agreement of reviewers about whether an item is right; None where no item has verdicts of two.

    Args:
        sample: verdicts that count, of items of one kind.
    """
    ratings: dict[ItemKey, dict[str, bool]] = {}
    for verdict in sample:
        of_item = ratings.setdefault(verdict.key, {})
        of_item[verdict.reviewer] = of_item.get(verdict.reviewer, True) and verdict.verdict == "accept"
    ratings = {key: of_item for key, of_item in ratings.items() if len(of_item) > 1}
    if not ratings:
        return None
    reviewers = sorted({name for of_item in ratings.values() for name in of_item})
    table = np.array([[float(of_item.get(name, np.nan)) for of_item in ratings.values()] for name in reviewers])
    pairs = [pair for of_item in ratings.values() for pair in combinations(of_item.values(), 2)]
    alpha = krippendorff_alpha(table, "nominal")
    kappa = cohen_kappa(table[0], table[1]) if len(reviewers) == 2 else float("nan")
    return ReviewerAgreement(len(ratings), len(pairs), sum(a == b for a, b in pairs), _defined(kappa), _defined(alpha))


def cohen_kappa(first: ArrayLike, second: ArrayLike) -> float:
    """Cohen's kappa (1960) of two raters: agreement beyond that of chance; NaN where chance alone agrees always.

    Args:
        first: ratings of the items, float [items].
        second: the other rater's, the same shape.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    observed = float((a == b).mean())
    chance = sum(float((a == value).mean() * (b == value).mean()) for value in np.union1d(a, b))
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def _defined(value: float) -> float | None:
    return None if np.isnan(value) else value
