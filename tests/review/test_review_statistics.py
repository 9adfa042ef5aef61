"""Precision, intervals and agreement of a review."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from refrad.core.tables import frame_of
from refrad.review.judgement import ReviewVerdict, VerdictHistory
from refrad.review.left_out import LeftOutTable
from refrad.review.review_statistics import agreement_of, cohen_kappa, precision_of_sample, summarize_review
from refrad.review.review_words import describe_review

BASE = ReviewVerdict(
    reviewer="AB", delivery="d", shard=0, patient="0f", image_id="i0", item="caption", item_id="c0", verdict="accept",
    digest="d0", queue="random",
)  # fmt: skip
NAMES = {5: "liver", 1: "spleen"}


def verdict(number, answer="accept", **changes):
    return replace(BASE, image_id=f"i{number}", item_id=f"c{number}", digest=f"d{number}", verdict=answer, **changes)


def item(number, **changes):
    row = {
        "image_id": f"i{number}",
        "item": "caption",
        "item_id": f"c{number}",
        "digest": f"d{number}",
        "patient": f"p{number}",
        "modality": "CT",
        "classes": [5],
    }
    return row | changes


def left_row(number, **changes):
    more = {"volume": "v", "study": "s", "split": "train", "plane": None, "index": 0, "language": "de", "text": "x"}
    return item(number) | more | {"verdict": "reject"} | changes


def summary_of(verdicts, items, left_out=()):
    frame = pl.DataFrame(list(items), schema_overrides={"classes": pl.List(pl.Int16)})
    total = {"caption": sum(row["item"] == "caption" for row in items), "question": 0}
    return summarize_review(VerdictHistory(verdicts).counting(), frame, total, frame_of(left_out, LeftOutTable), NAMES)


@given(st.integers(1, 300), st.data())
def test_interval_of_independent_items_is_wilsons(judged, data):
    right = data.draw(st.integers(0, judged))
    estimate = precision_of_sample([(f"p{number}", number < right) for number in range(judged)])
    expected = binomtest(right, judged).proportion_ci(0.95, method="wilson")
    assert (estimate.low, estimate.high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert estimate.right == right and estimate.patients == judged


def test_interval_is_wider_where_a_patients_items_are_alike():
    alike = precision_of_sample([(f"p{number // 10}", number < 80) for number in range(100)])
    apart = precision_of_sample([(f"p{number}", number < 80) for number in range(100)])
    # Ten patients who are right or wrong as a whole are worth ten items.
    ten = binomtest(8, 10).proportion_ci(0.95, method="wilson")
    assert alike.share == apart.share == 0.8
    assert (alike.low, alike.high) == pytest.approx((ten.low, ten.high), abs=0.02)
    assert apart.high - apart.low < alike.high - alike.low


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(400):
        patients = rng.beta(8, 2, 40)
        rows = [(f"p{number}", bool(rng.random() < p)) for number, p in enumerate(patients) for _ in range(5)]
        estimate = precision_of_sample(rows)
        hits += estimate.low <= 0.8 <= estimate.high
    assert 0.92 <= hits / 400 <= 0.99


def test_kappa_is_that_of_cohens_example():
    # Cohen (1960), table 1: proportions of agreement of two judges on three categories, kappa 0.492.
    table = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    first, second = (np.repeat(axis, table.ravel()) for axis in np.indices((3, 3)).reshape(2, -1))
    assert cohen_kappa(first, second) == pytest.approx(0.492, abs=0.001)
    assert np.isnan(cohen_kappa([1, 1], [1, 1]))


def test_agreement_counts_items_that_several_judged():
    verdicts = [verdict(number, "reject" if number < 2 else "accept") for number in range(6)]
    verdicts += [verdict(number, "reject" if number in (0, 2) else "accept", reviewer="CD") for number in range(4)]
    agreement = agreement_of(verdicts)
    assert (agreement.items, agreement.pairs, agreement.same) == (4, 4, 2)
    assert agreement.kappa == pytest.approx(0.0) and agreement.alpha == pytest.approx(1 - 7 * 2 / 16, abs=1e-9)
    assert agreement_of(verdicts[:6]) is None
    assert agreement_of([verdict(0), verdict(0, reviewer="CD")]).alpha is None


def test_precision_is_of_the_random_queue_alone():
    verdicts = [verdict(0), verdict(1, "reject"), verdict(2, "reject", queue="browse"), verdict(3, queue="browse")]
    summary = summary_of(verdicts, [item(number) for number in range(10)])
    assert (summary.precision["caption"].right, summary.precision["caption"].judged) == (1, 2)
    assert summary.reviewed == {"caption": 4, "question": 0} and summary.waiting["caption"] == 2
    assert summary.total["caption"] == 10 and summary.reviewers == 1


def test_correction_while_browsing_counts_for_the_queue():
    summary = summary_of([verdict(0), verdict(0, "wrong_box", queue="browse", entity=0)], [item(0)])
    assert (summary.precision["caption"].right, summary.precision["caption"].judged) == (0, 1)


def test_rejected_items_count_after_they_have_left():
    verdicts = [verdict(number, "reject" if number == 0 else "accept") for number in range(4)]
    before = summary_of(verdicts, [item(number) for number in range(8)])
    after = summary_of(verdicts, [item(number) for number in range(1, 8)], [left_row(0)])
    assert after.precision == before.precision and after.total == before.total
    assert (after.left_out["caption"], after.waiting["caption"], after.outdated) == (1, 0, 0)


def test_verdicts_on_changed_or_missing_items_are_counted_apart():
    verdicts = [verdict(0, "reject"), verdict(1, "reject"), verdict(2)]
    summary = summary_of(verdicts, [item(0, digest="changed"), item(2)])
    assert summary.outdated == 2 and summary.reviewed["caption"] == 1 and summary.waiting["caption"] == 0
    assert any("2 verdicts are on items that have changed since" in line for line in describe_review(summary))


def test_item_that_lost_a_phrase_and_was_accepted_counts_once_as_wrong():
    verdicts = [verdict(0, "wrong_box", entity=0), verdict(0)]
    verdicts[1] = replace(verdicts[1], digest="less")
    summary = summary_of(verdicts, [item(0, digest="less"), item(1)], [left_row(0, verdict="wrong_box")])
    assert (summary.precision["caption"].right, summary.precision["caption"].judged) == (0, 1)
    assert summary.total["caption"] == 2


def test_groups_with_few_judged_items_have_no_line():
    verdicts = [verdict(number) for number in range(25)]
    items = [item(number, classes=[5] if number < 22 else [1]) for number in range(25)]
    summary = summary_of(verdicts, items)
    assert list(summary.by_group) == ["class liver", "modality CT"]


def test_words_name_nobody():
    verdicts = [verdict(number, reviewer=name) for number in range(3) for name in ("A. Reviewer", "B. Reviewer")]
    text = "\n".join(describe_review(summary_of(verdicts, [item(number) for number in range(9)])))
    assert "Captions: 3 of 9 reviewed; 0 left out" in text and "Reviewers: 2." in text
    assert (
        "Precision of captions before the rejected ones left: 1.000 (95 % interval 0.439 to 1.000; 3 of 3 items" in text
    )
    assert "100% of 3 pairs of verdicts on 3 items (all the same)" in text
    assert "A. Reviewer" not in text and "B. Reviewer" not in text
