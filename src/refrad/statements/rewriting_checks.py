"""Whether a sentence from which comparisons were dropped says of today what its original says."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from refrad.anatomy.lexicon import Lexicon, normalise
from refrad.language.mention_finder import find_mentions
from refrad.privacy.scrubbing import PLACEHOLDER
from refrad.statements.certainty import NEGATION, denials, gone_clauses, is_doubted
from refrad.statements.change_words import DENIED_CHANGE, changes, find_comparison, former_numbers, is_small_word
from refrad.statements.sentence_content import (
    DENIED,
    DOUBTED,
    LONGEST,
    ORDER,
    TOO_LONG,
    UNPRINTED,
    Content,
    claims_of,
    class_difference,
    in_order,
    is_inside,
    measures,
    placeholders,
    read_content,
)

__all__ = ["check_rewriting"]

LONGER = 1.15  # a rewritten sentence has at most so much more letters ...
AND = 20  # ... and these
STEM = 4  # fewest letters at the beginning that make two words the same ...
ENDING = 4  # ... and most letters after them

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_BOTH = (["both"], ["beide"])  # "both unchanged" tells no side
_GONE = "What is no longer there must be denied or left out."


def check_rewriting(before: str, after: str, language: str, lexicon: Lexicon) -> str | None:
    """The problem of a sentence from which comparisons were to be dropped, as a message to the model, or None.

    It may be empty only where the original names no anatomy, or nothing that is still there.
    """
    if UNPRINTED.search(after):
        return "sentence must be one line of plain text."
    if max(len(before), len(after)) > LONGEST:
        return TOO_LONG
    gone = gone_clauses(before)
    if not after.strip():
        standing = _without(before, gone)
        return "The finding must stay." if find_mentions(standing, language, lexicon) else None
    if len(after) > LONGER * len(before) + AND:
        return "sentence is longer than the original: add nothing."
    if added := placeholders(after) - placeholders(before):
        return f"The placeholder {min(added)} does not stand in the original."
    problem = _changed_numbers(before, after, gone) or _changed_words(before, after, gone)
    if problem is not None:
        return problem
    if (comparison := find_comparison(after)) is not None:
        return f"A comparison is left: {comparison}."
    # What is said to be unchanged is not denied itself.
    stated = _without(before, [match.span() for match in DENIED_CHANGE.finditer(before)])
    return _changed_denial(stated, after, gone) or _changed_content(
        read_content(stated, language, lexicon), read_content(after, language, lexicon), gone
    )


def _changed_numbers(before: str, after: str, gone: Sequence[tuple[int, int]]) -> str | None:
    """A number that is not of today, one that was added, or one of today that was dropped."""
    former, times = former_numbers(before)
    masked_before = _without(before, former)
    if added := _numbers(after) - _numbers(before):
        return f"The number {min(added)} does not stand in the original."
    if old := _numbers(after) - _numbers(masked_before):
        return f"The number {min(old)} is of another day, or says how much has changed."
    if lost := _numbers(_without(before, [*former, *times, *gone])) - _numbers(after):
        return f"The number {min(lost)} must stay."
    sizes_before, sizes_after = ([measure.size for measure in measures(text)] for text in (masked_before, after))
    return None if in_order([{str(size)} for size in sizes_before], [{str(size)} for size in sizes_after]) else ORDER


def _changed_words(before: str, after: str, gone: Sequence[tuple[int, int]]) -> str | None:
    """A removed word that is not of comparison or time, or an added word."""
    standing = _without(before, gone)
    stems_before, stems_after = _stems(_words(before)), _stems(_words(after))
    may_go = Counter(changes(standing))
    for word in _words(standing):
        if _stems_of(word) & stems_after:
            continue
        if may_go[word] > 0 or is_small_word(word):
            may_go[word] -= 1
            continue
        return f"The word {word} must stay."
    for word in _words(after):
        if not _stems_of(word) & stems_before and not is_small_word(word):
            return f"The word {word} does not stand in the original."
    return None


def _changed_denial(before: str, after: str, gone: Sequence[tuple[int, int]]) -> str | None:
    """An added or removed denial. What is gone may be denied or left out."""
    standing = _without(before, gone)
    words_after = _stems(_words(after))
    remaining = [
        (start, end)
        for start, end in gone
        if any(
            _stems_of(word) & words_after for word in _content_words(before[start:end]) if word not in _words(standing)
        )
    ]
    fewest = denials(standing) + bool(remaining)
    most = denials(standing) + sum(max(1, denials(before[start:end])) for start, end in remaining)
    if denials(after) < fewest and remaining:
        return _GONE
    return None if fewest <= denials(after) <= most else DENIED


def _changed_content(before: Content, after: Content, gone: Sequence[tuple[int, int]]) -> str | None:
    """Another side, class, order, denial or certainty. Each part of the result has its counterpart in the original."""
    if not in_order([{side} for _, side in before.sides], [{side} for _, side in after.sides]):
        return ORDER
    sides = [
        side
        for start, side in before.sides
        if not is_inside(start, gone) and not (side == "both" and changes(before.text[start : start + 40])[:1] in _BOTH)
    ]
    if Counter(sides) - Counter(side for _, side in after.sides):
        return "All sides must stay."
    for kinds in (("finding",), ("look",), ("degree",)):
        if not in_order(*([term.names for term in content.of_kind(*kinds)] for content in (before, after))):
            return ORDER
    classes_before, classes_after = ([mention.classes for mention in content.mentions] for content in (before, after))
    if len(classes_after) > 1 and not in_order(classes_before, classes_after):
        return ORDER
    for term in after.of_kind("finding", "look"):
        assertions = {same.assertion for same in before.terms if same.kind == term.kind and same.names & term.names}
        if assertions and term.assertion not in assertions:
            denied = "negated" in (term.assertion, *assertions)
            return DENIED if denied else DOUBTED
    if is_doubted(_without(before.text, gone)) != is_doubted(after.text):
        return DOUBTED
    return _changed_classes(before, after, gone)


def _changed_classes(before: Content, after: Content, gone: Sequence[tuple[int, int]]) -> str | None:
    """Classes or their assertions that differ; what is gone may be denied or left out."""
    claims = claims_of(after.mentions)
    lost = {name for mention in before.mentions if is_inside(mention.start, gone) for name in mention.classes}
    standing = claims_of(mention for mention in before.mentions if not is_inside(mention.start, gone))
    for name in lost - standing.keys():
        if claims.get(name, {"negated"}) - {"negated", "absent"}:
            continue
        claims.pop(name, None)
    comparable = {name: claims[name] for name in claims if name in standing or name not in lost}
    if problem := class_difference(standing, comparable):
        return problem
    unclear = [name for name in claims if name not in comparable and claims[name] - {"negated", "absent"}]
    denied = denials(after.text) > 0
    return None if not unclear or denied else _GONE


def _without(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """The text with blanks for some spans, so that offsets hold."""
    letters = list(text)
    for start, end in spans:
        letters[start:end] = " " * (end - start)
    return "".join(letters)


def _stems(words: Iterable[str]) -> set[str]:
    return {stem for word in words for stem in _stems_of(word)}


def _stems_of(word: str) -> set[str]:
    """Beginnings of a word: two words with a common one differ in their endings alone."""
    plain = normalise(word)
    return {plain[:length] for length in range(max(STEM, len(plain) - ENDING), len(plain))} | {plain}


def _numbers(text: str) -> Counter[str]:
    return Counter(_NUMBER.findall(text))


def _words(text: str) -> list[str]:
    words = _WORD.findall(PLACEHOLDER.sub(" ", text))
    return [word.lower() for word in words if not NEGATION.fullmatch(word)]


def _content_words(text: str) -> list[str]:
    going = set(changes(text))
    return [word for word in _words(text) if word not in going and not is_small_word(word)]
