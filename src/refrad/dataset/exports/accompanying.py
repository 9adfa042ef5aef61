"""What travels with each export: a page that opens it, the terms, and the dataset card."""

import re
from typing import Any

import yaml

from refrad.dataset.accepted_terms import ACCEPTED, terms_of_copy
from refrad.dataset.exports.source import ExportSource

__all__ = ["card_licence", "readme", "terms_page"]

NO_CARD = (
    "The dataset had no card when this was exported, so its terms are not stated here. Ask the site that made it before you use"
    " or pass on anything.\n"
)
SECTIONS = ("Public sets", ACCEPTED, "Columns and their terms", "Citation", "Privacy")
"""Of the card, for the page of terms."""


def card_licence(card: str) -> str:
    """The name of the terms in the front matter of a card; empty if there is none."""
    matter = _front_matter(card)
    return str(matter.get("license_name") or matter.get("license") or "")


def readme(name: str, sentence: str, opening: str, source: ExportSource) -> str:
    """README.md: the format, the line that opens it, what was written and left out, and the public sets that it has data of."""
    counts = "\n".join(f"- {line}" for line in source.tally.lines())
    sets = terms_of_copy(source.sets, source.accepted)
    return (
        f"# RefRad dataset as {name}\n\n{sentence[:1].upper()}{sentence[1:]}.\n\n"
        f"## Loading\n\n    {opening}\n\nFOLDER is this folder.\n\n"
        f"## Counts\n\n{counts}\n\n"
        "## Terms\n\nTERMS.md has the terms and the citation; CARD.md is the card of the dataset.\n"
        + (f"\n{sets}" if sets else "")
    )


def terms_page(source: ExportSource) -> str:
    """TERMS.md: the terms of the whole, of each public set and of each column, what was accepted, how to cite it, and privacy, from the card."""
    card = source.card
    if not card:
        sets = terms_of_copy(source.sets, source.accepted)
        return f"# Terms\n\n{NO_CARD}" + (f"\n{sets}" if sets else "")
    matter = _front_matter(card)
    sections = "\n".join(f"## {title}\n{text}" for title in SECTIONS if (text := _section(card, title)))
    title = matter.get("pretty_name") or "RefRad dataset"
    return f"# Terms of {title}\n\nTerms of the whole: {card_licence(card) or 'not stated'}\n\n{sections}"


def _front_matter(card: str) -> dict[str, Any]:
    if not card.startswith("---\n"):
        return {}
    matter = yaml.safe_load(card.split("---\n", 2)[1])
    return matter if isinstance(matter, dict) else {}


def _section(card: str, title: str) -> str:
    """The text below a heading of second level; empty if there is no such heading."""
    section = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", card, re.MULTILINE | re.DOTALL)
    return section[1] if section else ""
