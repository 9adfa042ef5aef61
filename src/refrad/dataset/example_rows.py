"""The rows that a training reads, one at a time: what their interface is, and those of a table in memory."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.dataset.examples import ExampleRow, ImageExample, example_of_row, mention_count

__all__ = ["FACTS", "ExampleRows", "NamedClasses", "TableRows", "examples_in", "facts_of"]

TAG = 30  # characters that a tag takes as much room as

# What is held of each row: numbers of its captions, structures, mentions and questions; about how long its texts are in each
# task, in characters (the mean over its captions or questions); the benchmark of a public row, an index of `benchmarks`.
FACTS = np.dtype(
    [(name, np.int32) for name in ("captions", "structures", "mentions", "questions", "benchmark")]
    + [(f"{task}_length", np.float64) for task in ("detect", "caption", "vqa")]
)


@dataclass
class NamedClasses:
    """The classes that captions name.

    Attributes:
        counts: how often each class is named, by class id.
        meanings: language, text and class id of each distinct phrase.
    """

    counts: Counter[int] = field(default_factory=Counter)
    meanings: set[tuple[str, str, int]] = field(default_factory=set)

    def add(self, frame: pl.DataFrame) -> None:
        """Count those of further rows of `read_image_table`."""
        captions = frame.select(caption="captions").explode("caption").select(pl.col("caption").struct.unnest())
        entities = captions.select("language", entity="entities").explode("entity").drop_nulls("entity")
        phrases = entities.select(
            "language", *(pl.col("entity").struct.field(name) for name in ("text", "class_id"))
        ).drop_nulls("class_id")
        counts = phrases.group_by("class_id").len().iter_rows()
        self.counts.update({int(class_id): int(count) for class_id, count in counts})
        self.meanings.update(phrases.unique().iter_rows())

    def joined(self, other: "NamedClasses") -> "NamedClasses":
        """Those of two sets of rows."""
        return NamedClasses(self.counts + other.counts, self.meanings | other.meanings)


class ExampleRows(Protocol):
    """Rows of the dataset in some order. What is held of all of them are numbers; a row is read when it is used."""

    @property
    def facts(self) -> NDArray[np.void]:
        """`FACTS` of each row, [rows]."""

    @property
    def benchmarks(self) -> list[str]:
        """Names of the benchmarks of public rows."""

    @property
    def classes(self) -> NamedClasses:
        """The classes that the captions name."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> ExampleRow: ...


class TableRows:
    """All rows of a table in memory: as many bytes as the rows, for tests and small tables.

    Args:
        frame: rows as `read_image_table` returns them.
    """

    def __init__(self, frame: pl.DataFrame) -> None:
        self.benchmarks: list[str] = []
        self.facts = facts_of(frame, self.benchmarks)
        self.classes = NamedClasses()
        self.classes.add(frame)
        self._rows = frame.to_arrow()  # unlike the frame's own, its rows can be read in a forked process

    def __len__(self) -> int:
        return len(self.facts)

    def __getitem__(self, row: int) -> ExampleRow:
        return cast(ExampleRow, self._rows.slice(row, 1).to_pylist()[0])


def facts_of(frame: pl.DataFrame, benchmarks: list[str]) -> NDArray[np.void]:
    """`FACTS` of rows of `read_image_table`, with or without pictures. New benchmarks are appended to `benchmarks`."""
    facts = np.zeros(len(frame), FACTS)
    numbers = frame.select(
        *(pl.col(name).list.len() for name in ("captions", "structures", "questions")), mentions=mention_count()
    ).fill_null(0)
    for name in numbers.columns:
        facts[name] = numbers[name].to_numpy()
    for name, lengths in _lengths(frame).to_dict().items():
        facts[f"{name}_length"] = lengths.to_numpy()
    facts["benchmark"] = -1
    public = np.flatnonzero(facts["captions"] + facts["structures"] == 0)
    names = frame["image_id"].gather(public).str.split(":").list.first()
    benchmarks += [name for name in names.unique(maintain_order=True) if name not in benchmarks]
    codes = {name: code for code, name in enumerate(benchmarks)}
    facts["benchmark"][public] = [codes[name] for name in names]
    return facts


def _lengths(frame: pl.DataFrame) -> pl.DataFrame:
    """About how long the texts of each row are in each task: the mean over its captions or questions."""
    captions, questions = pl.col("captions").list, pl.col("questions").list
    caption, question = pl.element().struct.field("text"), pl.element().struct.field("question")
    tags = pl.element().struct.field("entities").list.len() * TAG
    return frame.select(
        detect=captions.eval(caption.str.len_chars() + tags).list.mean(),
        caption=captions.eval(caption.str.len_chars()).list.mean(),
        vqa=questions.eval(question.str.len_chars()).list.mean(),
    ).fill_null(0.0)


def examples_in(rows: ExampleRows) -> Iterator[ImageExample]:
    """The rows as examples, one in memory at a time."""
    for row in range(len(rows)):
        yield example_of_row(rows[row])
