"""What leaves an image of the dataset because of verdicts. When in doubt more leaves: what stays must be right.

| verdict | on | what leaves |
|---|---|---|
| reject, or any wrong_... on the whole caption | caption | the sentence in all its languages |
| wrong_span | phrase | the boxes of the phrase in this caption |
| wrong_box | phrase | the box of the class: from all phrases of the image, and from its structures |
| wrong_side | phrase | the box as with wrong_box, and the sentence in all its languages |
| reject | question | the question |

A caption without any phrase leaves, and an image without any caption. Where a verdict is on a caption, the questions about findings of the
image leave too: they rest on the same sentences and masks. A verdict on an item that has changed since has no effect.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from refrad.core.table_rows import BoxRow
from refrad.dataset.shard_rows import CaptionStruct, EntityStruct, ImageRow, QuestionStruct
from refrad.review.items import caption_digest, question_digest, question_id
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import FOLLOWS, LeftOutRow

__all__ = ["ReviewedImage", "leave_out", "rejections"]

Boxed = tuple[int, int, int, int, int]
"""Class and box."""


@dataclass(frozen=True)
class ReviewedImage:
    """An image without what verdicts reject.

    Attributes:
        row: what stays, or None where no caption does.
        left_out: the items that leave or lose a phrase, as they were.
        structures: number of structures that leave.
        outdated: number of verdicts on items of the image that have changed since.
    """

    row: ImageRow | None
    left_out: list[LeftOutRow]
    structures: int
    outdated: int


def rejections(verdicts: Iterable[ReviewVerdict]) -> dict[str, list[ReviewVerdict]]:
    """Image to the verdicts on it that reject something, of those that count."""
    by_image: dict[str, list[ReviewVerdict]] = {}
    for verdict in verdicts:
        if verdict.verdict != "accept":
            by_image.setdefault(verdict.image_id, []).append(verdict)
    return by_image


def leave_out(row: ImageRow, verdicts: Sequence[ReviewVerdict]) -> ReviewedImage:
    """What stays of an image, and what leaves it.

    Args:
        row: the image with all its captions and questions.
        verdicts: on the image; those that reject something.
    """
    captions = {(caption["caption"], caption_digest(row["image_id"], caption)): caption for caption in row["captions"]}
    questions = {(question_id(question), question_digest(row["image_id"], question)) for question in row["questions"]}
    valid = [
        verdict
        for verdict in verdicts
        if (verdict.item_id, verdict.digest) in (captions if verdict.item == "caption" else questions)
    ]
    on_captions = [
        (verdict, captions[verdict.item_id, verdict.digest]) for verdict in valid if verdict.item == "caption"
    ]
    sentences = {caption["sentence"] for verdict, caption in on_captions if _rejects_sentence(verdict, caption)}
    spans = {
        (caption["caption"], _entity(verdict, caption)["start"])
        for verdict, caption in on_captions
        if _is_on_phrase(verdict, caption)
    }
    boxes = {
        _boxed(_entity(verdict, caption))
        for verdict, caption in on_captions
        if _is_on_phrase(verdict, caption) and verdict.verdict in ("wrong_box", "wrong_side")
    }
    verdict_of = {(verdict.item, verdict.item_id): verdict.verdict for verdict in valid}
    left_out: list[LeftOutRow] = []
    staying_captions: list[CaptionStruct] = []
    for caption in row["captions"]:
        reviewed = _without_phrases(caption, spans, boxes)
        stays = caption["sentence"] not in sentences and bool(reviewed["entities"]) == bool(caption["entities"])
        if stays:
            staying_captions.append(reviewed)
        if not stays or reviewed != caption:
            left_out.append(_left_out_caption(row, caption, verdict_of.get(("caption", caption["caption"]), FOLLOWS)))
    staying_questions: list[QuestionStruct] = []
    for question in row["questions"]:
        rejected = verdict_of.get(("question", question_id(question)))
        if rejected or not staying_captions or (on_captions and question["topic"] == "findings"):
            left_out.append(_left_out_question(row, question, rejected or FOLLOWS))
        else:
            staying_questions.append(question)
    structures = [structure for structure in row["structures"] if _boxed(structure) not in boxes]
    changed: ImageRow = {**row, "captions": staying_captions, "questions": staying_questions, "structures": structures}
    return ReviewedImage(
        changed if staying_captions else None,
        left_out,
        len(row["structures"]) - len(structures),
        len(verdicts) - len(valid),
    )


def _is_on_phrase(verdict: ReviewVerdict, caption: CaptionStruct) -> bool:
    return verdict.verdict != "reject" and verdict.entity is not None and verdict.entity < len(caption["entities"])


def _rejects_sentence(verdict: ReviewVerdict, caption: CaptionStruct) -> bool:
    return verdict.verdict == "wrong_side" or not _is_on_phrase(verdict, caption)


def _entity(verdict: ReviewVerdict, caption: CaptionStruct) -> EntityStruct:
    assert verdict.entity is not None
    return caption["entities"][verdict.entity]


def _boxed(entry: BoxRow) -> Boxed:
    """Class and box of a phrase or structure."""
    return (entry["class_id"], entry["x_min"], entry["y_min"], entry["x_max"], entry["y_max"])  # type: ignore[typeddict-item]


def _without_phrases(caption: CaptionStruct, spans: set[tuple[str, int]], boxes: set[Boxed]) -> CaptionStruct:
    """A caption without the boxes of phrases that are rejected, or of which one box is."""
    starts = {entity["start"] for entity in caption["entities"] if _boxed(entity) in boxes}
    entities = [
        entity
        for entity in caption["entities"]
        if entity["start"] not in starts and (caption["caption"], entity["start"]) not in spans
    ]
    reviewed = caption.copy()
    reviewed["entities"] = entities
    return reviewed


def _left_out_caption(row: ImageRow, caption: CaptionStruct, verdict: str) -> LeftOutRow:
    classes = sorted({entity["class_id"] for entity in caption["entities"]})
    identity = caption["caption"], caption_digest(row["image_id"], caption)
    return _left_out(row, "caption", identity, (caption["language"], caption["text"]), classes, verdict)


def _left_out_question(row: ImageRow, question: QuestionStruct, verdict: str) -> LeftOutRow:
    identity = question_id(question), question_digest(row["image_id"], question)
    return _left_out(row, "question", identity, (question["language"], question["question"]), [], verdict)


def _left_out(
    row: ImageRow,
    item: Literal["caption", "question"],
    identity: tuple[str, str],
    words: tuple[str, str],
    classes: list[int],
    verdict: str,
) -> LeftOutRow:
    """A row of the table; `identity` is id and digest of the item, `words` are its language and text."""
    return {
        "image_id": row["image_id"],
        "volume": row["volume"],
        "study": row["study"],
        "patient": row["patient"],
        "split": row["split"],
        "modality": row["modality"],
        "plane": row["plane"],
        "index": row["index"],
        "item": item,
        "item_id": identity[0],
        "digest": identity[1],
        "language": words[0],
        "text": words[1],
        "classes": classes,
        "verdict": verdict,
    }
