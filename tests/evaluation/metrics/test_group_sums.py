import numpy as np
import pytest

from refrad.evaluation.metrics import group_sums
from refrad.evaluation.metrics.group_sums import GroupSums


def collected(*means):
    """Sums of means, each given as the totals and the counts of all groups."""
    sums = GroupSums(len(means[0][0]))
    for totals, counts in means:
        sums.add(np.array([totals], float).T, np.array([counts], float).T)
    return sums


def test_sums_come_back_in_the_order_in_which_they_were_added():
    sums = collected(([0.5, 2], [1, 3]), ([1, 3], [1, 3]), ([0.5, 2], [2, 4]))
    totals, counts = sums.dense(slice(1, 3))
    assert totals.T.tolist() == [[1, 3], [0.5, 2]] and counts.T.tolist() == [[1, 3], [2, 4]]
    assert len(sums) == 3


def test_all_means_see_the_same_draws():
    """Two groups: a draw has both (mean 1/4), or one of them twice (0 or 1/2): with 1 item each, shares of group 1 are 0, 1/2, 1."""
    sums = collected(([0, 0.5], [1, 1]), ([0, 1], [1, 1]), ([1, 0], [1, 1]))
    means = sums.resampled(200, seed=3)
    assert {tuple(draw) for draw in means.tolist()} == {(0, 0, 1), (0.25, 0.5, 0.5), (0.5, 1, 0)}


def test_mean_without_an_item_in_a_draw_is_not_a_number():
    means = collected(([0, 3], [0, 4])).resampled(100, seed=0)[:, 0]
    assert set(means[np.isfinite(means)]) == {0.75} and 0 < np.isnan(means).sum() < 60  # 1 in 4 draws has group 0 twice


def test_large_whole_numbers_stay_exact():
    """2^24 + 1 is no float32: a mean of equal groups has to be the number itself, in every draw."""
    large = 2**24 + 1
    assert set(collected(([large, large], [1, 1])).resampled(50, seed=0).ravel()) == {large}


@pytest.mark.parametrize("at_once", [1, 7, 1000])
def test_means_do_not_depend_on_how_many_draws_are_held_at_once(monkeypatch, at_once):
    sums = collected(([1, 0, 2], [2, 1, 2]), ([0.5, 0.25, 1], [1, 1, 1]))
    expected = sums.resampled(40, seed=1)
    monkeypatch.setattr(group_sums, "DRAWS", at_once)
    assert np.allclose(sums.resampled(40, seed=1), expected, rtol=1e-15)
