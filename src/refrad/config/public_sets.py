"""The public sets that RefRad reads, with their terms. Names and terms only: a config is checked without importing an adapter.

This is not legal advice. The terms are those that the makers of the sets publish; check them before passing on the data.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["PUBLIC_SETS", "PublicSet", "SetPart", "SetTerms", "borrowed_terms", "untested_findings"]

SetPart = Literal["images", "reports", "masks"]
"""A part of a set, with terms of its own."""


@dataclass(frozen=True)
class SetTerms:
    """The terms of a part of a set.

    Attributes:
        license: SPDX identifier; where there is none, the name in words.
        note: what holds in addition, or nothing.
        redistributable: whether copies, and what RefRad makes of them, may be passed on under these terms. A license without
            derivatives (ND) or an agreement that each user signs says no.
    """

    license: str
    note: str = ""
    redistributable: bool = False

    @property
    def text(self) -> str:
        """License and note in a line."""
        return f"{self.license} ({self.note})" if self.note else self.license

    @property
    def link(self) -> str | None:
        """Address of a license with an SPDX identifier (spdx.org/licenses), which has no blank."""
        return None if " " in self.license else f"https://spdx.org/licenses/{self.license}"


@dataclass(frozen=True)
class PublicSet:
    """A line of the registry of public sets.

    Attributes:
        name: as the config and `refrad public-set` have it.
        title: as its makers call it.
        address: where its terms are, and where to ask for it or download it.
        citations: what its makers ask to cite, a line each.
        images, reports, masks: the terms of each part.
        target: module of the adapter in refrad.public_sets, with the function `read`.
        reports_of_masks: whether the reports were made from the masks, so that they prove nothing about these.
    """

    name: str
    title: str
    address: str
    citations: tuple[str, ...]
    images: SetTerms
    reports: SetTerms
    masks: SetTerms
    target: str
    reports_of_masks: bool = False

    def terms(self, part: SetPart) -> SetTerms:
        """The terms of a part."""
        return {"images": self.images, "reports": self.reports, "masks": self.masks}[part]

    def bound_parts(self, parts: Collection[SetPart]) -> list[SetPart]:
        """Those of some parts that may not be redistributed."""
        return [part for part in get_args(SetPart) if part in parts and not self.terms(part).redistributable]

    def describe_terms(self) -> str:
        """The terms of all parts in one line, parts of the same terms together."""
        parts_of_terms: dict[str, list[str]] = {}
        for part in get_args(SetPart):
            parts_of_terms.setdefault(self.terms(part).text, []).append(part)
        return "; ".join(f"{' and '.join(parts)}: {text}" for text, parts in parts_of_terms.items())


GATED = "gated: each user agrees to the terms, and copies are not passed on"
NO_DERIVATIVES = "non-commercial, no derivatives"
CT_RATE = SetTerms("CC-BY-NC-SA-4.0", GATED)
MR_RATE = SetTerms("CC BY-NC-SA and the data use agreement of MR-RATE", GATED)
MERLIN = SetTerms("Stanford research use agreement", "non-commercial, no redistribution")
MERLIN_PLUS = SetTerms("CC BY-NC-ND of Merlin Plus", NO_DERIVATIVES)
RADGPT = SetTerms("CC BY-NC-ND of RadGPT", NO_DERIVATIVES)
ABDOMEN_ATLAS = SetTerms("CC BY-NC-SA by its card, CC BY-NC-ND by its repository", "the stricter counts")
ATTRIBUTION = SetTerms("CC-BY-4.0", "TotalSegmentator MR 2.0.0: CC-BY-NC-SA-4.0", redistributable=True)
_RECORDS = (
    PublicSet(
        "ct-rate",
        "CT-RATE",
        "https://huggingface.co/datasets/ibrahimhamamci/CT-RATE",
        ("Hamamci et al., arXiv:2403.17834",),
        images=CT_RATE,
        reports=CT_RATE,
        masks=CT_RATE,
        target="refrad.public_sets.ct_rate",
    ),
    PublicSet(
        "mr-rate",
        "MR-RATE",
        "https://huggingface.co/datasets/Forithmus/MR-RATE",
        ("MR-RATE, github.com/forithmus/MR-RATE",),
        images=MR_RATE,
        reports=MR_RATE,
        masks=MR_RATE,
        target="refrad.public_sets.mr_rate",
    ),
    PublicSet(
        "merlin",
        "Merlin, with Merlin Plus",
        "https://github.com/StanfordMIMI/Merlin",
        (
            "Blankemeier et al., Merlin, arXiv:2406.06512",
            "Bassi et al., Merlin Plus, MICCAI 2026, github.com/MrGiovanni/MerlinPlus",
        ),
        images=MERLIN,
        reports=MERLIN,
        masks=MERLIN_PLUS,
        target="refrad.public_sets.merlin",
    ),
    PublicSet(
        "totalsegmentator",
        "TotalSegmentator, with the RadGPT radiologist notes",
        "https://zenodo.org/records/10047292",
        (
            "Wasserthal et al., Radiology: Artificial Intelligence 2023, doi:10.1148/ryai.230024",
            "Bassi et al., RadGPT, arXiv:2501.04678",
        ),
        images=ATTRIBUTION,
        reports=RADGPT,
        masks=ATTRIBUTION,
        target="refrad.public_sets.totalsegmentator",
    ),
    PublicSet(
        "abdomenatlas",
        "AbdomenAtlas 3.0 Mini",
        "https://huggingface.co/datasets/AbdomenAtlas/AbdomenAtlas3.0Mini",
        ("Bassi et al., RadGPT, arXiv:2501.04678",),
        images=ABDOMEN_ATLAS,
        reports=ABDOMEN_ATLAS,
        masks=ABDOMEN_ATLAS,
        target="refrad.public_sets.abdomenatlas",
        reports_of_masks=True,
    ),
)
PUBLIC_SETS: Mapping[str, PublicSet] = {public_set.name: public_set for public_set in _RECORDS}


def borrowed_terms(names: Sequence[str | None], terms: str | None) -> Iterator[str]:
    """A line where the card would give the site's own data under the terms of a public set, whose config got a further delivery.

    Args:
        names: the public set of each delivery, None where it is none.
        terms: `card.terms`.
    """
    lenders = [entry.name for entry in PUBLIC_SETS.values() if entry.describe_terms() == terms]
    if None in names and lenders:
        yield (
            f"config: card.terms: are those of {lenders[0]}, but hold for deliveries without public_set: write the terms of your"
            " own data; those of public sets are added by themselves"
        )


def untested_findings(names: Sequence[str | None], trains: bool) -> Iterator[str]:
    """A line where a model would be trained on reports that were made from masks alone, so that nobody is left to test it on.

    Args:
        names: the public set of each delivery, None where it is none.
        trains: whether the config trains a model.
    """
    sets = [PUBLIC_SETS[name] for name in names if name is not None]
    if trains and sets and len(sets) == len(names) and all(entry.reports_of_masks for entry in sets):
        yield (
            f"config: deliveries: the reports of {sets[0].name} were made from masks, so that all of its patients train and none tests:"
            " add a delivery with reports of radiologists, or set train.model: null"
        )
