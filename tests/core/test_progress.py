import logging

import pytest

from refrad.core import progress

LOGGER = logging.getLogger("test")


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test moves it."""

    class Clock:
        now = 100.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def lines_of(caplog, clock, seconds_an_item, items, **options):
    with caplog.at_level(logging.INFO, "test"):
        for _ in progress.log_progress(items, LOGGER, "volumes", **options):
            clock.now += seconds_an_item
    return [record.getMessage() for record in caplog.records]


def test_log_lines_come_at_most_once_in_the_interval(caplog, clock):
    lines = lines_of(caplog, clock, 4.0, range(8), total=8)
    assert lines == [
        "volumes: 3 of 8, 0.25 a second, 0:00:20 left",
        "volumes: 6 of 8, 0.25 a second, 0:00:08 left",
    ]


def test_log_lines_without_a_total_have_no_time_left(caplog, clock):
    assert lines_of(caplog, clock, 2.0, range(3), every=5.0) == ["volumes: 3, 0.5 a second"]


def test_items_are_yielded_in_order_and_not_read_ahead():
    endless = iter(range(10**9))
    assert [item for item, _ in zip(progress.log_progress(endless, LOGGER, "items"), range(3), strict=False)] == [
        0,
        1,
        2,
    ]
    assert next(endless) < 5
