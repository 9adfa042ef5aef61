"""Whether a mention is present, negated, absent (removed) or uncertain: trigger words and their scope, after ConText.

The trigger words are in lexicon.yaml.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from functools import lru_cache

__all__ = ["assert_spans"]

Triggers = Mapping[str, re.Pattern[str]]

LONGEST_CLAUSE = 400  # characters before and after a mention that are looked at
NEARBY = 60  # characters around a mention that name its removal
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
    statements = _Statements(sentence, triggers)
    return [statements.assertion(start, end) for start, end in spans]


@lru_cache(maxsize=65536)
def _names(pattern: re.Pattern[str], words: str) -> bool:
    """The words have a trigger; parts of a hyphenated word count."""
    return bool(pattern.search(words.replace("-", " ")))


class _Statements:
    """The triggers of a sentence, each searched once, and the statements around its mentions."""

    def __init__(self, sentence: str, triggers: Triggers) -> None:
        self.sentence, self.triggers = sentence, triggers
        # Same length, so that offsets hold.
        self.masked = triggers["no_negation"].sub(lambda match: "\0" * len(match.group()), sentence)
        borders = [match.span() for border in (_BREAK, triggers["but"]) for match in border.finditer(sentence)]
        self.border_starts = sorted(start for start, _ in borders)
        self.border_ends = sorted(end for _, end in borders)
        self.commas = [match.start() for match in _COMMA.finditer(sentence)]
        self.found: dict[str, tuple[list[int], list[int]]] = {}

    def hits(self, name: str) -> tuple[list[int], list[int]]:
        """Starts and ends of a trigger in the sentence."""
        if name not in self.found:
            text = self.masked if name.startswith("negated") else self.sentence
            spans = [match.span() for match in self.triggers[name].finditer(text)]
            self.found[name] = ([start for start, _ in spans], [end for _, end in spans])
        return self.found[name]

    def last(self, name: str, left: int, right: int) -> int | None:
        """Where the last hit of a trigger within these borders ends."""
        starts, ends = self.hits(name)
        index = bisect_right(ends, right) - 1
        return ends[index] if index >= 0 and starts[index] >= left else None

    def first(self, name: str, left: int, right: int) -> int | None:
        """Where the first hit of a trigger within these borders begins."""
        starts, ends = self.hits(name)
        index = bisect_left(starts, left)
        return starts[index] if index < len(starts) and ends[index] <= right else None

    def clause(self, start: int, end: int) -> tuple[int, int]:
        """The part of the sentence around a span without strong marks and contrasting words, not too long."""
        before = bisect_right(self.border_ends, start) - 1
        after = bisect_left(self.border_starts, end)
        left = self.border_ends[before] if before >= 0 else 0
        right = self.border_starts[after] if after < len(self.border_starts) else len(self.sentence)
        return max(left, start - LONGEST_CLAUSE), min(right, end + LONGEST_CLAUSE)

    def to_comma(self, start: int, right: int) -> int:
        index = bisect_left(self.commas, start)
        return min(self.commas[index], right) if index < len(self.commas) else right

    def assertion(self, start: int, end: int) -> str:
        """The assertion of one span."""
        sentence = self.sentence
        left, right = self.clause(start, end)
        mention, comma = sentence[start:end], self.to_comma(end, right)
        if label := _DENIED_LABEL.match(sentence, end, min(len(sentence), end + LONGEST_CLAUSE)):
            is_finding = bool(label["finding"]) or _names(self.triggers["disease"], mention)
            return "absent" if "absent" in label.group().lower() and not is_finding else "negated"
        if self.is_removed(left, start, end, comma):
            return "absent"
        if (
            self.reaches("uncertain_before", left, start, end, right)
            or self.first("uncertain_after", end, comma) is not None
        ):
            return "uncertain"
        if self.reaches("negated_before", left, start, end, right):
            return "negated"
        if self.first("unseen", end, comma) is not None and _names(self.triggers["disease"], mention):
            return "negated"
        if heading := _HEADING.match(sentence, end):  # "Leber: keine Herde"
            right = self.clause(heading.end(), heading.end())[1]
            if self.first("absent_after", heading.end(), self.to_comma(heading.end(), right)) is not None:
                return "absent"
            return "negated" if self.is_denied(mention, heading.end(), right) else "present"
        finding = " ".join(
            sentence[max(left, start - NEARBY) : start].split()[-2:]
        )  # "Divertikulose des Sigmas ohne ..."
        named = mention if "," in finding else f"{finding} {mention}"
        return "negated" if self.is_denied(named, end, right) else "present"

    def is_denied(self, mention: str, start: int, right: int) -> bool:
        """Something about the mention is denied after it: "Leber ohne Läsion", but not "Gastritis ohne Ulkus"."""
        comma = self.to_comma(start, right)
        if self.first("negated_after", start, comma) is not None:
            return True
        adjoining = self.first("negated_beside", start, comma)
        if adjoining is None:
            return False
        between = self.masked[start:adjoining]
        return len(between.split()) <= 1 and not _names(self.triggers["disease"], mention + between)

    def is_removed(self, left: int, start: int, end: int, comma: int) -> bool:
        """The organ is gone, as a whole."""
        partial, named = self.triggers["partial"], self.sentence[start:end].replace("-", " ")
        before = self.sentence[max(left, start - NEARBY) : start]
        if _names(self.triggers["removal"], named):
            return not partial.search(named) and not partial.search(" ".join(before.split()[-2:]))
        removed = self.last("lobe_removal", max(left, start - NEARBY), min(comma, end + NEARBY))
        if removed is not None and removed > start:
            return not partial.search(" ".join([*before.split()[-4:], named]))
        trigger = self.last("absent_before", left, start)
        between = self.sentence[trigger:start].lower().split() if trigger is not None else ["-"]
        if set(between) <= _ARTICLES and not _names(self.triggers["disease"], named):
            return self.first("partial", left, start) is None
        return self.first("absent_after", end, comma) is not None and self.first("partial", end, comma) is None

    def reaches(self, trigger: str, left: int, start: int, end: int, right: int) -> bool:
        """The last trigger before the mention is in force: what is between is a list that goes on to the mention.

        A list ends where a new statement begins: "Keine Stauung, Leber vergrößert", "No PE, cardiomegaly".
        """
        last = self.last(trigger, left, start)
        return last is not None and _is_one_list(self.sentence[last:start], self.sentence[end:right], self.triggers)


def _is_one_list(scope: str, after: str, triggers: Triggers) -> bool:
    """The mention between the two texts is an item of the list that begins with `scope`."""
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
