from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.reporting.bins import in_order


@pytest.mark.parametrize(
    ("rows", "names"),
    [
        ({"from 10": 9, "8 to 10": 1, "0 to 0.5": 2, "0.5 to 1": 5}, ["0 to 0.5", "0.5 to 1", "8 to 10", "from 10"]),
        ({"8 to 16 s": 9, "4 to 8 s": 1, "16 to 32 s": 2}, ["4 to 8 s", "8 to 16 s", "16 to 32 s"]),
        ({"12": 9, "3": 1, "100": 4}, ["3", "12", "100"]),
        ({"8 to 10": 3, "unknown": 50, "2 to 8": 1, "none": 60}, ["2 to 8", "8 to 10", "none", "unknown"]),
        ({"-10 to 0": 1, "0 to 10": 2}, ["-10 to 0", "0 to 10"]),
        ({"CT": 1, "MR": 3}, ["MR", "CT"]),
        ({"unknown": 1, "5": 3}, ["5", "unknown"]),
        ({"L1 vertebra": 1, "3rd rib": 2, "T12 vertebra": 5}, ["T12 vertebra", "3rd rib", "L1 vertebra"]),
        ({}, []),
    ],
)
def test_numbers_are_in_order_of_values_and_names_by_count(rows, names):
    assert in_order(rows) == [(name, rows[name]) for name in names]


def test_many_numbers_become_bins_without_gaps():
    rows = {str(number): 2 for number in [*range(18, 40), 60, 61]}
    bins = in_order(rows | {"unknown": 7})
    assert [name for name, _ in bins[:3]] == ["15 to 19", "20 to 24", "25 to 29"]
    assert ("45 to 49", 0) in bins and bins[-1] == ("unknown", 7) and len(bins) <= 13
    assert sum(count for _, count in bins) == sum(rows.values()) + 7


@given(st.dictionaries(st.integers(-500, 10**6), st.integers(1, 99), min_size=13))
def test_bins_hold_all_counts_in_equal_widths(counts):
    bins = in_order({str(number): count for number, count in counts.items()})
    assert 2 <= len(bins) <= 12 and sum(count for _, count in bins) == sum(counts.values())
    edges = [tuple(int(edge) for edge in name.split(" to ")) for name, _ in bins]
    edges = [(edge[0], edge[-1]) for edge in edges]
    assert len({last - first for first, last in edges}) == 1
    assert all(before[1] + 1 == after[0] for before, after in pairwise(edges))
    for (first, last), (_, count) in zip(edges, bins, strict=True):
        assert count == sum(counts[number] for number in counts if first <= number <= last)
