"""The random queue: a simple random sample of the items, of which the precision of the dataset is estimated.

The order is that of a keyed hash of each item's ids. So it is the same for all reviewers, does not depend on the items' content or on
signs of suspicion, and stays the same when other items come or go.
"""

from collections.abc import Collection, Iterable
from hashlib import blake2b

import polars as pl

from refrad.review.item_index import ItemIndex
from refrad.review.judgement import ReviewVerdict

__all__ = ["SHARED", "RandomQueue", "owner_of", "rank_in_queue"]

SHARED = 0.2  # of the items are offered to every reviewer, so that agreement can be computed
_SPACE = 2**64


def rank_in_queue(seed: int, image_id: str, item_id: str) -> int:
    """Rank of an item in the queue of a seed, 0 to 2**64 - 1; the lowest is offered first."""
    return _hash(f"{seed} {image_id} {item_id}")


def owner_of(seed: int, image_id: str, item_id: str, reviewers: Collection[str]) -> str | None:
    """The reviewer to whom an item belongs, by rendezvous hashing; None if it is offered to all (`SHARED`).

    A further reviewer takes over about an equal share of everyone's items; all others stay where they are.
    """
    if _hash(f"shared {seed} {image_id} {item_id}") < SHARED * _SPACE:
        return None
    return max(reviewers, key=lambda name: _hash(f"{seed} {image_id} {item_id} {name}"))


class RandomQueue:
    """The items of one kind in the order of their rank.

    Args:
        index: of the dataset.
        item: "caption" or "question".
        seed: of the order; the same for all reviewers.
    """

    def __init__(self, index: ItemIndex, item: str = "caption", seed: int = 0) -> None:
        self._seed = seed
        # A pair without a box has nothing to be right about but its reference: the precision is that of grounded pairs.
        offered = index.items.filter(pl.col("item") == item, (pl.col("classes").list.len() > 0) | (item != "caption"))
        keys = offered.select("image_id", "item_id", "digest", "place").rows()
        self._queue = sorted(
            (rank_in_queue(seed, image, name), image, name, digest, number) for image, name, digest, number in keys
        )
        self._item = item

    def __len__(self) -> int:
        return len(self._queue)

    def next_places(self, sample: Iterable[ReviewVerdict], reviewer: str, count: int = 1) -> list[int]:
        """Places in the index of the next items for a reviewer, `count` at most: none that the reviewer has judged in this queue.

        Args:
            sample: the verdicts of the random queue that count, `CountingVerdicts.sample`.
            reviewer: who reviews.
            count: most items to return.
        """
        judged: dict[tuple[str, str, str, str], set[str]] = {}
        reviewers = {reviewer}
        for verdict in sample:
            judged.setdefault(verdict.key, set()).add(verdict.reviewer)
            reviewers.add(verdict.reviewer)
        places = []
        for _, image_id, item_id, digest, number in self._queue:
            judges = judged.get((image_id, self._item, item_id, digest), set())
            owner = owner_of(self._seed, image_id, item_id, reviewers)
            if reviewer not in judges and (owner is None or (owner == reviewer and not judges)):
                places.append(number)
            if len(places) >= count:
                break
        return places


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
