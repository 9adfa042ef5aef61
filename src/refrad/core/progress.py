"""Log lines of long loops."""

import logging
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

__all__ = ["log_progress"]

Item = TypeVar("Item")


def log_progress(
    items: Iterable[Item], logger: logging.Logger, unit: str, total: int | None = None, every: float = 10.0
) -> Iterator[Item]:
    """Yield the items; log their count, rate and the time left after an item, at most once in `every` seconds.

    Args:
        items: of the loop; none is read ahead.
        logger: writes the lines, such as "volumes: 12 of 40, 0.5 a second, 0:00:56 left".
        unit: plural noun of the items.
        total: how many there are, if known.
        every: seconds between lines.
    """
    start = last = time.monotonic()
    for count, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last <= every:
            continue
        last = now
        rate = count / (now - start)
        if total is None:
            logger.info("%s: %d, %.3g a second", unit, count, rate)
        else:
            logger.info(
                "%s: %d of %d, %.3g a second, %s left", unit, count, total, rate, _clock((total - count) / rate)
            )


def _clock(seconds: float) -> str:
    """Hours, minutes and seconds as h:mm:ss."""
    minutes, whole_seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{whole_seconds:02d}"
