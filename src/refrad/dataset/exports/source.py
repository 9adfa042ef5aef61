"""The dataset as an export reads it: its rows, each phrase once, and what belongs to them."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from refrad.config.public_sets import PublicSet
from refrad.dataset.accepted_terms import AcceptedTerms
from refrad.dataset.exports.export_tally import ExportTally, units_of
from refrad.dataset.shard_io import read_rows
from refrad.dataset.shard_rows import CaptionStruct, EntityStruct, ImageRow

__all__ = ["ClassNames", "ExportSource", "FileNames", "Pictures"]

Pictures = Literal["square", "full"]
"""The picture of a chat format: the square one that training reads, or one with the width and height of the slice."""

ClassNames = Mapping[int, str]
"""Class id to name."""

REPEATED = "the same phrase, class and box once more"


@dataclass(frozen=True)
class ExportSource:
    """The dataset to export.

    Attributes:
        files: the shards.
        splits: the splits that have images, in the order of `refrad.core.types.SPLITS`.
        class_names: class id to name.
        display_names: language to class id to the name that people use; formats that ask for a structure need it.
        volume_files: volume to its NIfTI file, for formats with the pixel values of the scanner; may be empty.
        folder: where the export will lie, absolute, for formats that hold absolute paths.
        pictures: which picture chat formats have.
        card: text of the dataset card; empty if there is none.
        licence: name of the terms of the whole.
        sets: the public sets that have rows.
        accepted: what was accepted for this copy.
        tally: what is delivered, written and left out; `rows` counts what it delivers.
    """

    files: Sequence[Path]
    splits: Sequence[str]
    class_names: ClassNames
    display_names: Mapping[str, ClassNames] = field(default_factory=dict)
    volume_files: Mapping[str, Path] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)
    pictures: Pictures = "square"
    card: str = ""
    licence: str = ""
    sets: Sequence[PublicSet] = ()
    accepted: Sequence[AcceptedTerms] = ()
    tally: ExportTally = field(default_factory=ExportTally)

    def rows(self, split: str | None = None) -> Iterator[ImageRow]:
        """The rows of one split, or of all, in the order of the files; one row group in memory at a time.

        A phrase that a caption has twice, with the same span, class and box, comes once.
        """
        for row in read_rows(self.files):
            if split is None or row["split"] == split:
                self.tally.delivered.update(units_of(row))
                yield self._without_repetitions(row)

    def _without_repetitions(self, row: ImageRow) -> ImageRow:
        captions = [_each_phrase_once(caption) for caption in row["captions"] or ()]
        before, after = row["captions"] or (), captions
        repeated = sum(len(caption["entities"] or ()) for caption in before) - sum(
            len(caption["entities"]) for caption in after
        )
        self.tally.leave_out("phrases", REPEATED, repeated)
        return row | {"captions": captions, "structures": row["structures"] or [], "questions": row["questions"] or []}


def _each_phrase_once(caption: CaptionStruct) -> CaptionStruct:
    """The caption with each of its phrases once: the same span, class and box is the same phrase."""
    phrases: dict[tuple[int, ...], EntityStruct] = {}
    for entity in caption["entities"] or ():
        box = entity["x_min"], entity["y_min"], entity["x_max"], entity["y_max"]
        phrases.setdefault((entity["start"], entity["end"], entity["class_id"], *box), entity)
    return caption | {"entities": list(phrases.values())}


class FileNames:
    """File names of images: safe on every file system, and each used once."""

    def __init__(self) -> None:
        self._used: set[str] = set()

    def name(self, image_id: str) -> str:
        """A name of letters, digits, minus and underscore, without a suffix.

        An image that comes again, as in two deliveries, gets a number. Names that differ in case only count as the same, as
        they are on some file systems.
        """
        stem = re.sub(r"^-|[^A-Za-z0-9_-]", "_", image_id) or "_"
        name, number = stem, 1
        while name.lower() in self._used:
            number += 1
            name = f"{stem}-{number}"
        self._used.add(name.lower())
        return name
