"""The DICOM files of an answer."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from refrad.core.files import atomic
from refrad.core.private_files import only_for_the_owner
from refrad.inference.answer_report import answer_report
from refrad.inference.answer_segmentation import AnswerContext, answer_segmentation
from refrad.inference.predictor import Prediction

__all__ = ["AnswerFiles", "ObjectKind", "WrittenObjects"]

ObjectKind = Literal["seg", "sr"]


class WrittenObjects(NamedTuple):
    """The names of the files of an answer, and for each file that is missing the reason in a line."""

    names: list[str]
    reasons: list[str]


@dataclass(frozen=True)
class AnswerFiles:
    """Writes a segmentation (seg), a report (sr) or both for each answer, in files that their owner alone can read."""

    kinds: Collection[ObjectKind]
    context: AnswerContext

    def write(self, prediction: Prediction, folder: Path, stem: str) -> WrittenObjects:
        """Write <stem>.seg.dcm and <stem>.sr.dcm of an answer into a folder. Reasons quote no header."""
        objects: dict[str, Any] = {}
        reasons: list[str] = []
        segmentation = None
        if "seg" in self.kinds:
            try:
                objects["seg"] = segmentation = answer_segmentation(prediction, self.context)
            except ValueError as error:
                reasons.append(str(error))
        if "sr" in self.kinds:
            try:
                objects["sr"] = answer_report(prediction, self.context, segmentation)
            except ValueError as error:
                reasons.append(str(error))
        names = []
        for kind, dataset in objects.items():
            names.append(f"{stem}.{kind}.dcm")
            with only_for_the_owner(), atomic(folder / names[-1]) as temporary:
                dataset.save_as(temporary)
        return WrittenObjects(names, list(dict.fromkeys(reasons)))
