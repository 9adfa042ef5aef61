"""Whether a mention is present, negated, absent (removed) or uncertain: trigger words and their scope, after ConText.

The trigger words are in lexicon.yaml.
"""

import re
from collections.abc import Mapping, Sequence

__all__ = ["assert_spans"]

Triggers = Mapping[str, re.Pattern[str]]

_BREAK = re.compile(r"[;:]|(?<=[a-zäöüß)]{3})\.\s")
_COMMA = re.compile(r",(?!\d)")
_CONJUNCTION = re.compile(r"\s(?:und|oder|sowie|bzw\.?|noch|u\.|and|or|nor)\s|\s?/\s", re.IGNORECASE)
_AND = re.compile(r"\s(?:und|u\.|sowie|and)\s", re.IGNORECASE)
_ARTICLES = {"der", "des", "die", "das", "einer", "eines", "beider", "of", "the", "a", "his", "her", "both"}
_HEADING = re.compile(r"\s?:\s")
_LONGEST_ITEM = 4  # words of one item of a list
_LONG_LIST = 2  # commas of a list that does without a conjunction
_MEASURE = re.compile(r"\d\s?(?:mm|cm|ml|cc|HE|HU|%)(?!\w)", re.IGNORECASE)
_PREPOSITION = re.compile(r"\b(?:in|im|an|am|der|des|von|vom|of|the|at|on|within)\b", re.IGNORECASE)
_SEEN = re.compile(
    r"(?:(?:ist|sind|is|are|was|were|can be|lässt sich|lassen sich|eindeutig|sicher)\s)*(?:nachweis\w+|nachgewiesen|nachzuweisen|erkenn\w+"
    r"|abgrenz\w+|abzugrenzen|sichtbar|vorhanden|sehen|dargestellt|seen|identified|noted|visible|visuali[sz]ed|demonstrated|evident|detected"
    r"|appreciated|found)(?!\w)",
    re.IGNORECASE,
)
# A finding with its denial: "Nierensteine: keine", "Hydronephrosis: none seen", "Leber nein".
_DENIED_LABEL = re.compile(
    r"(?P<finding>(?:\s[^\W\d_][\w-]*){0,3}?)(?:\s?:|\s[-–=]|(?=\s(?:nein|none|nil)\b))\s?"
    r"(?:keine?[rsn]?|nein|negativ|nicht|none|no|not|nil|negative|absent|excluded|ausgeschlossen)"
    r"(?:\s(?:evidence|nachweis\w*|nachgewiesen|hinweise?|anhalt|vorhanden|bekannt|erkennbar|sichtbar|seen|identified|present|detected|noted"
    r"|visible|known|mehr))?\s*(?:[.,;)]|$)",
    re.IGNORECASE,
)


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
    if label := _DENIED_LABEL.match(sentence, end):
        is_finding = _is_disease(mention + label["finding"], triggers) or bool(label["finding"])
        return "absent" if "absent" in label.group().lower() and not is_finding else "negated"
    if _is_removed(before, mention, after, triggers):
        return "absent"
    statement = sentence[end:right]
    if _reaches(triggers["uncertain_before"], before, statement, triggers) or triggers["uncertain_after"].search(after):
        return "uncertain"
    if _reaches(triggers["negated_before"], masked[left:start], statement, triggers):
        return "negated"
    if _is_disease(mention, triggers) and triggers["unseen"].search(after):
        return "negated"
    if heading := _HEADING.match(sentence, end):  # "Leber: keine Herde"
        right = _clause(sentence, heading.end(), heading.end(), borders)[1]
        return "negated" if _denied(mention, _to_comma(masked[heading.end() : right]), triggers) else "present"
    return "negated" if _denied(mention, _to_comma(masked[end:right]), triggers) else "present"


def _is_disease(words: str, triggers: Triggers) -> bool:
    """The words name a finding or a device, not only an organ; parts of a hyphenated word count."""
    return bool(triggers["disease"].search(words.replace("-", " ")))


def _denied(mention: str, after: str, triggers: Triggers) -> bool:
    """Something about the mention is denied after it: "Leber ohne Läsion", but not "Gastritis ohne Ulkus"."""
    if triggers["negated_after"].search(after):
        return True
    adjoining = triggers["negated_beside"].search(after)
    if adjoining is None or _is_disease(mention + after[: adjoining.start()], triggers):
        return False
    return len(after[: adjoining.start()].split()) <= 1


def _clause(sentence: str, start: int, end: int, borders: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """The part of the sentence around a span without strong marks and contrasting words, its borders."""
    left = max((last for _, last in borders if last <= start), default=0)
    right = min((first for first, _ in borders if first >= end), default=len(sentence))
    return left, right


def _reaches(trigger: re.Pattern[str], before: str, after: str, triggers: Triggers) -> bool:
    """The last trigger before the mention is in force: what is between is a list that goes on to the mention.

    A list ends where a new statement begins: "Keine Stauung, Leber vergrößert", "No PE, cardiomegaly".

    Args:
        trigger: words that open the list.
        before: the clause before the mention.
        after: the clause after the mention.
        triggers: words that say something about an organ, as `normal`, end the list.
    """
    last = _last(trigger, before)
    if last is None:
        return False
    scope = before[last.end() :]
    first, *items = _COMMA.split(scope)
    to_comma, *following = _COMMA.split(after)
    own = _CONJUNCTION.split(to_comma)[0]
    if not items:  # "No effusion and the heart is enlarged"
        return not (_AND.search(first) and _is_said(" ".join(own.split()[:2]), triggers))
    parts = [part for item in items for part in _CONJUNCTION.split(f" {item.strip()} ")]
    if not all(_is_item(part, triggers) for part in parts) or _says_something(own, triggers):
        return False
    ends = [text for text in (to_comma, *following) if _AND.search(text)]
    if ends and _is_said(_AND.split(ends[0])[-1], triggers):
        return False  # "No nodes, liver and spleen are normal"
    if _CONJUNCTION.search(" ".join([*items, to_comma, *following[:1]])) or _continues(following, triggers):
        return True
    is_bare = not own.strip(" .)") or bool(_SEEN.match(own.strip()))
    return is_bare and (bool(_PREPOSITION.search(first)) or len(items) + len(following) >= _LONG_LIST)


def _continues(following: Sequence[str], triggers: Triggers) -> bool:
    """The items after the mention's lead to a conjunction: "..., Milz, Pankreas oder Nieren"."""
    for item in following:
        parts = _CONJUNCTION.split(f" {item.strip()} ")
        if not _is_item(parts[0], triggers):
            return False
        if len(parts) > 1:
            return True
    return False


def _is_said(words: str, triggers: Triggers) -> bool:
    """The words state something about an organ, more than that it is seen."""
    return bool(triggers["normal"].search(words)) and not _SEEN.search(words)


def _is_item(part: str, triggers: Triggers) -> bool:
    """The words may be an item of a list: few, without a measure, and without a statement about an organ."""
    words = part.split()
    return len(words) <= _LONGEST_ITEM and not _MEASURE.search(part) and not triggers["normal"].search(part)


def _says_something(after: str, triggers: Triggers) -> bool:
    """The words after a mention state something about it: "Herz grenzwertig groß", "spleen 14 cm"."""
    words = after.strip(" .)")
    if not words or words.startswith("(") or _SEEN.match(words):
        return False
    if _MEASURE.search(words) or triggers["normal"].search(words):
        return True
    return words[0].islower() and not triggers["attribute"].match(words)


def _is_removed(before: str, mention: str, after: str, triggers: Triggers) -> bool:
    partial, named = triggers["partial"], mention.replace("-", " ")
    if triggers["removal"].search(named):
        return not partial.search(named) and not partial.search(" ".join(before.split()[-2:]))
    leading = " ".join(before.split()[-3:])
    phrase = " ".join([leading, named, *after.split()[:1]])
    removed = triggers["lobe_removal"].search(phrase)
    if removed and removed.end() > len(leading) + 1:
        return not partial.search(" ".join([*before.split()[-4:], named]))
    last = None if _is_disease(mention, triggers) else _last(triggers["absent_before"], before)
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
