"""Rows of the dataset with the captions of one language."""

import numpy as np

from refrad.dataset.example_rows import ExampleRows
from refrad.dataset.examples import ExampleRow
from refrad.dataset.shard_rows import CaptionStruct

__all__ = ["RowsInLanguage"]


class RowsInLanguage:
    """The rows that have a caption in a language, with these captions only; see `ExampleRows`. Making it reads all rows once.

    Its lengths of texts and its `classes` are those of all captions of the rows.

    Args:
        rows: in their order.
        language: "en" or "de".
    """

    def __init__(self, rows: ExampleRows, language: str) -> None:
        self._rows, self._language = rows, language
        counts = np.array([len(self._chosen(rows[row])) for row in range(len(rows))], np.int32)
        self._numbers = np.flatnonzero(counts)
        self.facts = np.array(rows.facts[self._numbers])
        self.facts["captions"] = counts[self._numbers]
        self.benchmarks, self.classes = rows.benchmarks, rows.classes

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, row: int) -> ExampleRow:
        whole = self._rows[int(self._numbers[row])]
        return {**whole, "captions": self._chosen(whole)}

    def _chosen(self, row: ExampleRow) -> list[CaptionStruct]:
        return [caption for caption in row["captions"] or () if caption["language"] == self._language]
