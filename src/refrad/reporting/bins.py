"""Rows of a table in the order of a reader: bins and numbers by their values, other rows by their counts."""

import re
from collections.abc import Mapping

__all__ = ["in_order"]

MOST_NUMBERS = 12  # that have a bar each; more become bins
STEPS = (1, 2, 5)  # times a power of ten: widths of bins
# "0.5 to 1", "4 to 8 s", "from 10", "48"
NUMBER = re.compile(r"(?:from )?(-?\d+(?:\.\d+)?)(?: to -?\d+(?:\.\d+)?)?(?: [^\d]*)?")


def in_order(rows: Mapping[str, float]) -> list[tuple[str, float]]:
    """Bins ("0.5 to 1", "from 10") and numbers by their values, then the other rows, the largest first.

    More than `MOST_NUMBERS` whole numbers become bins of equal width, also the empty ones between them.
    """
    values = {name: float(match[1]) for name in rows if (match := NUMBER.fullmatch(name))}
    others = sorted((row for row in rows.items() if row[0] not in values), key=lambda row: -row[1])
    if len(values) < 2:
        return sorted(rows.items(), key=lambda row: -row[1])
    if len(values) > MOST_NUMBERS and all(re.fullmatch(r"-?\d+", name) for name in values):
        return [*_binned({int(name): rows[name] for name in values}), *others]
    return [
        *sorted(((name, rows[name]) for name in values), key=lambda row: (values[row[0]], "from" in row[0])),
        *others,
    ]


def _binned(counts: Mapping[int, float]) -> list[tuple[str, float]]:
    """The counts of whole numbers in at most `MOST_NUMBERS` bins of equal width."""
    low, high = min(counts), max(counts)
    widths = (step * 10**power for power in range(19) for step in STEPS)
    width = next(width for width in widths if high // width - low // width < MOST_NUMBERS)
    bins = dict.fromkeys(range(low // width, high // width + 1), 0.0)
    for number, count in counts.items():
        bins[number // width] += count
    names = {key: f"{key * width} to {key * width + width - 1}" if width > 1 else str(key) for key in bins}
    return [(names[key], count) for key, count in bins.items()]
