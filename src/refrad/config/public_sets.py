"""The public sets that RefRad reads, with their terms. Names and terms only: a config is checked without importing an adapter."""

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PUBLIC_SETS", "PublicSet"]


@dataclass(frozen=True)
class PublicSet:
    """A line of the registry of public sets.

    Attributes:
        name: as the config and `refrad public-set` have it.
        title: as its makers call it.
        address: where to ask for it or download it.
        citations: what its makers ask to cite, a line each.
        images, reports, masks: SPDX identifiers or sentences, the terms of each part; masks is "" where the set has none.
        redistributable: whether images and reports may be passed on.
        reports_of_masks: whether the reports were made from the masks, so that they prove nothing about these.
        target: module of the adapter in refrad.public_sets, with the function `read`.
    """

    name: str
    title: str
    address: str
    citations: tuple[str, ...]
    images: str
    reports: str
    masks: str
    redistributable: bool
    target: str
    reports_of_masks: bool = False


_RECORDS = (
    PublicSet(
        "ct-rate",
        "CT-RATE",
        "https://huggingface.co/datasets/ibrahimhamamci/CT-RATE",
        ("Hamamci et al., arXiv:2403.17834",),
        images="CC-BY-NC-SA-4.0",
        reports="CC-BY-NC-SA-4.0",
        masks="CC-BY-NC-SA-4.0",
        redistributable=False,
        target="refrad.public_sets.ct_rate",
    ),
    PublicSet(
        "mr-rate",
        "MR-RATE",
        "https://huggingface.co/datasets/Forithmus/MR-RATE",
        ("MR-RATE, github.com/forithmus/MR-RATE",),
        images="CC-BY-NC-SA-4.0",
        reports="CC-BY-NC-SA-4.0",
        masks="CC-BY-NC-SA-4.0",
        redistributable=False,
        target="refrad.public_sets.mr_rate",
    ),
    PublicSet(
        "merlin",
        "Merlin, with Merlin Plus",
        "https://github.com/StanfordMIMI/Merlin",
        ("Blankemeier et al., Merlin, arXiv:2406.06512", "MrGiovanni/MerlinPlus"),
        images="Stanford research use agreement: non-commercial, no redistribution",
        reports="Stanford research use agreement: non-commercial, no redistribution",
        masks="CC-BY-NC-ND-4.0",
        redistributable=False,
        target="refrad.public_sets.merlin",
    ),
    PublicSet(
        "totalsegmentator",
        "TotalSegmentator, with the RadGPT radiologist notes",
        "https://zenodo.org/records/10047292",
        (
            "Wasserthal et al., Radiology: Artificial Intelligence 2023, doi:10.1148/ryai.230024",
            "RadGPT, arXiv:2501.04678",
        ),
        images="CC-BY-4.0",
        reports="CC-BY-NC-ND-4.0",
        masks="CC-BY-4.0",
        redistributable=False,
        target="refrad.public_sets.totalsegmentator",
    ),
    PublicSet(
        "abdomenatlas",
        "AbdomenAtlas 3.0 Mini",
        "https://huggingface.co/datasets/AbdomenAtlas/AbdomenAtlas3.0Mini",
        ("RadGPT, arXiv:2501.04678",),
        images="CC-BY-NC-SA-4.0",
        reports="CC-BY-NC-SA-4.0",
        masks="CC-BY-NC-SA-4.0",
        redistributable=False,
        target="refrad.public_sets.abdomenatlas",
        reports_of_masks=True,
    ),
)
PUBLIC_SETS: Mapping[str, PublicSet] = {public_set.name: public_set for public_set in _RECORDS}
