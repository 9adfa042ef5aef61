"""Under whose terms the columns are: those of the site for what is its own, and those of the models that wrote the rest.

No advice of a lawyer: what the makers of the models publish, to be checked by who gives the data away.
"""

from collections.abc import Mapping

from refrad.dataset.columns import COLUMNS
from refrad.dataset.statistics import DatasetSummary

__all__ = ["terms_of_columns"]

# A word in the name of a backend, and what its maker says of its output. The first that fits counts.
MODELS: tuple[tuple[str, str], ...] = (
    ("demo weights", "made by RefRad's demo weights, Apache-2.0"),
    (
        "totalsegmentator",
        "made by TotalSegmentator (tasks total and total_mr: Apache-2.0); its authors ask to be cited",
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
        site: the terms under which the site gives its images and reports, as its config says them.
    """
    found = {}
    for column in COLUMNS:
        parts = [f"site: {site}"]
        for made_by in WRITERS.get(column.group, ()):
            backends = {part for told in summary.backends.get(made_by, ()) for part in told.split(" + ")}
            parts += sorted({_said_of(backend) for backend in backends})
        found[column.name] = "; ".join(dict.fromkeys(parts))
    return found


def _said_of(backend: str) -> str:
    """What is known of a backend's output; of an unknown model, that its terms must be looked up."""
    lower = backend.lower()
    return next(
        (terms for word, terms in MODELS if word in lower), f"made by {backend}: look up the terms of that model"
    )
