"""Whether a translation has the content of its original."""

import re
from collections import Counter
from collections.abc import Sequence

from refrad.anatomy.lexicon import Lexicon
from refrad.language.levels import DISCS
from refrad.language.sections import detect_language
from refrad.statements.certainty import clauses, denials, gone_words, is_doubted
from refrad.statements.sentence_content import (
    DENIED,
    DOUBTED,
    LONGEST,
    ORDER,
    TOO_LONG,
    UNPRINTED,
    Content,
    StatedTerm,
    claims_of,
    class_difference,
    is_inside,
    measures,
    placeholders,
    read_content,
)

__all__ = ["check_translation"]

LONGER = 2  # a translation has at most so many times the letters of the original ...
AND = 30  # ... and these
MIN_WORDS = 6  # for detecting the language

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_ROMAN = re.compile(r"\b(?:I{2,3}|IV|VI{1,3}|IX|XI{1,2}|X)(?=[ab]?\b)")
_BOUND = ("finding", "look", "state")  # kinds of terms that stay in their clause
_OF_ORGAN = {"hydronephrosis", "cholestasis", "ileus"}  # findings that imply their organ


def check_translation(before: str, after: str, language: str, target: str, lexicon: Lexicon) -> str | None:
    """The problem of a translation from `language` to `target`, as a message to the model, or None."""
    if not after.strip() or UNPRINTED.search(after):
        return "sentence must be one line of plain text and not empty."
    if max(len(before), len(after)) > LONGEST:
        return TOO_LONG
    if len(after) > LONGER * len(before) + AND:
        return "sentence is much longer than the original: add nothing."
    # English small words are added, since a text without any counts as German.
    if len(after.split()) >= MIN_WORDS and detect_language(f"{after} the of" if target == "en" else after) != target:
        return f"sentence must be in the language {target}."
    numbers_before, numbers_after = (
        Counter(number.replace(",", ".") for number in _NUMBER.findall(text)) for text in (before, after)
    )
    if numbers_before != numbers_after:
        wrong = min((numbers_before - numbers_after) or (numbers_after - numbers_before))
        return f"All numbers must be the same, each as often as in the original: see {wrong}."
    if Counter(_ROMAN.findall(before)) != Counter(_ROMAN.findall(after)):
        return "All numbers must be the same, Roman ones as well."
    if [measure.size for measure in measures(before)] != [measure.size for measure in measures(after)]:
        return "All sizes must stay in their order, with their units."
    if placeholders(before) != placeholders(after):
        return "All placeholders in brackets must stay, and no others come."
    original, translation = read_content(before, language, lexicon), read_content(after, target, lexicon)
    return (
        _changed_sides(original, translation)
        or _changed_classes(original, translation, lexicon)
        or _changed_terms(original, translation)
        or _changed_terms(translation, original)
        or _changed_order(original, translation)
        or _changed_certainty(original, translation)
    )


def _changed_classes(before: Content, after: Content, lexicon: Lexicon) -> str | None:
    """Classes of one sentence alone, or denied in one. Where both name the same sides, a class may have its twin besides."""
    claims, claims_after = _denied_classes(before, after), _denied_classes(after, before)
    for claimed in (claims, claims_after):
        claimed.pop(DISCS, None)  # of a level or not, by its spelling alone; a disc is a term
    if before.of_kind("finding", "look") and after.of_kind("finding", "look"):
        # The terms themselves are compared by what is denied, which is surer than what is said of an organ.
        claims, claims_after = ({name: {"named"} for name in names} for names in (claims, claims_after))
    if before.sides:
        for claimed, counterpart in ((claims, claims_after), (claims_after, claims)):
            for name in claimed.keys() - counterpart.keys():
                if lexicon.twins.get(name) in claimed.keys() & counterpart.keys():
                    del claimed[name]
    return class_difference(claims, claims_after)


def _changed_sides(before: Content, after: Content) -> str | None:
    """Sides that differ. "Both" may come or go only with classes that have sides, which are compared by themselves."""
    sides, translated = ([side for _, side in content.sides] for content in (before, after))
    if sides == translated:
        return None
    named = {
        side for mention in before.mentions for name in mention.classes for side in ("left", "right") if side in name
    }
    spread, spread_after = _spread(sides), _spread(translated)
    both = ("both" in sides) + ("both" in translated)
    if both == 2:
        single, single_translated = ([side for side in words if side != "both"] for words in (sides, translated))
        return None if single == single_translated else ORDER
    if both and (spread == spread_after or (not (spread and spread_after) and len(named) > 1)):
        return None
    return "Each side must stay, in its order, as often as in the original."


def _changed_terms(before: Content, after: Content) -> str | None:
    """A term of the first that the second lacks, or denies or doubts otherwise."""
    absent = any(mention.assertion == "absent" for mention in after.mentions)
    for term in before.terms:
        if term.kind == "degree" and _is_measured(term, before):
            continue
        same = [match for match in after.terms if match.kind == term.kind and match.names & term.names]
        if not same:
            if _said_otherwise(term, before, after) or ("removal" in term.names and absent):
                continue
            return f"A term was added, left out or changed: see {before.text[term.start : term.end]}."
        if term.kind in ("finding", "look") and term.assertion not in {match.assertion for match in same}:
            denied = "negated" in {term.assertion, *(match.assertion for match in same)}
            return DENIED if denied else DOUBTED
    return None


def _said_otherwise(term: StatedTerm, before: Content, after: Content) -> bool:
    """Something normal and a denied finding say the same: "schlank", "not dilated"."""
    if term.kind == "state":
        return any(match.assertion == "negated" for match in after.of_kind("finding", "look"))
    normal = len(after.of_kind("state")) > len(before.of_kind("state"))
    return term.kind in ("finding", "look") and term.assertion == "negated" and normal


def _is_measured(term: StatedTerm, content: Content) -> bool:
    """Whether a degree belongs to a size: "5 mm große Zyste"."""
    return "large" in term.names and any(0 <= term.start - measure.end <= 1 for measure in content.measures)


def _changed_order(before: Content, after: Content) -> str | None:
    """Findings, looks, degrees, places or classes that change their order."""
    for kind in ("finding", "look", "degree"):
        names, names_after = (
            _distinct([term.names for term in content.of_kind(kind) if not _is_measured(term, content)])
            for content in (before, after)
        )
        if len(names) == len(names_after) and not all(map(frozenset.intersection, names, names_after)):
            return ORDER
    classes, classes_after = (
        _distinct([frozenset(mention.classes) for mention in content.mentions]) for content in (before, after)
    )
    same = Counter(classes) == Counter(classes_after)
    return ORDER if same and classes != classes_after else None


def _changed_certainty(before: Content, after: Content) -> str | None:
    """Denial or doubt in one sentence alone, or in other clauses where both have the same number of them."""
    parts, parts_after = (
        [content.text[start:end] for start, end in clauses(content.text)] for content in (before, after)
    )
    if len(parts) == len(parts_after) and (problem := _changed_clauses(before, after)):
        return problem
    pairs = [(before.text, after.text)]
    pairs += zip(parts, parts_after, strict=True) if len(parts) == len(parts_after) else []
    for text, translated in pairs:
        if is_doubted(text) != is_doubted(translated):
            return DOUBTED
        denied, denied_after = (denials(part) > 0 or bool(gone_words(part)) for part in (text, translated))
        if denied != denied_after:
            plain = before if denied_after else after
            if not plain.of_kind("state") and not any(mention.assertion == "absent" for mention in plain.mentions):
                return DENIED
    return None


def _changed_clauses(before: Content, after: Content) -> str | None:
    """A finding or state that stands in another clause, where both have the same number of clauses."""
    for span, span_after in zip(clauses(before.text), clauses(after.text), strict=True):
        for content, counterpart, here, there in ((before, after, span, span_after), (after, before, span_after, span)):
            terms = [term for term in counterpart.of_kind(*_BOUND) if is_inside(term.start, [there])]
            elsewhere = [term for term in counterpart.of_kind(*_BOUND) if not is_inside(term.start, [there])]
            for term in content.of_kind(*_BOUND):
                if not is_inside(term.start, [here]) or _has(term, terms):
                    continue
                if _has(term, elsewhere):
                    return ORDER
    return None


def _has(term: StatedTerm, terms: Sequence[StatedTerm]) -> bool:
    return any(match.kind == term.kind and match.names & term.names for match in terms)


def _denied_classes(content: Content, counterpart: Content) -> dict[str, set[str]]:
    """Class to whether it is denied, since certainty is worded differently in each language.

    Without those that a finding implies where the counterpart names the finding: "Harnstau", "hydronephrosis".
    """
    implied = [
        term.start
        for term in content.terms
        if term.names & _OF_ORGAN and any(term.names & match.names for match in counterpart.terms)
    ]
    named = {name for mention in counterpart.mentions for name in mention.classes}
    mentions = [
        mention
        for mention in content.mentions
        if named.issuperset(mention.classes) or not any(mention.start <= start < mention.end for start in implied)
    ]
    return {
        name: {"denied" if assertion in ("negated", "absent") else "affirmed" for assertion in assertions}
        for name, assertions in claims_of(mentions).items()
    }


def _distinct(names: Sequence[frozenset[str]]) -> list[frozenset[str]]:
    """Without a part that repeats the one before."""
    return [part for number, part in enumerate(names) if number == 0 or not part & names[number - 1]]


def _spread(sides: Sequence[str]) -> set[str]:
    return {part for side in sides for part in (("left", "right") if side == "both" else (side,))}
