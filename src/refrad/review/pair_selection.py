"""Which pairs a reviewer wants to see, and the values to choose from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

from refrad.review.item_index import ItemQuery

__all__ = ["LONGEST_TEXT", "ORDERS", "VERDICT_WORDS", "FilterChoice", "FilterOption", "PairSelection"]

VERDICT_WORDS = {
    "none": "not judged",
    "any": "judged",
    "accept": "accepted",
    "reject": "rejected",
    "wrong_span": "wrong span",
    "wrong_box": "wrong box",
    "wrong_side": "wrong side",
}
LONGEST_TEXT = 200  # characters of a filter
ORDERS = {"dataset": "as in the dataset", "suspicion": "most signs first"}


@dataclass(frozen=True)
class PairSelection:
    """The pairs that a reviewer wants to see, as an address has them: a filter is "" where all values may be."""

    text: str = ""
    class_id: str = ""
    modality: str = ""
    plane: str = ""
    split: str = ""
    language: str = ""
    tie: str = ""
    via: str = ""
    verdict: str = ""
    suspicion: str = ""
    delivery: str = ""
    sort: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> "PairSelection":
        """The selection of an address."""
        return cls(**{field.name: query.get(field.name, "")[:LONGEST_TEXT] for field in fields(cls)})

    @property
    def is_narrow(self) -> bool:
        """Whether it leaves out anything."""
        return any(value for name, value in vars(self).items() if name != "sort")

    def query(self) -> ItemQuery:
        """The selection as the index understands it; a value that cannot be is as if it were not there."""
        number = self.class_id
        return ItemQuery(
            class_id=int(number) if number.isascii() and number.isdigit() and len(number) < 5 else None,
            modality=self.modality or None,
            plane=self.plane or None,
            split=self.split or None,
            language=self.language or None,
            tie=self.tie or None,
            via=self.via or None,
            delivery=self.delivery or None,
            verdict=self.verdict if self.verdict in VERDICT_WORDS else None,
            suspicion=self.suspicion or None,
            text=self.text,
            sort="suspicion" if self.sort == "suspicion" else "dataset",
        )


@dataclass(frozen=True)
class FilterOption:
    """A value of a filter, its words, and how many pairs have it, where that is counted."""

    value: str
    label: str
    count: int | None = None


@dataclass(frozen=True)
class FilterChoice:
    """A filter with its values."""

    name: str
    label: str
    options: Sequence[FilterOption]
