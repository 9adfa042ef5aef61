import numpy as np
import pytest

from refrad.metrics.intervals import bootstrap_interval


def test_the_mean_lies_inside_its_interval():
    values = np.random.default_rng(0).uniform(0, 1, 200)
    low, high = bootstrap_interval(values, np.ones(200))
    assert low < values.mean() < high


def test_a_value_that_never_varies_has_an_interval_without_width():
    assert bootstrap_interval([2.0, 4.0], [4, 8]) == (0.5, 0.5)


def test_groups_and_not_items_are_drawn():
    many = bootstrap_interval([90.0, 10.0], [100, 100])
    single = bootstrap_interval([0.9] * 100 + [0.1] * 100, [1] * 200)
    assert many[1] - many[0] > 5 * (single[1] - single[0])


def test_nothing_has_no_interval():
    with pytest.raises(ValueError, match="without any item"):
        bootstrap_interval([], [])
