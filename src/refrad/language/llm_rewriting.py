"""Captions changed by language models: comparisons dropped, translations added, and a sample of both judged."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

from pydantic import ConfigDict

from refrad.anatomy.lexicon import Lexicon
from refrad.core.table_rows import CaptionRow
from refrad.language.comparison_rules import cut_comparisons
from refrad.llm import Answer, Models, Request, Task, load_task
from refrad.statements.rewriting_checks import check_rewriting
from refrad.statements.translation_checks import check_translation
from refrad.workflow.tally import Tally

__all__ = [
    "OTHER",
    "Sentence",
    "SentenceVerdict",
    "judge_captions",
    "judge_task",
    "rewrite_captions",
    "rewrite_task",
    "translate_captions",
    "translate_task",
]

OTHER = {"de": "en", "en": "de"}
BEST = 5  # score without any error

ErrorKind = Literal[
    "finding_lost",
    "finding_added",
    "side_changed",
    "negation_changed",
    "number_changed",
    "comparison_left",
    "wrong_term",
    "bad_language",
]


# Names, docstrings and titles of the two answer classes are part of the key of stored replies: they must not change.
class Sentence(Answer):
    """The answer of rewrite and translate."""

    sentence: str


class SentenceVerdict(Answer):
    """The answer of judge."""

    model_config = ConfigDict(title="Verdict")  # part of the key of stored replies

    errors: list[ErrorKind]
    score: Literal[1, 2, 3, 4, 5]


def rewrite_task(models: Models, lexicon: Lexicon) -> Task[Sentence]:
    """The task of dropping comparisons, with its check."""
    check = partial(_check_rewriting, lexicon)
    return load_task("rewrite", models.prompts, Sentence, role="rewrite", tokens=300, check=check)


def translate_task(models: Models, lexicon: Lexicon) -> Task[Sentence]:
    """The task of translating into the other language, with its check."""
    check = partial(_check_translation, lexicon)
    return load_task("translate", models.prompts, Sentence, role="translate", tokens=400, check=check)


def judge_task(models: Models) -> Task[SentenceVerdict]:
    """The task of finding errors in a rewritten or translated sentence."""
    return load_task("judge", models.prompts, SentenceVerdict, role="judge", tokens=200, check=_check_verdict)


def rewrite_captions(captions: Sequence[CaptionRow], models: Models, lexicon: Lexicon) -> list[CaptionRow]:
    """The captions with the model's text, in their order, without those of which nothing is left.

    Where the model failed, the rules act as they do without one, which `rewriter` records.
    """
    task = rewrite_task(models, lexicon)
    # The language is in the data for the check; the prompt of that language is the one used.
    requests = (_request(caption, "text") for caption in captions)
    rewritten = []
    for caption, reply in zip(captions, models.ask(task, requests), strict=True):
        if reply.answer is None:
            text, how = cut_comparisons(caption["text"], caption["language"])
            rewritten.append(caption | {"text": text, "rewriter": f"{how}, after {reply.model} failed"})
        elif text := " ".join(reply.answer.sentence.split()):
            how = "unchanged" if text == caption["text"] else "rewritten"
            rewritten.append(caption | {"text": text, "rewriter": f"{reply.model}: {how}"})
    return rewritten


def translate_captions(
    captions: Sequence[CaptionRow], models: Models, lexicon: Lexicon
) -> list[tuple[CaptionRow, CaptionRow]]:
    """Captions and their translations into the other language, for each whose translation passed the checks.

    Indication and question are translated as well; where that fails they are null, since a row has one language. A
    translation still has the id of its caption.
    """
    task = translate_task(models, lexicon)

    def translate(
        column: Literal["text", "indication", "question"], rows: Sequence[CaptionRow]
    ) -> Iterator[str | None]:
        replies = models.ask(task, (_request(row, column) for row in rows if row[column]))
        for row in rows:
            answer = next(replies).answer if row[column] else None
            yield " ".join(answer.sentence.split()) if answer else None

    translated = [(caption, text) for caption, text in zip(captions, translate("text", captions), strict=True) if text]
    sources = [caption for caption, _ in translated]
    indications, questions = translate("indication", sources), translate("question", sources)
    return [
        (
            caption,
            caption
            | {
                "language": OTHER[caption["language"]],
                "text": text,
                "translator": models.name("translate"),
                "indication": indication,
                "question": question,
            },
        )
        for (caption, text), indication, question in zip(translated, indications, questions, strict=True)
    ]


def judge_captions(
    pairs: Mapping[str, Sequence[tuple[str, str, str]]], models: Models, most: int, tally: Tally
) -> None:
    """Have a model score a sample, at most `most` of each kind, and count scores and kinds of errors.

    `pairs` maps "rewrite" and "translate" to (language of the original, original, result).
    """
    task = judge_task(models)
    for kind, all_pairs in pairs.items():
        step = max(1, len(all_pairs) // max(most, 1))
        sample = all_pairs[::step][:most]
        requests = [Request(language, {"kind": kind, "before": a, "after": b}) for language, a, b in sample]
        for reply in models.ask(task, requests):
            if reply.answer is None:
                tally.add(f"judged: {kind}", "no verdict")
                continue
            tally.add(f"judged: {kind}", f"score {reply.answer.score}")
            for error in sorted(set(reply.answer.errors)):
                tally.add(f"errors found: {kind}", error)


def _request(caption: CaptionRow, column: Literal["text", "indication", "question"]) -> Request:
    return Request(caption["language"], {"sentence": caption[column]}, caption["patient"])


def _check_rewriting(lexicon: Lexicon, request: Request, answer: Sentence) -> str | None:
    return check_rewriting(request.data["sentence"], answer.sentence, request.language, lexicon)


def _check_translation(lexicon: Lexicon, request: Request, answer: Sentence) -> str | None:
    language = request.language
    return check_translation(request.data["sentence"], answer.sentence, language, OTHER[language], lexicon)


def _check_verdict(_request: Request, answer: SentenceVerdict) -> str | None:
    if (answer.score == BEST) == bool(answer.errors):
        return "A score of 5 has no errors, and each lower score has at least one."
    return None
