"""Mentions found by a language model: accepted only where the words of the sentence bear them out."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from pydantic import create_model

from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.language.mention_finder import TextMention, find_mentions
from refrad.llm import Answer, Models, Request, Task, load_task

__all__ = ["compare", "find_with_model", "mentions_task"]


class _Found(Answer):
    """One mention as a model gives it; `classes` are filled in from the schema."""

    span: str
    assertion: Literal["present", "negated", "absent", "uncertain"]


def mentions_task(models: Models, lexicon: Lexicon, schema: Schema) -> Task[Any]:
    """The task of finding mentions, with the classes of the schema in prompt and form."""
    # The names of the schema as an enumeration, so that the server can only decode a class that there is.
    names = Literal[tuple(one.name for one in schema.classes)]  # type: ignore[valid-type]
    one: Any = create_model("FoundMention", __base__=_Found, classes=(list[names], ...))  # type: ignore[valid-type]
    form: Any = create_model("FoundMentions", __base__=Answer, mentions=(list[one], ...))
    lists = {
        "en": "\n".join(f"{one.name}: {one.english}" for one in schema.classes),
        "de": "\n".join(f"{one.name}: {one.german}" for one in schema.classes),
    }
    return load_task(
        "mentions",
        models.prompts,
        form,
        role="mentions",
        tokens=1000,
        check=partial(_problem, lexicon, schema),
        fill={language: {"classes": text} for language, text in lists.items()},
    )


def find_with_model(
    sentences: Iterable[tuple[str, str]], models: Models, lexicon: Lexicon, schema: Schema
) -> Iterator[list[TextMention] | None]:
    """For each (sentence, language) its mentions in their order, or None where the model failed."""
    task = mentions_task(models, lexicon, schema)
    requests = (Request(language, {"sentence": sentence}) for sentence, language in sentences)
    for reply in models.ask(task, requests):
        yield None if reply.answer is None else _placed(reply.request.data["sentence"], reply.answer.mentions)


def compare(by_model: Sequence[TextMention], by_lexicon: Sequence[TextMention]) -> dict[str, int]:
    """How often model and lexicon name the same class in one sentence, and how often they assert it in the same way."""
    one, other = ({name: m.assertion for m in found for name in m.classes} for found in (by_model, by_lexicon))
    both = one.keys() & other.keys()
    agree = sum(one[name] == other[name] for name in both)
    return {
        "both, asserted alike": agree,
        "both, asserted differently": len(both) - agree,
        "model only": len(one.keys() - other.keys()),
        "lexicon only": len(other.keys() - one.keys()),
    }


def _problem(lexicon: Lexicon, schema: Schema, request: Request, answer: Any) -> str | None:
    """What is wrong with an answer: a span that is not verbatim, spans that overlap, a side that the words contradict."""
    sentence = request.data["sentence"]
    sides = lexicon.words[request.language].sides
    known = find_mentions(sentence, request.language, lexicon)
    placed = []
    for one, place in zip(answer.mentions, _places(sentence, answer.mentions), strict=True):
        if place is None:
            return f"The span {one.span!r} does not stand in the sentence letter by letter, or not so often."
        if not one.classes or len(set(one.classes)) < len(one.classes):
            return f"The classes of {one.span!r} must be one or more, each once."
        placed.append((place, one))
    placed.sort(key=lambda pair: pair[0])
    for (first, _), (second, one) in pairwise(placed):
        if second[0] < first[1]:
            return f"The span {one.span!r} overlaps another."
    everywhere = _sides_in(sentence, sides)
    for (start, end), one in placed:
        claimed = {side for name in one.classes if (side := schema.sides.get(name))}
        inside = _sides_in(sentence[start:end], sides)
        beside = {
            side
            for mention in known
            if mention.start < end
            and mention.end > start
            and _organs(mention.classes, schema) & _organs(one.classes, schema)
            for name in mention.classes
            if (side := schema.sides.get(name))
        }
        if not claimed:
            continue
        if (inside and claimed != inside) or (everywhere and claimed.isdisjoint(everywhere)):
            return f"The side of {one.span!r} contradicts the words."
        if beside and not claimed <= beside:
            return f"The side of {one.span!r} contradicts the words."
    return None


def _places(sentence: str, mentions: Sequence[Any]) -> list[tuple[int, int] | None]:
    """Where each span stands, widened to whole words; a span that comes again is the next of its kind."""
    reached: dict[str, int] = {}
    places: list[tuple[int, int] | None] = []
    for one in mentions:
        start = sentence.find(one.span, reached.get(one.span, 0)) if one.span.strip() else -1
        if start < 0:
            places.append(None)
            continue
        end = reached[one.span] = start + len(one.span)
        while start > 0 and sentence[start].isalnum() and sentence[start - 1].isalnum():
            start -= 1
        while end < len(sentence) and sentence[end - 1].isalnum() and sentence[end].isalnum():
            end += 1
        places.append((start, end))
    return places


def _placed(sentence: str, mentions: Sequence[Any]) -> list[TextMention]:
    """Mentions of an accepted answer, in the order of the sentence."""
    found = [
        TextMention(*place, sentence[slice(*place)], tuple(one.classes), one.assertion)
        for one, place in zip(mentions, _places(sentence, mentions), strict=True)
        if place is not None
    ]
    return sorted(found, key=lambda mention: mention.start)


def _sides_in(text: str, words: Any) -> set[str]:
    """The sides that side words of the text name."""
    named = {name for name in ("left", "right", "both") if words[name].search(text)}
    return {"left", "right"} if "both" in named else named


def _organs(classes: Iterable[str], schema: Schema) -> set[frozenset[str]]:
    """Classes regardless of their side."""
    return {schema.organ(name) for name in classes}
