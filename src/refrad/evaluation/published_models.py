"""Published figures of other vision-language models, for the same quantities as ours on the same benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = ["PUBLISHED_MODELS", "PublishedModel"]


@dataclass(frozen=True)
class PublishedModel:
    """Figures of a model on a benchmark: (task, metric) to the mean; `split` are its test questions, `source` the publication."""

    name: str
    dataset: str
    means: Mapping[tuple[str, str], float]
    split: str
    source: str


# Only figures whose definition is that of the metric: F1 over all questions is f1_all, and an exact match of closed ones accuracy.
PUBLISHED_MODELS: Sequence[PublishedModel] = ()
