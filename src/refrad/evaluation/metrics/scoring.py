"""Scores of single items from predictions and truth."""

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.core.garbage import without_garbage_collection
from refrad.core.progress import log_progress
from refrad.evaluation.metrics.cider import NORMALISATIONS, cider
from refrad.evaluation.metrics.comparability import image_size
from refrad.evaluation.metrics.finding_scores import FINDING_METRICS, score_findings
from refrad.evaluation.metrics.grounding import EntityName, Similarity, g_ious, name_of, overlap, same_name
from refrad.evaluation.metrics.judged_answer import JudgedAnswer
from refrad.evaluation.metrics.lenient import accuracy_lenient
from refrad.evaluation.metrics.localization import score_locations
from refrad.evaluation.metrics.records import REGION_TASKS, TASKS, EntityRecord, PredictionRecord, TruthRecord
from refrad.evaluation.metrics.region_grid import within
from refrad.evaluation.metrics.score_table import STRATA, ItemScores, Stratum, score_table
from refrad.evaluation.metrics.text import accuracy, f1, measure_f1, token_scores
from refrad.evaluation.metrics.text_metrics import TEXT_METRICS, TextMetric

__all__ = ["METRICS", "STRATA", "score_items", "score_place"]

log = logging.getLogger(__name__)

# Definition of each metric, and the differences that it does not measure.
METRICS: Mapping[str, str] = {
    "iou": "structures that the prompt names: IoU with the region of the name in the answer, 0 without one; several of one name are"
    " matched one to one, by overlap. Ignores surplus regions of the answer.",
    "dice": "like iou, of masks: twice the intersection / the sum of both areas. Ignores the same.",
    "class_recall": "share of the structures that the prompt names for which the answer has a region of the class, at any position.",
    "iou50": "share of the structures that the prompt names with an IoU of at least 0.5.",
    "g_iou": "entities matched greedily by the similarity of their names, ties by overlap; IoU x similarity of the matched, divided by the larger"
    " number of entities, true or predicted. Ignores the words around the entities.",
    "f1": "SQuAD's token F1 of open questions. Ignores word order, negation and decimals: 1.2 cm equals 12 cm.",
    "f1_all": "SQuAD's token F1 of all questions, open and closed, as papers on SLAKE and VQA-RAD report it. Ignores the same.",
    "recall": "share of the true words in the answer, open questions. Ignores surplus words as well.",
    "measure_f1": "token F1 in which numbers are read with their units: 1.2 cm is 12 mm and not 12 cm. Ignores word order and negation.",
    "accuracy": "closed questions: equal without regard to case, punctuation and articles, as in the paper. Does not accept synonyms or sentences.",
    "accuracy_lenient": "closed questions: the first yes or no that the answer says, the option that it names by letter or text, or the"
    " true words in it. Believes the first statement of an answer.",
    "cider_classic": "CIDEr (0 to 10) over lower-case words without punctuation, with the document frequencies of one dataset and task."
    " Ignores synonyms and negation; not comparable between test sets.",
    "cider_released": "CIDEr (0 to 10) over words with case and punctuation, as the paper's released code computes it.",
    **FINDING_METRICS,
    **TEXT_METRICS,
    "llm_score": "verdict of a language model from 1 to 5, as (s - 1) / 4. Ignores errors that the judge overlooks.",
}
PLACES = {metric: number for number, metric in enumerate(METRICS)}
SIZES = ((0.01, "below 1 % of the image"), (0.05, "1 to 5 %"), (0.2, "5 to 20 %"), (np.inf, "20 % and more"))


Pairs = Sequence[tuple[TruthRecord, PredictionRecord]]


def score_items(
    truth: Mapping[str, TruthRecord],
    predictions: Mapping[str, PredictionRecord],
    similarity: Similarity | None = None,
    names: Mapping[int, str] | None = None,
    judge: Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]] | None = None,
    text_metrics: Mapping[str, TextMetric] | None = None,
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The score of each item on each metric of its task, and counts of items without a score.

    Items are questions and captions; of task locate, the true regions. A question without a prediction scores as an empty
    answer and is counted as `unanswered`; `empty answers` are predictions without anything that answers their question. Questions
    with a blank true answer, and captions without any true entity (for G-IoU), have no score and are counted.

    Args:
        truth: by id.
        predictions: by id.
        similarity: of names, for G-IoU; None: same class or, where one of them has no class, same text.
        names: of the classes, for the column `class`.
        judge: returns the LLMScore of captions and of answers to open questions; NaN where the judge failed.
        text_metrics: by name, of the same texts.

    Returns:
        One row an item and metric with the columns dataset, id, task, metric, value, group and STRATA; and the counts.

    Raises:
        ValueError: if no prediction has an id of the truth.
    """
    if not truth.keys() & predictions.keys():
        raise ValueError("no prediction has the id of a question: do the two files belong together?")
    counts = Counter(
        asked=len(truth),
        answered=sum(name in predictions for name in truth),
        unanswered=sum(name not in predictions for name in truth),
        unasked=sum(name not in truth for name in predictions),
    )
    counts["empty answers"] = sum(
        predictions[name].is_empty(true) for name, true in truth.items() if name in predictions
    )
    pairs = [(true, predictions.get(true.id) or PredictionRecord(id=true.id)) for true in truth.values()]
    judged = list(_judge_rows(pairs, judge)) if judge else []  # first: a judge that cannot be used ends all
    scores = itertools.chain(
        _location_rows([pair for pair in pairs if pair[0].task == "locate"], names or {}),
        _finding_rows([pair for pair in pairs if pair[0].task in REGION_TASKS], counts, names or {}),
        _answer_rows([pair for pair in pairs if pair[0].task == "vqa"], counts),
        _caption_rows([pair for pair in pairs if pair[0].task in ("caption", "detect")], counts, similarity),
        _text_rows(pairs, text_metrics or {}),
        judged,
    )
    with without_garbage_collection():  # not while the judge is asked, which may take hours
        return score_table(scores, truth), dict(counts)


def score_place(task: str, metric: str) -> tuple[int, int]:
    """Sort key of scores: tasks, then metrics, in the order of their definitions; unknown ones last."""
    return TASKS.index(task) if task in TASKS else len(TASKS), PLACES.get(metric, len(PLACES))


def _progress(pairs: Pairs, unit: str) -> Iterator[tuple[TruthRecord, PredictionRecord]]:
    return log_progress(pairs, log, unit, len(pairs))


def _rows(true: TruthRecord, *scores: tuple[str, float]) -> ItemScores:
    """Scores of a whole question."""
    return ItemScores(true.id, Stratum(category=true.category), scores)


def _location_rows(pairs: Pairs, names: Mapping[int, str]) -> Iterator[ItemScores]:
    for true, prediction in _progress(pairs, "questions with regions"):
        size = image_size([entity.region for entity in true.entities], true.size) if true.entities else None
        for target, score in zip(true.entities, score_locations(true.entities, prediction.entities), strict=True):
            category = target.category or true.category
            stratum = Stratum(_class_name(name_of(target), names), _size(target, size), category)
            dice = () if target.mask is None else (("dice", score.dice),)
            scores = ("iou", score.iou), *dice, ("class_recall", float(score.is_named)), ("iou50", float(score.hit))
            yield ItemScores(true.id, stratum, scores)


def _finding_rows(pairs: Pairs, counts: Counter[str], names: Mapping[int, str]) -> Iterator[ItemScores]:
    for true, prediction in _progress(pairs, "questions with findings"):
        for finding in score_findings(true, prediction):
            class_name = _class_name(finding.name, names) if finding.name else None
            size = None if finding.share is None else _size_name(finding.share)
            yield ItemScores(true.id, Stratum(class_name, size, finding.category or true.category), finding.values)
            if finding.lacks_side:
                counts["findings without a side"] += 1


def _class_name(name: EntityName, names: Mapping[int, str]) -> str:
    class_id, text = name
    return names.get(class_id or 0) or text or f"class {class_id}"


def _size(entity: EntityRecord, size: tuple[float, float] | None) -> str | None:
    """The stratum of the entity's share of its image; None if the size of the image is unknown."""
    if entity.box is None:
        height, width = (entity.mask or {})["size"]
        return _size_name(overlap(entity.region, np.ones((height, width), bool)))
    if size is None:
        return None
    x_min, y_min, x_max, y_max = within(entity.box, size)
    return _size_name((x_max - x_min) * (y_max - y_min) / (size[0] * size[1]))


def _size_name(share: float) -> str:
    return next(name for limit, name in SIZES if share < limit)


def _answer_rows(pairs: Pairs, counts: Counter[str]) -> Iterator[ItemScores]:
    for true, prediction in _progress(pairs, "answers"):
        reference, answer = (true.answer or "").strip(), (prediction.answer or "").strip()
        if not reference:
            counts["blank truth"] += 1
        elif true.closed:
            is_multiple = true.kind == "multiple"
            yield _rows(
                true, *_closed_scores(answer, reference, is_multiple, (true.question or "") if is_multiple else "")
            )
        else:
            scores = token_scores(answer, reference)
            yield _rows(
                true,
                ("f1_all", scores.f1),
                ("f1", scores.f1),
                ("recall", scores.recall),
                ("measure_f1", scores.measure_f1),
            )


@lru_cache(maxsize=10_000)  # closed questions have few answers
def _closed_scores(answer: str, reference: str, multiple: bool, question: str) -> tuple[tuple[str, float], ...]:
    return (
        ("f1_all", f1(answer, reference)),
        ("accuracy", accuracy(answer, reference, multiple=multiple)),
        ("accuracy_lenient", accuracy_lenient(answer, reference, multiple=multiple, question=question)),
    )


def _caption_rows(pairs: Pairs, counts: Counter[str], similarity: Similarity | None) -> Iterator[ItemScores]:
    # Text metrics of all captions with words
    captions = [(true, prediction) for true, prediction in pairs if (true.answer or "").strip()]
    # CIDEr: document frequencies are those of the captions of one dataset and task.
    parts: dict[tuple[str | None, str], list[tuple[TruthRecord, PredictionRecord]]] = {}
    for true, prediction in captions:
        parts.setdefault((true.dataset, true.task), []).append((true, prediction))
    for part in parts.values():
        answers = [prediction.answer or "" for _, prediction in part]
        references = [true.answer or "" for true, _ in part]
        for normalisation in NORMALISATIONS:
            values = cider(answers, references, normalisation).tolist()
            for (true, _), value in zip(part, values, strict=True):
                yield _rows(true, (f"cider_{normalisation}", value))
    for true, prediction in _progress(captions, "captions"):
        yield _rows(true, ("measure_f1", measure_f1(prediction.answer or "", true.answer or "")))

    # G-IoU of the captions with true entities
    grounded = [(true, prediction) for true, prediction in pairs if true.task == "detect" and true.entities]
    counts["captions without a true entity"] = sum(true.task == "detect" for true, _ in pairs) - len(grounded)

    def keyed(entities: Sequence[EntityRecord]) -> list[tuple[Any, Any]]:
        return [(entity.text if similarity else name_of(entity), entity.region) for entity in entities]

    scores = g_ious(
        [keyed(prediction.entities) for _, prediction in grounded],
        [keyed(true.entities) for true, _ in grounded],
        similarity or _same_names,
    )
    for (true, _), value in zip(grounded, scores.tolist(), strict=True):
        yield _rows(true, ("g_iou", value))


def _same_names(ours: Sequence[EntityName], theirs: Sequence[EntityName]) -> NDArray[np.float64]:
    return np.array([same_name(a, b) for a, b in zip(ours, theirs, strict=True)], np.float64)


def _free_texts(pairs: Pairs) -> Pairs:
    """The captions and the answers to open questions whose true text is not blank."""
    return [
        (true, prediction)
        for true, prediction in pairs
        if true.task != "locate" and not true.closed and (true.answer or "").strip()
    ]


def _text_rows(pairs: Pairs, metrics: Mapping[str, TextMetric]) -> Iterator[ItemScores]:
    texts = _free_texts(pairs)
    answers = [prediction.answer or "" for _, prediction in texts]
    references = [true.answer or "" for true, _ in texts]
    for name, metric in metrics.items():
        for (true, _), value in zip(texts, metric(answers, references).tolist(), strict=True):
            yield _rows(true, (name, value))


def _judge_rows(pairs: Pairs, judge: Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]]) -> Iterator[ItemScores]:
    judged = []
    for true, prediction in _free_texts(pairs):
        if (prediction.answer or "").strip():
            judged.append((true, prediction))
        else:
            yield _rows(true, ("llm_score", 0.0))  # the judge does not rate silence
    answers = [
        JudgedAnswer(true.question or "", prediction.answer or "", true.answer or "", true.language or "en")
        for true, prediction in judged
    ]
    for (true, _), value in zip(judged, judge(answers).tolist(), strict=True):
        yield _rows(true, ("llm_score", value))
