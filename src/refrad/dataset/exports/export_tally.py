"""What an export was given, what it wrote, and what it left out with the reason: the numbers add up."""

from collections import Counter
from collections.abc import Iterator, Mapping

from refrad.dataset.shard_rows import ImageRow

__all__ = ["UNITS", "ExportTally", "units_of"]

UNITS = ("images", "sentences", "phrases", "boxes", "questions")
"""What is counted: rows, captions, grounded phrases (one for each class), boxes of visible structures, questions."""


def units_of(row: ImageRow) -> Mapping[str, int]:
    """How many of each unit a row has."""
    return {
        "images": 1,
        "sentences": len(row["captions"] or ()),
        "phrases": sum(len(caption["entities"] or ()) for caption in row["captions"] or ()),
        "boxes": len(row["structures"] or ()),
        "questions": len(row["questions"] or ()),
    }


class ExportTally:
    """The counts of an export, by unit.

    Attributes:
        delivered: what the shards have.
        written: what the export has.
        left_out: what it has not, by unit and reason.
        notes: how often something was written otherwise than in the shards, by sentence.
    """

    def __init__(self) -> None:
        self.delivered: Counter[str] = Counter()
        self.written: Counter[str] = Counter()
        self.left_out: Counter[tuple[str, str]] = Counter()
        self.notes: Counter[str] = Counter()

    def leave_out(self, unit: str, reason: str, count: int = 1) -> None:
        """Count what the format has no place for."""
        if count:
            self.left_out[unit, reason] += count

    def write_row(self, row: ImageRow, **without: str) -> None:
        """Count a row that is written whole, but for the units of `without`, whose values are the reasons."""
        for unit, count in units_of(row).items():
            if unit in without:
                self.leave_out(unit, without[unit], count)
            else:
                self.written[unit] += count

    def check(self) -> None:
        """Compare what was delivered with what was written and left out.

        Raises:
            RuntimeError: if they differ for a unit, which is a fault of the export.
        """
        for unit in UNITS:
            left_out = sum(count for (counted, _), count in self.left_out.items() if counted == unit)
            if self.delivered[unit] != self.written[unit] + left_out:
                raise RuntimeError(
                    f"{unit}: {self.delivered[unit]} delivered, but {self.written[unit]} written and {left_out} left out"
                )

    def lines(self) -> Iterator[str]:
        """A sentence for the numbers written, then one for each reason why something is left out or written otherwise."""
        yield ", ".join(f"{self.written[unit]:,} of {self.delivered[unit]:,} {unit}" for unit in UNITS)
        for (unit, reason), count in sorted(self.left_out.items()):
            yield f"left out: {count:,} {unit}: {reason}"
        for note, count in sorted(self.notes.items()):
            if count:
                yield f"{count:,} {note}"
