"""The test images of an evaluation: of each task as many as the config allows, so that images without regions displace no others."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from refrad.dataset.examples import mention_count

__all__ = ["QuestionSample", "draw_questions", "evenly", "merge_samples"]


@dataclass(frozen=True)
class QuestionSample:
    """The ids of the images whose questions are asked, by task."""

    images: Mapping[str, frozenset[str]]

    def asks(self, task: str, image_id: str) -> bool:
        """True if the questions of a task about an image are asked."""
        return image_id in self.images[task]

    @property
    def image_ids(self) -> frozenset[str]:
        """All images, of any task."""
        return frozenset().union(*self.images.values())


def draw_questions(frame: pl.DataFrame, samples: int) -> QuestionSample:
    """At most `samples` images of each task, out of those that have a question of it; the same images for locate and detect.

    Args:
        frame: test images, as `read_image_table` gives them.
        samples: largest number of images of each task, 1 or more.
    """
    grounded = _draw(frame.filter(mention_count() > 0), samples)
    captioned = _draw(frame.filter(pl.col("captions").list.len() > 0), samples)
    questioned = _draw(frame.filter(pl.col("questions").list.len() > 0), samples)
    return QuestionSample({"locate": grounded, "detect": grounded, "caption": captioned, "vqa": questioned})


def merge_samples(samples: Iterable[QuestionSample]) -> QuestionSample:
    """The sample of several datasets together; their image ids are different."""
    images: dict[str, frozenset[str]] = {}
    for sample in samples:
        for task, ids in sample.images.items():
            images[task] = images.get(task, frozenset()) | ids
    return QuestionSample(images)


def _draw(frame: pl.DataFrame, samples: int) -> frozenset[str]:
    ids = frame["image_id"].to_list()
    return frozenset(ids[index] for index in evenly(len(ids), samples))


def evenly(count: int, samples: int) -> list[int]:
    """At most `samples` indices of `count` images, at equal distances; image ids are pseudonyms, so that is a fair draw over patients."""
    return [int(index) for index in np.unique(np.linspace(0, count - 1, min(samples, count)).round())]
