"""Jobs of a run by state, as one bar per stage: neighbours in one state are one segment, however many shards there are."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

__all__ = ["JobSegment", "job_segments"]


class JobSegment(NamedTuple):
    """Jobs beside each other in one state ("done", "failed" or "waiting"): how many, and which of the whole, in words."""

    state: str
    jobs: int
    words: str


def job_segments(done: Iterable[str], left: Iterable[Mapping[str, str]]) -> list[JobSegment]:
    """The jobs of one stage in their order.

    Args:
        done: names of the jobs that are done, such as "demo/0" (delivery and shard), "demo" or "".
        left: the others, each with its "name" and "state".
    """
    states = dict.fromkeys(done, "done") | {one["name"]: one["state"] for one in left}
    found = []
    for (_, state), names in groupby(sorted(states, key=_place), key=lambda name: (_place(name)[0], states[name])):
        its = list(names)
        between = its[0] if len(its) == 1 else f"{its[0]} to {its[-1].rpartition('/')[2]}"
        found.append(JobSegment(state, len(its), f"{between}: {state}".removeprefix(": ")))
    return found


def _place(name: str) -> tuple[str, int]:
    delivery, _, shard = name.rpartition("/")
    return (delivery, int(shard)) if shard.isdigit() and delivery else (name, 0)
