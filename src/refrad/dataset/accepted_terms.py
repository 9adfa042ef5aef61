"""Terms of public sets that a person accepts before a copy of their data is written, and the record of it that goes with the copy."""

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from refrad.config.public_sets import PUBLIC_SETS, PublicSet, SetPart
from refrad.dataset.terms import registered_sets

__all__ = [
    "ACCEPTED",
    "AcceptedTerms",
    "accepted_pages",
    "require_acceptance",
    "terms_beside",
    "terms_of_copy",
    "with_accepted",
]

ACCEPTED = "Accepted terms"
"""Heading of the record on a card."""

COLUMNS_HEADING = "## Columns and their terms\n"  # of the card, before which the record is


@dataclass(frozen=True)
class AcceptedTerms:
    """The terms of a set that were accepted for a copy, and the day."""

    public_set: PublicSet
    day: date

    @property
    def sentence(self) -> str:
        """The record in a line."""
        entry = self.public_set
        return (
            f"{self.day.isoformat()}: the terms of {entry.title} ({entry.address}) were accepted for this copy"
            f" by --accept-terms {entry.name}"
        )


def require_acceptance(
    sources: Iterable[str | None], parts: Collection[SetPart], accepted: Sequence[str], today: date
) -> list[AcceptedTerms]:
    """What is accepted for a copy of data, where all that must be is.

    Args:
        sources: names of the public sets that the copy has data of; None represents a site's own data.
        parts: of the sets that the copy holds, or is made from.
        accepted: the names that the user gives by --accept-terms.
        today: the day of the copy.

    Raises:
        ValueError: if the terms of a set that may not be redistributed are not accepted, or a name is unknown or needless.
    """
    bound = [entry for entry in registered_sets(sources) if entry.bound_parts(parts)]
    names = [entry.name for entry in bound]
    for name in accepted:
        if name not in names:
            raise ValueError(f"--accept-terms {name}: {_fault(name, names)}")
    if missing := [entry for entry in bound if entry.name not in accepted]:
        sets = ", ".join(
            f"{entry.title} ({' and '.join(entry.bound_parts(parts))}: {entry.address})" for entry in missing
        )
        flags = " ".join(f"--accept-terms {entry.name}" for entry in missing)
        raise ValueError(
            f"not written: the copy would hold data that may not be redistributed, of {sets}; read these terms, and if they"
            f" allow you this copy, add {flags}"
        )
    return [AcceptedTerms(entry, today) for entry in bound]


def _fault(name: str, needed: Sequence[str]) -> str:
    """What is wrong with a name that is not among the needed ones."""
    advice = f"; needed here: {', '.join(needed)}" if needed else "; leave it out"
    if name in PUBLIC_SETS:
        return f"this copy holds nothing of it that may not be redistributed{advice}"
    nearest = difflib.get_close_matches(name.lower(), PUBLIC_SETS, n=1)
    return f"no public set has this name{f', did you mean {nearest[0]}?' if nearest else ''}{advice}"


def with_accepted(card: str, accepted: Sequence[AcceptedTerms]) -> str:
    """A card with the record of what was accepted, before earlier records, which it keeps; an empty card stays empty."""
    if not card or not accepted:
        return card
    heading = f"## {ACCEPTED}\n\n"
    lines = "".join(f"- {entry.sentence}\n" for entry in accepted)
    if heading in card:
        return card.replace(heading, heading + lines, 1)
    section = f"{heading}{lines}\n"
    before, columns, after = card.partition(COLUMNS_HEADING)
    return f"{before}{section}{columns}{after}" if columns else f"{card.rstrip()}\n\n{section}"


def terms_of_copy(sets: Iterable[PublicSet], accepted: Iterable[AcceptedTerms]) -> str:
    """A paragraph about the public sets that a copy has data of, their terms and what was accepted; empty where there are none."""
    terms = [f"{entry.title} ({entry.address}): {entry.describe_terms()}" for entry in sets]
    lines = "".join(f"- {line}\n" for line in (*terms, *(entry.sentence for entry in accepted)))
    return f"It has data of public sets:\n\n{lines}" if lines else ""


def accepted_pages(
    sources: Collection[str | None], parts: Collection[SetPart], accepted: Sequence[str]
) -> dict[str, str]:
    """File name to text of the terms of each public set that a folder without a card will have data of.

    Arguments and errors are those of `require_acceptance`, on this day.
    """
    records = require_acceptance(sources, parts, accepted, date.today())
    return dict(
        terms_beside(entry.name, [record for record in records if record.public_set == entry])
        for entry in registered_sets(sources)
    )


def terms_beside(public_set: str, accepted: Iterable[AcceptedTerms]) -> tuple[str, str]:
    """Name and text of the file of terms for a folder that has images or masks of a public set, and no card."""
    (entry,) = registered_sets([public_set])
    cited = "".join(f"- {citation}\n" for citation in entry.citations)
    return f"TERMS.{public_set}.md", f"# Terms\n\n{terms_of_copy([entry], accepted)}\nTo be cited:\n\n{cited}"
