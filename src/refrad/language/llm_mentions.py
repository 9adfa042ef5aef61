"""Mentions found by a language model, accepted only if the words of the sentence support them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, pairwise, repeat
from typing import Any, Literal

from pydantic import create_model

from refrad.anatomy.clinical_terms import find_terms
from refrad.anatomy.lexicon import Lexicon
from refrad.anatomy.schema import Schema
from refrad.language.levels import VERTEBRAE
from refrad.language.mention_finder import TextMention, find_mentions
from refrad.language.ribs import RIBS
from refrad.llm import Answer, Models, Request, Task, load_task
from refrad.statements.certainty import NEGATION, clauses, denials, is_doubted
from refrad.statements.change_words import is_change_word, is_small_word
from refrad.statements.sentence_content import LONGEST, TOO_LONG, side_words

__all__ = ["compare_finders", "find_with_model", "located_mentions", "mentions_task"]


SideWords = Mapping[str, re.Pattern[str]]

_WORD = re.compile(r"[^\W\d_]+")
# Nouns of reports that name no structure.
_COMMON = re.compile(
    r"technik\w*|kontrast\w*|vorstellung\w*|untersuchung\w*|befund\w*|beurteilung\w*|patient\w*|indikation\w*"
    r"|fragestellung\w*|verlauf\w*|nachweis\w*"
    r"|hinweis\w*|techniques?|contrast|findings?|impression|history|indication|examinations?|evidence|scans?"
    r"|images?|study|studies",
    re.IGNORECASE,
)
# Words of which one stands where a structure is absent.
_REMOVED = re.compile(
    r"ektomie|exstirp|resek|resez|entfern|fehl|agenesi|aplasi|nicht (?:mehr )?(?:angelegt|vorhanden)|explant|amput"
    r"|\b(?:CCE|CHE|NE|HE)\b"
    r"|ectom|remov|resect|absen|excis|surgically|not present|chole\b",
    re.IGNORECASE,
)


class _FoundMention(Answer):
    """One mention as a model gives it; `mentions_task` adds `classes`, with the names of the schema."""

    span: str
    assertion: Literal["present", "negated", "absent", "uncertain"]


def mentions_task(models: Models, lexicon: Lexicon, schema: Schema) -> Task[Any]:
    """The task of finding mentions, with the classes of the schema in prompt and form."""
    # The names of the schema as an enumeration, so that the server can only decode a class of the schema. The names of
    # the two answer classes are part of the key of stored replies: they must not change.
    names = Literal[tuple(entry.name for entry in schema.classes)]  # type: ignore[valid-type]
    mention: Any = create_model("FoundMention", __base__=_FoundMention, classes=(list[names], ...))  # type: ignore[valid-type]
    answer: Any = create_model("FoundMentions", __base__=Answer, mentions=(list[mention], ...))
    lists = {
        "en": "\n".join(f"{entry.name}: {entry.english}" for entry in schema.classes),
        "de": "\n".join(f"{entry.name}: {entry.german}" for entry in schema.classes),
    }
    return load_task(
        "mentions",
        models.prompts,
        answer,
        role="mentions",
        tokens=1000,
        check=partial(_problem, lexicon, schema),
        fill={language: {"classes": text} for language, text in lists.items()},
    )


def find_with_model(
    sentences: Iterable[tuple[str, str]],
    models: Models,
    lexicon: Lexicon,
    schema: Schema,
    patients: Iterable[str] = (),
) -> Iterator[list[TextMention] | None]:
    """For each (sentence, language) its mentions in their order, or None where the model failed; `patients` has a pseudonym for each."""
    task = mentions_task(models, lexicon, schema)
    requests = (
        Request(language, {"sentence": sentence}, patient)
        for (sentence, language), patient in zip(sentences, chain(patients, repeat("")), strict=False)
    )
    for reply in models.ask(task, requests):
        yield None if reply.answer is None else located_mentions(reply.request.data["sentence"], reply.answer.mentions)


def compare_finders(by_model: Sequence[TextMention], by_lexicon: Sequence[TextMention]) -> dict[str, int]:
    """How often model and lexicon name the same class in one sentence, and how often with the same assertion."""
    model, rules = (
        {name: mention.assertion for mention in mentions for name in mention.classes}
        for mentions in (by_model, by_lexicon)
    )
    common = model.keys() & rules.keys()
    agree = sum(model[name] == rules[name] for name in common)
    return {
        "both, asserted alike": agree,
        "both, asserted differently": len(common) - agree,
        "model only": len(model.keys() - rules.keys()),
        "lexicon only": len(rules.keys() - model.keys()),
    }


def _problem(lexicon: Lexicon, schema: Schema, request: Request, answer: Any) -> str | None:
    """The problem of an answer: a span that is not verbatim, spans that overlap, a side that the words contradict."""
    sentence = request.data["sentence"]
    if len(sentence) > LONGEST:
        return TOO_LONG
    located = []
    for mention, span in zip(answer.mentions, _locate(sentence, answer.mentions), strict=True):
        if span is None:
            return f"The span {mention.span!r} does not stand in the sentence letter by letter, or not so often."
        if not mention.classes or len(set(mention.classes)) < len(mention.classes):
            return f"The classes of {mention.span!r} must be one or more, each once."
        located.append((span, mention))
    located.sort(key=lambda pair: pair[0])
    for (previous, _), (span, mention) in pairwise(located):
        if span[0] < previous[1]:
            return f"The span {mention.span!r} overlaps another."
    by_lexicon = find_mentions(sentence, request.language, lexicon)
    side_patterns = lexicon.words[request.language].sides
    for span, mention in located:
        if _contradicts_sides(sentence, span, mention.classes, by_lexicon, side_patterns, schema):
            return f"The side of {mention.span!r} contradicts the words."
        overlapping = [entity for entity in by_lexicon if entity.start < span[1] and entity.end > span[0]]
        if not overlapping and not _may_be_anatomy(sentence[slice(*span)], request.language):
            return f"The span {mention.span!r} names no structure."
        if wrong := _contradicted_class(mention.classes, span, overlapping, schema):
            return f"The class {wrong} contradicts the words {mention.span!r}."
        if wrong := _contradicted_assertion(
            sentence, span, mention.assertion, overlapping, mention.classes, request.language
        ):
            return f"The words say that {mention.span!r} is {wrong}."
    return None


def _may_be_anatomy(text: str, language: str) -> bool:
    """Whether a span that the lexicon does not know has a word that may name a structure.

    Small words, sides, denials, words for findings and their look, and German words in lower case name none.
    """
    terms = find_terms(text, language)  # the places among them have no class
    sides = {start for start, _ in side_words(text, language)}
    for word in _WORD.finditer(text):
        within = [term for term in terms if term.start <= word.start() < term.end]
        common = _COMMON.fullmatch(word.group()) or (
            language == "de" and word.group().islower() and len(word.group()) > 1
        )
        idle = (
            within or common or word.start() in sides or is_small_word(word.group()) or NEGATION.fullmatch(word.group())
        )
        if not idle and not is_doubted(word.group()) and not is_change_word(word.group()):
            return True
    return False


def _contradicted_class(
    classes: Sequence[str], span: tuple[int, int], overlapping: Sequence[TextMention], schema: Schema
) -> str | None:
    """A class beside those that the lexicon knows for the span, their parts and wholes; or one of the lexicon that is missing.

    Only numbered ones count as missing.
    """
    named = {name for mention in overlapping for name in mention.classes if name in schema.by_name}
    if not named:
        return None
    allowed = named | _related(named, schema)
    if added := set(classes) - allowed:
        return min(added)
    covered = set(classes) | _related(set(classes), schema)
    inside = {
        name
        for mention in overlapping
        if span[0] <= mention.start and mention.end <= span[1]
        for name in mention.classes
        if name in named
    }
    missing = {name for name in inside - covered if name in RIBS or name in VERTEBRAE}
    return min(missing, default=None)


def _related(names: set[str], schema: Schema) -> set[str]:
    """Parts and wholes of classes."""
    return {schema.by_id[number].name for name in names for number in schema.related[schema.by_name[name].id]}


def _contradicted_assertion(
    sentence: str,
    span: tuple[int, int],
    assertion: str,
    overlapping: Sequence[TextMention],
    classes: Sequence[str],
    language: str,
) -> str | None:
    """The assertion that the words give, where the answer has none that its clause bears out.

    What the lexicon knows to be absent is absent. A model may correct the lexicon only by words of the same clause.
    """
    named = {mention.assertion for mention in overlapping if set(mention.classes) & set(classes)}
    if assertion in named:
        return None
    if "absent" in named:
        return "absent"
    start, end = next(
        ((first, last) for first, last in clauses(sentence) if first <= span[0] < last), (0, len(sentence))
    )
    clause = sentence[start:end]
    borne_out = {
        "present": not named or (named == {"negated"} and denials(clause) == 0 and _states(clause, language)),
        "negated": denials(clause) > 0,
        "uncertain": is_doubted(clause),
        "absent": _REMOVED.search(clause) is not None,
    }
    return None if borne_out[assertion] else min(named, default="present")


def _states(clause: str, language: str) -> bool:
    """Whether a clause says something itself, and is no mere part of a list."""
    return any(term.kind in ("finding", "look", "state") for term in find_terms(clause, language))


def _contradicts_sides(
    sentence: str,
    span: tuple[int, int],
    classes: Sequence[str],
    by_lexicon: Sequence[TextMention],
    side_words: SideWords,
    schema: Schema,
) -> bool:
    """Whether the sides of the classes differ from those of the side words, or of the same organ found by the lexicon."""
    start, end = span
    claimed = {schema.sides[name] for name in classes if name in schema.sides}
    if not claimed:
        return False
    in_span, in_sentence = _sides_in(sentence[start:end], side_words), _sides_in(sentence, side_words)
    if (in_span and claimed != in_span) or (in_sentence and claimed.isdisjoint(in_sentence)):
        return True
    organs = {schema.organ(name) for name in classes}
    of_organ = {
        schema.sides[name]
        for mention in by_lexicon
        if mention.start < end and mention.end > start and organs & {schema.organ(name) for name in mention.classes}
        for name in mention.classes
        if name in schema.sides
    }
    return bool(of_organ) and not claimed <= of_organ


def _locate(sentence: str, mentions: Sequence[Any]) -> list[tuple[int, int] | None]:
    """Start and end of each span, widened to whole words; a repeated span is its next occurrence, None if there is none."""
    ends: dict[str, int] = {}
    spans: list[tuple[int, int] | None] = []
    for mention in mentions:
        text = mention.span
        start = sentence.find(text, ends.get(text, 0)) if text.strip() else -1
        if start < 0:
            spans.append(None)
            continue
        end = ends[text] = start + len(text)
        while start > 0 and sentence[start].isalnum() and sentence[start - 1].isalnum():
            start -= 1
        while end < len(sentence) and sentence[end - 1].isalnum() and sentence[end].isalnum():
            end += 1
        spans.append((start, end))
    return spans


def located_mentions(sentence: str, mentions: Sequence[Any]) -> list[TextMention]:
    """Mentions of an accepted answer, in the order of the sentence."""
    located = [
        TextMention(*span, sentence[slice(*span)], tuple(mention.classes), mention.assertion)
        for mention, span in zip(mentions, _locate(sentence, mentions), strict=True)
        if span is not None
    ]
    return sorted(located, key=lambda mention: mention.start)


def _sides_in(text: str, side_words: SideWords) -> set[str]:
    """The sides that side words of the text name."""
    names = {name for name in ("left", "right", "both") if side_words[name].search(text)}
    return {"left", "right"} if "both" in names else names
