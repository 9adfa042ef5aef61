"""Whether a mention is present, negated, absent (removed) or uncertain: trigger words and their scope, after ConText.

The trigger words are in lexicon.yaml.
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["assert_spans"]

Triggers = Mapping[str, re.Pattern[str]]

_BREAK = re.compile(r"[;:]|(?<=[a-zäöüß)]{3})\.\s")
_COMMA = re.compile(r",(?!\d)")
_ARTICLES = {"der", "des", "die", "das", "einer", "eines", "beider", "of", "the", "a", "his", "her", "both"}
_HEADING = re.compile(r"\s?:\s")
_LONGEST_ITEM = 3  # words between two commas of one list


def assert_spans(sentence: str, spans: Sequence[tuple[int, int]], triggers: Triggers) -> list[str]:
    """The assertion of each span (start, end) of the sentence: present, negated, absent or uncertain.

    Negated means that a finding at the mention is denied; the organ itself is there. Absent means that the organ was
    removed or never was there; a partial resection does not count.
    """
    # Same length, so that offsets hold.
    masked = triggers["no_negation"].sub(lambda match: "\0" * len(match.group()), sentence)
    borders = [match.span() for border in (_BREAK, triggers["but"]) for match in border.finditer(sentence)]
    return [_assertion(sentence, masked, start, end, borders, triggers) for start, end in spans]


def _assertion(
    sentence: str, masked: str, start: int, end: int, borders: Sequence[tuple[int, int]], triggers: Triggers
) -> str:
    left, right = _clause(sentence, start, end, borders)
    before, mention, after = sentence[left:start], sentence[start:end], _to_comma(sentence[end:right])
    if _is_removed(before, mention, after, triggers):
        return "absent"
    if _reaches(triggers["uncertain_before"], before, after, triggers) or triggers["uncertain_after"].search(after):
        return "uncertain"
    if _reaches(triggers["negated_before"], masked[left:start], after, triggers):
        return "negated"
    if triggers["disease"].search(mention) and triggers["unseen"].search(after):
        return "negated"
    if heading := _HEADING.match(sentence, end):  # "Leber: keine Herde"
        right = _clause(sentence, heading.end(), heading.end(), borders)[1]
        return "negated" if _denied(mention, _to_comma(masked[heading.end() : right]), triggers) else "present"
    return "negated" if _denied(mention, _to_comma(masked[end:right]), triggers) else "present"


def _denied(mention: str, after: str, triggers: Triggers) -> bool:
    """Something about the mention is denied after it: "Leber ohne Läsion", but not "Gastritis ohne Ulkus"."""
    if triggers["negated_after"].search(after):
        return True
    adjoining = triggers["negated_beside"].search(after)
    if adjoining is None or triggers["disease"].search(mention):
        return False
    return len(after[: adjoining.start()].split()) <= 1


def _clause(sentence: str, start: int, end: int, borders: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The part of the sentence around a span without strong marks and contrasting words, its borders."""
    left = max((last for _, last in borders if last <= start), default=0)
    right = min((first for first, _ in borders if first >= end), default=len(sentence))
    return left, right


def _reaches(trigger: re.Pattern[str], before: str, after: str, triggers: Triggers) -> bool:
    """The last trigger before the mention is in force: no comma after it ended the list that it governs.

    A list ends where a new statement begins: "Keine Stauung, Leber vergrößert".
    """
    last = _last(trigger, before)
    if last is None:
        return False
    items = _COMMA.split(before[last.end() :])[1:]
    if items and triggers["normal"].match(after.lstrip()):
        return False
    return all(len(item.split()) <= _LONGEST_ITEM and not triggers["normal"].search(item) for item in items)


def _is_removed(before: str, mention: str, after: str, triggers: Triggers) -> bool:
    partial = triggers["partial"]
    if triggers["removal"].search(mention):
        return not partial.search(mention) and not partial.search(" ".join(before.split()[-2:]))
    last = None if triggers["disease"].search(mention) else _last(triggers["absent_before"], before)
    if last and set(before[last.end() :].lower().split()) <= _ARTICLES:
        return not partial.search(before)
    return bool(triggers["absent_after"].search(after)) and not partial.search(after)


def _last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last


def _to_comma(text: str) -> str:
    return _COMMA.split(text, maxsplit=1)[0]
