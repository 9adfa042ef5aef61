"""Print precision, recall and F1 of the mention finder on labelled sentences."""

import json
from collections import defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.core.files import atomic
from refrad.core.installation import resolve_shipped
from refrad.core.types import LANGUAGES
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language

__all__ = ["LabelledEntity", "LabelledSentence", "MentionCounts", "count_classes", "main"]


class LabelledEntity(TypedDict):
    """A mention in a labelled sentence: the names of its classes."""

    classes: list[str]


class LabelledSentence(TypedDict):
    """A line of the file of sentences. `entities` are absent or null where the sentence has no labels."""

    id: str
    sentence: str
    language: str
    entities: NotRequired[list[LabelledEntity] | None]
    optional_classes: NotRequired[list[str] | None]


@dataclass
class MentionCounts:
    """Counts of classes over sentences."""

    right: int = 0
    extra: int = 0
    missed: int = 0

    def add(self, predicted: Set[str], required: Set[str], optional: Set[str]) -> None:
        """Count one sentence; optional classes may be predicted or not."""
        self.right += len(predicted & required)
        self.extra += len(predicted - required - optional)
        self.missed += len(required - predicted)

    @property
    def precision(self) -> float:
        """Share of the predicted classes that are right."""
        return self.right / max(self.right + self.extra, 1)

    @property
    def recall(self) -> float:
        """Share of the required classes that are predicted."""
        return self.right / max(self.right + self.missed, 1)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall."""
        return 2 * self.right / max(2 * self.right + self.extra + self.missed, 1)


def count_classes(gold: Sequence[LabelledSentence], predictions: Sequence[Set[str]]) -> dict[str, MentionCounts]:
    """Micro-averaged counts by language, over the sentences that have labels; one prediction a sentence."""
    scores: dict[str, MentionCounts] = defaultdict(MentionCounts)
    for row, predicted in zip(gold, predictions, strict=True):
        if (entities := row.get("entities")) is not None:
            required = {name for entity in entities for name in entity["classes"]}
            scores[row["language"]].add(predicted, required, set(row.get("optional_classes") or ()))
    return dict(scores)


def main(
    gold: Path,
    *,
    lexicon: Path = Path("workflow/anatomy/lexicon.yaml"),
    schema: Path | None = None,
    predictions: Path | None = None,
) -> None:
    """Find the mentions of the sentences in GOLD, a file of JSON lines with id, sentence and language (detected if missing).

    Precision, recall and F1 are printed per language of the lines with labels (entities, optional_classes).
    PREDICTIONS gets one line {"id", "classes"} for each sentence. With SCHEMA, the lexicon is checked against it and mentions have
    its classes only, as in the stage.

    Raises:
        ValueError: if a line of GOLD lacks a value, or the lexicon names a class that the schema lacks.
    """
    words = load_lexicon(resolve_shipped(lexicon), load_schema(resolve_shipped(schema)) if schema else None)
    rows = list(_read(gold))
    predicted = [
        {name for mention in find_mentions(row["sentence"], row["language"], words) for name in mention.classes}
        for row in rows
    ]
    if predictions is not None:
        with atomic(predictions) as temporary, temporary.open("w", encoding="utf-8") as file:
            for row, classes in zip(rows, predicted, strict=True):
                file.write(json.dumps({"id": row["id"], "classes": sorted(classes)}, ensure_ascii=False) + "\n")
    for language, counts in sorted(count_classes(rows, predicted).items()):
        print(
            f"{language}  precision {counts.precision:.3f}  recall {counts.recall:.3f}  F1 {counts.f1:.3f}"
            f"  ({counts.right} right, {counts.extra} extra, {counts.missed} missed)"
        )


def _read(path: Path) -> list[LabelledSentence]:
    rows: list[LabelledSentence] = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            language = row.get("language") or detect_language(row["sentence"])
            labels = row.get("entities"), row.get("optional_classes")
            rows.append(
                LabelledSentence(
                    id=row["id"],
                    sentence=row["sentence"],
                    language=language,
                    entities=labels[0],
                    optional_classes=labels[1],
                )
            )
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path}: line {number}: needs JSON with id, language and sentence") from None
        if language not in LANGUAGES:
            raise ValueError(f"{path}: line {number}: language must be one of {', '.join(LANGUAGES)}")
    return rows
