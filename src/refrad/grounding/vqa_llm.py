"""Questions about the findings of an image, written by a language model from its captions."""

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Literal

from pydantic import ConfigDict

from refrad.anatomy.schema import Schema
from refrad.core.types import LANGUAGES
from refrad.grounding.vqa_checks import ImageFacts, VqaPair
from refrad.llm import Answer, Models, Request, load_task

__all__ = ["ask_model"]

TOKENS = 150  # for each pair


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


def ask_model(
    images: Iterable[tuple[ImageFacts, str]], models: Models, schema: Schema, count: int
) -> Iterator[list[VqaPair] | None]:
    """For each image and language `count` pairs, unchecked but for their number, or None where the model failed."""
    fill = {language: {"count": str(count)} for language in LANGUAGES}
    task = load_task(
        "qa", models.prompts, GeneratedPairs, role="qa", tokens=TOKENS * count, check=partial(_check, count), fill=fill
    )
    requests = (Request(language, _data(image, language, schema)) for image, language in images)
    for reply in models.ask(task, requests):
        if reply.answer is None:
            yield None
            continue
        yield [
            VqaPair(
                reply.request.language,
                "findings",
                one.kind,
                one.question.strip(),
                tuple(choice.strip() for choice in one.choices),
                one.answer.strip(),
                reply.model,
                one.evidence,
            )
            for one in reply.answer.pairs
        ]


def _data(image: ImageFacts, language: str, schema: Schema) -> dict[str, object]:
    """What the model gets to know: the captions, and the names of what is visible, largest first."""
    visible = sorted(image.areas, key=lambda class_id: -image.areas[class_id])
    names = [schema.by_id[one].english if language == "en" else schema.by_id[one].german for one in visible]
    return {"sentences": list(image.texts[language]), "visible": names, "modality": image.modality}


def _check(count: int, _request: Request, answer: GeneratedPairs) -> str | None:
    return None if len(answer.pairs) == count else f"Give exactly {count} pairs."
