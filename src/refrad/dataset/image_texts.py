"""The columns of a shard's rows that come from reports and questions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

import polars as pl

from refrad.core.contracts import CaptionTable, EntityTable, MentionTable, QuestionTable
from refrad.core.table_rows import AcceptedVolumeRow, CaptionRow, EntityRow, QuestionRow, TripletRow, rows_of
from refrad.core.tables import read_table
from refrad.dataset.image_rows import TurnedGrid, build_caption, build_question
from refrad.dataset.shard_rows import CaptionStruct, ProvenanceStruct, QuestionStruct

__all__ = ["ImageTexts", "TextColumns", "VolumeWithLabels", "grouped"]

R = TypeVar("R")


class VolumeWithLabels(AcceptedVolumeRow):
    """A volume with the columns of its label volume."""

    task: str
    segmenter: str
    weights: str | None
    mask: str
    mask_digest: str


class TextColumns(TypedDict):
    """The columns of an image that come from reports and questions."""

    captions: list[CaptionStruct]
    questions: list[QuestionStruct]
    provenance: ProvenanceStruct


class ImageTexts:
    """Captions, questions and provenance of the images.

    Args:
        captions: table of stage captions.
        mentions: table of stage mentions.
        entities: table of stage grounded.
        questions: table of stage vqa.
        digests: stage to the digest of its fingerprint.
    """

    def __init__(
        self, captions: Path, mentions: Path, entities: Path, questions: Path, digests: dict[str, str | None]
    ) -> None:
        self.digests = digests
        self.captions = {
            caption["caption"]: caption for caption in rows_of(read_table(captions, CaptionTable), CaptionRow)
        }
        self.entities = grouped(read_table(entities, EntityTable), "triplet", EntityRow)
        passed = read_table(questions, QuestionTable).filter(pl.col("reason").is_null())
        self.questions = grouped(passed, "instance", QuestionRow)
        self.finders = dict(read_table(mentions, MentionTable).select("caption", "backend").rows())

    def columns(self, volume: VolumeWithLabels, triplets: Sequence[TripletRow], grid: TurnedGrid) -> TextColumns:
        """The columns captions, questions and provenance of an image, from its triplets in the order of the captions."""
        captions = [self.captions[triplet["caption"]] for triplet in triplets]
        questions = self.questions.get(triplets[0]["instance"], [])
        return {
            "captions": [
                build_caption(caption, triplet["tie"], self.entities.get(triplet["triplet"], ()), grid)
                for triplet, caption in zip(triplets, captions, strict=True)
            ],
            "questions": [build_question(question) for question in questions],
            "provenance": {
                "segmenter": volume["segmenter"],
                "weights": volume["weights"],
                "mentions": _joined({self.finders.get(triplet["caption"], "") for triplet in triplets} - {""}) or None,
                "rewriter": _joined({caption["rewriter"] for caption in captions}),
                "translator": _joined({caption["translator"] for caption in captions}),
                "vqa": _joined({question["backend"] for question in questions}),
                "fingerprints": self.digests,
            },
        }


def grouped(frame: pl.DataFrame, key: str, row: type[R]) -> dict[str, list[R]]:
    """Value of the column `key` to its rows, in the order of the frame."""
    groups = frame.group_by([key], maintain_order=True)
    return {str(name): list(rows_of(group, row)) for (name,), group in groups}


def _joined(names: set[str]) -> str:
    return " + ".join(sorted(names))
