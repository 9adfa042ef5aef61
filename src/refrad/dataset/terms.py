"""The terms of each column: those of the site for its own data, of the public sets, and of the models for the parts that they wrote.

This is not legal advice. The terms are those that the makers of sets and models publish; check them before publishing the data.
"""

from collections.abc import Iterable, Mapping

from refrad.config.public_sets import PUBLIC_SETS, PublicSet, SetPart
from refrad.config.site_data import DEMO_WEIGHTS
from refrad.dataset.columns import COLUMNS
from refrad.dataset.statistics import DatasetSummary

__all__ = ["PRECOMPUTED", "registered_sets", "terms_of_columns"]

PRECOMPUTED = "precomputed"  # in the name of a segmenter: masks that were delivered
# A word in the name of a backend, and the terms of its output as its maker publishes them. The first that fits counts.
MODELS: tuple[tuple[str, str], ...] = (
    (DEMO_WEIGHTS, "made by RefRad's demo weights, Apache-2.0"),
    (
        "totalsegmentator",
        "made by TotalSegmentator (tasks total and total_mr: Apache-2.0); its authors request a citation",
    ),
    (PRECOMPUTED, "made by the site's own segmentation, under the site's terms"),
    (
        "gemma",
        "written by Gemma: Gemma Terms of Use. Models trained on its output to behave like Gemma count as derivatives,"
        " and the Prohibited Use Policy goes with them",
    ),
    ("gpt-oss", "written by gpt-oss: Apache-2.0 and the gpt-oss usage policy"),
    ("rules", "cut by RefRad's rules, Apache-2.0, which keep the terms of the report"),
    ("lexicon", "found by RefRad's lexicon, Apache-2.0"),
    ("templates", "written by RefRad's templates, Apache-2.0"),
    ("source", "the words of the report"),
)
WRITERS: Mapping[str, tuple[str, ...]] = {
    "anatomy": ("segmenter",),
    "report": ("rewriter", "translator", "mentions"),
    "questions": ("vqa",),
}


def registered_sets(names: Iterable[str | None]) -> list[PublicSet]:
    """The public sets of these names, in the order of the registry; None represents a site's own data.

    Raises:
        ValueError: if a set is not in the registry.
    """
    present = {name for name in names if name is not None}
    if unknown := sorted(present - PUBLIC_SETS.keys()):
        raise ValueError(
            f"the dataset has data of {unknown[0]}, which is no public set of this release, so that its terms are unknown:"
            " use the release that made the dataset"
        )
    return [public_set for name, public_set in PUBLIC_SETS.items() if name in present]


def terms_of_columns(summary: DatasetSummary, site: str) -> dict[str, str]:
    """Column name to its terms, from the public sets and the backends that the rows name.

    Args:
        summary: of the dataset.
        site: the terms under which the site gives its images and reports, from its config.

    Raises:
        ValueError: if a public set is not in the registry.
    """
    sets = registered_sets(summary.sources)
    terms = {}
    for column in COLUMNS:
        parts = [f"site: {site}"] if None in summary.sources or not sets else []
        for public_set in sets:
            segmenters = summary.sources[public_set.name]
            parts.append(_terms_of_set(public_set, column.group, any(PRECOMPUTED in name for name in segmenters)))
        for made_by in WRITERS.get(column.group, ()):
            backends = {part for names in summary.backends.get(made_by, ()) for part in names.split(" + ")}
            if made_by == "segmenter" and sets:  # masks of a set are not the site's
                own = summary.sources.get(None, ())
                backends = {name for name in backends if PRECOMPUTED not in name or name in own}
            parts += sorted({_terms_of_backend(backend) for backend in backends})
        terms[column.name] = "; ".join(dict.fromkeys(parts))
    return terms


def _terms_of_set(public_set: PublicSet, group: str, has_its_masks: bool) -> str:
    """The terms of a set for the columns of a group.

    Masks that a model made are made from the images. The boxes of captions come from the masks, and questions are asked about all three.
    """
    masks: SetPart = "masks" if has_its_masks else "images"
    parts: tuple[SetPart, ...] = {
        "anatomy": (masks,),
        "report": ("reports", masks),
        "questions": ("images", "reports", masks),
    }.get(group, ("images",))
    texts = dict.fromkeys(public_set.terms(part).text for part in parts)
    made = ", reports generated from masks" if public_set.reports_of_masks and "reports" in parts else ""
    return f"{public_set.title}: {' and '.join(texts)}{made}"


def _terms_of_backend(backend: str) -> str:
    """The terms of a backend's output; for an unknown model, the advice to look them up."""
    lower = backend.lower()
    return next(
        (terms for word, terms in MODELS if word in lower), f"made by {backend}: look up the terms of that model"
    )
