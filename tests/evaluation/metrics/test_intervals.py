import numpy as np
import pytest
from scipy import stats

from refrad.evaluation.metrics.intervals import (
    bootstrap,
    bootstrap_interval,
    paired_difference,
    paired_ratio_difference,
)

SKEWED = np.random.default_rng(7).exponential(size=60)


def test_interval_holds_the_mean():
    values = np.random.default_rng(0).uniform(0, 1, 200)
    low, high = bootstrap_interval(values, np.ones(200))
    assert low < values.mean() < high


def test_interval_of_a_constant_has_no_width():
    assert bootstrap_interval([2.0, 4.0], [4, 8]) == (0.5, 0.5)


def test_interval_draws_groups():
    many = bootstrap_interval([90.0, 10.0], [100, 100])
    single = bootstrap_interval([0.9] * 100 + [0.1] * 100, [1] * 200)
    assert many[1] - many[0] > 5 * (single[1] - single[0])


def test_interval_needs_an_item():
    with pytest.raises(ValueError, match="without any item"):
        bootstrap_interval([], [])


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_equals_scipy(method):
    name = {"percentile": "percentile", "bca": "BCa"}[method]
    expected = stats.bootstrap((SKEWED,), np.mean, n_resamples=20_000, method=name, rng=1).confidence_interval
    found = bootstrap(SKEWED, np.ones(60), 20_000, method=method, seed=1)
    assert found.estimate[0] == pytest.approx(SKEWED.mean())
    assert (found.low[0], found.high[0]) == pytest.approx((expected.low, expected.high), abs=0.015)


def test_bca_interval_leans_to_the_long_tail():
    plain, corrected = (bootstrap(SKEWED, np.ones(60), method=method) for method in ("percentile", "bca"))
    assert corrected.high[0] > plain.high[0] and corrected.low[0] > plain.low[0]


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_of_many_means_equal_single_intervals(method):
    values = np.random.default_rng(3).random((50, 4))
    sizes = np.random.default_rng(4).integers(1, 5, (50, 4)).astype(float)
    together = bootstrap(values, sizes, 2000, method=method)
    for column in range(4):
        alone = bootstrap(values[:, column], sizes[:, column], 2000, method=method)
        assert (alone.low[0], alone.high[0]) == pytest.approx((together.low[column], together.high[column]))


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_interval_ignores_groups_without_items(method):
    values, sizes = np.array([[1.0, 0.0], [0.0, 0.0], [1.0, 1.0]]), np.array([[1.0, 0], [1, 0], [1, 1]])
    found = bootstrap(values, sizes, 500, method=method)
    assert found.estimate == pytest.approx([2 / 3, 1])
    assert (found.low[1], found.high[1]) == (1, 1)


def test_interval_of_no_items_is_nan():
    found = bootstrap(np.zeros((3, 2)), np.array([[1.0, 0]] * 3), 100)
    assert np.isnan([found.estimate[1], found.low[1], found.high[1]]).all() and found.low[0] == 0


def test_intervals_have_their_nominal_coverage():
    rng = np.random.default_rng(5)
    hits = 0
    for _ in range(200):
        values = rng.normal(size=40)
        low, high = bootstrap_interval(values, np.ones(40), resamples=400)
        hits += low <= 0 <= high
    assert 0.88 <= hits / 200 <= 0.99


def test_difference_of_a_model_to_itself_is_zero():
    found = paired_difference(SKEWED, SKEWED, np.ones(60))
    assert (found.estimate, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_p_value_equals_scipys_permutation_test():
    rng = np.random.default_rng(2)
    a = rng.normal(0.3, 1, 40)
    b = a - rng.normal(0.15, 0.5, 40)
    expected = stats.permutation_test(
        (a, b),
        lambda x, y, axis: (x - y).mean(axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        rng=0,
    )
    found = paired_difference(a, b, np.ones(40), resamples=20_000)
    assert found.p == pytest.approx(expected.pvalue, abs=0.01)


def test_paired_test_finds_small_differences():
    rng = np.random.default_rng(6)
    a = rng.random(100)
    b = a - 0.02 - rng.random(100) * 0.01
    found = paired_difference(a, b, np.ones(100))
    assert 0.02 < found.low < found.estimate < found.high < 0.03 and found.p < 0.001


def test_ratio_difference_of_equal_counts_is_the_paired_difference():
    rng = np.random.default_rng(5)
    a, b, sizes = rng.random(40) * 3, rng.random(40) * 3, rng.integers(1, 5, 40)
    ratio = paired_ratio_difference([a, b], [sizes, sizes], 2000)
    mean = paired_difference(a, b, sizes, 2000)
    assert (ratio.estimate, ratio.low, ratio.high) == pytest.approx((mean.estimate, mean.low, mean.high))
    assert ratio.p == pytest.approx(mean.p, abs=0.03)


def test_ratio_difference_sees_surplus_items():
    """Each group has one right item; the second model has a wrong one as well in every second group: 1 - 40 / 60."""
    ones, more = np.ones(40), np.tile([1, 2], 20)
    surplus = paired_ratio_difference([ones, ones], [ones, more], 2000)
    assert surplus.estimate == pytest.approx(1 / 3) and surplus.p < 0.01
    assert surplus.low < 1 / 3 < surplus.high < 0.5
    same = paired_ratio_difference([ones, ones], [more, more], 500)
    assert (same.estimate, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_ratio_difference_needs_items_of_both():
    with pytest.raises(ValueError, match="no item"):
        paired_ratio_difference([[1, 1], [0, 0]], [[1, 1], [0, 0]])
