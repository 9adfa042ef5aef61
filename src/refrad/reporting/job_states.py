"""Jobs of a run by state, as one bar per stage: neighbours in one state are one segment, however many shards there are."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import NamedTuple

__all__ = ["JobSegment", "job_segments"]


class JobSegment(NamedTuple):
    """Adjacent jobs in one state ("done", "running", "failed", "stopped" or "waiting"): their number, and their names in words."""

    state: str
    jobs: int
    words: str


def job_segments(done: Iterable[str], left: Iterable[Mapping[str, str]]) -> list[JobSegment]:
    """The jobs of one stage in their order.

    Args:
        done: names of the jobs that are done, such as "demo/0" (delivery and shard), "demo" or "".
        left: the others, each with its "name" and "state".
    """
    states = dict.fromkeys(done, "done") | {job["name"]: job["state"] for job in left}
    segments = []
    for (_, state), names in groupby(
        sorted(states, key=_position), key=lambda name: (_position(name)[0], states[name])
    ):
        jobs = list(names)
        between = jobs[0] if len(jobs) == 1 else f"{jobs[0]} to {jobs[-1].rpartition('/')[2]}"
        segments.append(JobSegment(state, len(jobs), f"{between}: {state}".removeprefix(": ")))
    return segments


def _position(name: str) -> tuple[str, int]:
    delivery, _, shard = name.rpartition("/")
    return (delivery, int(shard)) if shard.isdigit() and delivery else (name, 0)
