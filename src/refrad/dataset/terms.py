"""The terms of each column: those of the site for its own data, and those of the models for the parts that they wrote.

This is not legal advice. The terms are those that the makers of the models publish; check them before publishing the data.
"""

from collections.abc import Mapping

from refrad.config.site_data import DEMO_WEIGHTS
from refrad.dataset.columns import COLUMNS
from refrad.dataset.statistics import DatasetSummary

__all__ = ["terms_of_columns"]

# A word in the name of a backend, and the terms of its output as its maker publishes them. The first that fits counts.
MODELS: tuple[tuple[str, str], ...] = (
    (DEMO_WEIGHTS, "made by RefRad's demo weights, Apache-2.0"),
    (
        "totalsegmentator",
        "made by TotalSegmentator (tasks total and total_mr: Apache-2.0); its authors request a citation",
    ),
    ("precomputed", "made by the site's own segmentation, under the site's terms"),
    (
        "gemma",
        "written by Gemma: Gemma Terms of Use. Models trained on its output to behave like Gemma count as derivatives,"
        " and the Prohibited Use Policy goes with them",
    ),
    ("gpt-oss", "written by gpt-oss: Apache-2.0 and the gpt-oss usage policy"),
    ("rules", "cut by RefRad's rules, Apache-2.0; the text stays the site's"),
    ("lexicon", "found by RefRad's lexicon, Apache-2.0"),
    ("templates", "written by RefRad's templates, Apache-2.0"),
    ("source", "the site's own words"),
)
WRITERS: Mapping[str, tuple[str, ...]] = {
    "anatomy": ("segmenter",),
    "report": ("rewriter", "translator", "mentions"),
    "questions": ("vqa",),
}


def terms_of_columns(summary: DatasetSummary, site: str) -> dict[str, str]:
    """Column name to its terms, from the backends that the rows name.

    Args:
        summary: of the dataset.
        site: the terms under which the site gives its images and reports, from its config.
    """
    terms = {}
    for column in COLUMNS:
        parts = [f"site: {site}"]
        for made_by in WRITERS.get(column.group, ()):
            backends = {part for names in summary.backends.get(made_by, ()) for part in names.split(" + ")}
            parts += sorted({_terms_of_backend(backend) for backend in backends})
        terms[column.name] = "; ".join(dict.fromkeys(parts))
    return terms


def _terms_of_backend(backend: str) -> str:
    """The terms of a backend's output; for an unknown model, the advice to look them up."""
    lower = backend.lower()
    return next(
        (terms for word, terms in MODELS if word in lower), f"made by {backend}: look up the terms of that model"
    )
