"""The random queue: unbiased, seeded, shared."""

from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from refrad.review.item_index import ItemIndex
from refrad.review.item_tables import ITEM_COLUMNS
from refrad.review.judgement import ReviewVerdict, VerdictHistory
from refrad.review.random_queue import SHARED, RandomQueue, owner_of
from refrad.review.suspicion import MARK_COLUMNS


def sampled(verdicts):
    return VerdictHistory(verdicts).counting().sample


def index_of(count, items=("caption",), without=()):
    rows = [
        dict.fromkeys(ITEM_COLUMNS)
        | {"image_id": f"i{number}", "item": item, "item_id": f"{item}{number}", "digest": f"d{number}", "classes": [5]}
        for number in range(count)
        for item in items
        if number not in without
    ]
    return ItemIndex(pl.DataFrame(rows, schema=ITEM_COLUMNS), pl.DataFrame(schema=MARK_COLUMNS))


def verdict_on(index, place, reviewer="AB", **changes):
    row = index.items.row(place, named=True)
    verdict = ReviewVerdict(
        reviewer=reviewer, delivery="d", shard=0, patient="0f", image_id=row["image_id"], item=row["item"],
        item_id=row["item_id"], verdict="accept", digest=row["digest"], queue="random",
    )  # fmt: skip
    return replace(verdict, **changes)


def reviewed(index, reviewers, count, seed=0):
    """Places that each reviewer gets, who judge in turn."""
    queue = RandomQueue(index, seed=seed)
    verdicts, places = [], {name: [] for name in reviewers}
    for _ in range(count):
        for name in reviewers:
            for place in queue.next_places(sampled(verdicts), name):
                places[name].append(place)
                verdicts.append(verdict_on(index, place, name))
    return places


def test_reviewer_gets_each_item_once_until_none_is_left():
    places = reviewed(index_of(40), ["AB"], 60)["AB"]
    assert sorted(places) == list(range(40)) and places != sorted(places)


def test_seed_decides_the_order():
    index = index_of(50)
    orders = {tuple(RandomQueue(index, seed=seed).next_places([], "AB", 50)) for seed in (0, 0, 1, 2)}
    assert len(orders) == 3


def test_every_item_is_drawn_equally_often():
    index = index_of(20)
    first = Counter(place for seed in range(600) for place in RandomQueue(index, seed=seed).next_places([], "AB", 5))
    expected = 600 * 5 / 20
    assert (
        sum((first[place] - expected) ** 2 / expected for place in range(20)) < 43.8
    )  # chi-square, 19 degrees, p 0.001


def test_a_share_of_items_is_offered_to_both():
    places = reviewed(index_of(600), ["AB", "CD"], 250)
    both = set(places["AB"]) & set(places["CD"])
    drawn = set(places["AB"]) | set(places["CD"])
    assert len(both) / len(drawn) == pytest.approx(SHARED, abs=0.08)
    assert len(places["AB"]) == len(set(places["AB"])) == 250


def test_further_reviewer_leaves_most_items_where_they_are():
    pairs = [(f"i{number}", f"c{number}") for number in range(900)]
    before = [owner_of(0, *pair, {"AB", "CD"}) for pair in pairs]
    after = [owner_of(0, *pair, {"AB", "CD", "EF"}) for pair in pairs]
    assert all(new in (old, "EF") for old, new in zip(before, after, strict=True))
    shares = Counter(after)
    assert shares[None] == before.count(None) and np.ptp([shares[name] for name in ("AB", "CD", "EF")]) < 80


def test_browsing_does_not_change_the_queue():
    index = index_of(30)
    queue = RandomQueue(index)
    first = queue.next_places([], "AB", 30)
    browsed = [verdict_on(index, place, verdict="reject", queue="browse") for place in first[:5]]
    assert queue.next_places(sampled(browsed), "AB", 30) == first
    thought_again = [verdict_on(index, first[0]), verdict_on(index, first[0], verdict="reject", queue="browse")]
    assert queue.next_places(sampled(thought_again), "AB", 30) == first[1:]


def test_queue_stays_as_it_is_when_other_items_leave():
    def order(index):
        return [index.items["image_id"][place] for place in RandomQueue(index).next_places([], "AB", 30)]

    every = order(index_of(30))
    assert order(index_of(30, without=(3, 9))) == [name for name in every if name not in ("i3", "i9")]


def test_changed_item_is_offered_again():
    index = index_of(10)
    judged = [verdict_on(index, place, digest="old") for place in range(10)]
    assert sorted(RandomQueue(index).next_places(sampled(judged), "AB", 10)) == list(range(10))


def test_queue_holds_items_of_one_kind():
    index = index_of(10, ("caption", "question"))
    places = RandomQueue(index, "question").next_places([], "AB", 99)
    assert {index.items.row(place, named=True)["item"] for place in places} == {"question"} and len(places) == 10
