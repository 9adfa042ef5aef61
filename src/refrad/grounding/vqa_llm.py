"""Questions about the findings of an image, written by a language model from its captions."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal

from pydantic import ConfigDict

from refrad.anatomy.schema import Schema
from refrad.core.types import LANGUAGES
from refrad.grounding.vqa_checks import REASONS, ImageFacts, VqaChecks, VqaPair
from refrad.llm import Answer, Models, Request, Task, load_task

__all__ = ["GeneratedPairs", "generate_pairs", "qa_request", "qa_task", "read_pairs"]

TOKENS = 150  # of an answer, for each pair


# Names, docstrings and titles of the two answer classes are part of the key of stored replies: they must not change.


class Pair(Answer):
    """One pair as a model gives it; `evidence` is the part of a sentence that answers the question, word for word."""

    kind: Literal["open", "yesno", "multiple"]
    question: str
    choices: list[str]
    answer: str
    evidence: str


class GeneratedPairs(Answer):
    """The answer of task qa."""

    model_config = ConfigDict(title="Pairs")

    pairs: list[Pair]


def generate_pairs(
    images: Iterable[tuple[ImageFacts, str]], models: Models, checks: VqaChecks, count: int
) -> Iterator[list[VqaPair] | None]:
    """For each image and language `count` pairs, or None where the model failed.

    Pairs that fail a check were sent back once, and are checked again by the stage.
    """
    task = qa_task(models, count, checks)
    requests = (qa_request(image, language, checks.schema) for image, language in images)
    for reply in models.ask(task, requests):
        yield None if reply.answer is None else read_pairs(reply.answer, reply.request.language, reply.model)


def qa_task(models: Models, count: int, checks: VqaChecks | None = None) -> Task[GeneratedPairs]:
    """The task of writing `count` pairs; with `checks`, pairs that fail one are sent back once."""
    fill = {language: {"count": str(count)} for language in LANGUAGES}
    check = partial(_check, count)
    advise = _advise_nothing if checks is None else partial(_advise, checks)
    return load_task(
        "qa", models.prompts, GeneratedPairs, role="qa", tokens=TOKENS * count, check=check, advise=advise, fill=fill
    )


def read_pairs(answer: GeneratedPairs, language: str, model: str) -> list[VqaPair]:
    """The pairs of an answer, as they are checked."""
    return [
        VqaPair(
            language,
            "findings",
            pair.kind,
            pair.question.strip(),
            tuple(choice.strip() for choice in pair.choices),
            pair.answer.strip(),
            model,
            pair.evidence,
        )
        for pair in answer.pairs
    ]


def qa_request(image: ImageFacts, language: str, schema: Schema) -> Request:
    """The captions, the modality, and the names of the visible structures, largest first."""
    visible = sorted(image.areas, key=lambda class_id: -image.areas[class_id])
    structures = [schema.by_id[class_id] for class_id in visible]
    names = [structure.english if language == "en" else structure.german for structure in structures]
    data = {"sentences": list(image.texts[language]), "visible": names, "modality": image.modality}
    return Request(language, data, image.patient)


def _check(count: int, _request: Request, answer: GeneratedPairs) -> str | None:
    return None if len(answer.pairs) == count else f"Give exactly {count} pairs."


def _advise(checks: VqaChecks, request: Request, answer: GeneratedPairs) -> str | None:
    """What is wrong with each pair that a check refuses."""
    image = _facts_of(request, checks.schema)
    problems = [checks.check_pair(pair, image) for pair in read_pairs(answer, request.language, "")]
    wrong = [f"Pair {number}: {REASONS[problem]}" for number, problem in enumerate(problems, 1) if problem]
    return " ".join(wrong) or None


def _advise_nothing(_request: Request, _answer: GeneratedPairs) -> str | None:
    return None


def _facts_of(request: Request, schema: Schema) -> ImageFacts:
    """The facts that a request tells."""
    names = {name: entry.id for entry in schema.classes for name in (entry.english, entry.german)}
    areas = {names[name]: 1 for name in request.data["visible"] if name in names}
    texts = {request.language: tuple(request.data["sentences"])}
    return ImageFacts("", request.data["modality"], "", None, areas, {}, {}, texts)
