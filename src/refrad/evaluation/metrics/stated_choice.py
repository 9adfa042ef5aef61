"""The choice that an answer in its own words states: neither denied, nor left open, nor one item of a list."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from refrad.evaluation.metrics.text import choice_words

__all__ = ["FILLERS", "choice_and_alternative", "first_stated"]

Words = Sequence[str]

# Words beside a choice that do not change what is said
FILLERS = frozenset(
    {
        *("ein", "eine", "einen", "einer", "eines", "einem", "der", "die", "das", "den", "dem"),
        *("des", "it", "its", "this", "that", "thats", "these", "es", "dies", "dieses", "is", "are"),
        *("was", "were", "ist", "sind", "war", "answer", "antwort", "option", "an", "on", "in", "of"),
        *("im", "am", "auf", "both", "either", "beide", "entweder", "namely", "nämlich"),
    }
)
INTERJECTIONS = frozenset(
    {
        *("yes", "no", "ja", "nein", "sure", "well", "ok", "okay", "certainly", "clearly"),
        *("klar", "natürlich"),
    }
)
# Words that begin a new part of a sentence: a negation before them does not reach behind them.
RESETS = frozenset(
    {
        *("but", "and", "und", "sondern", "aber", "however", "jedoch", "thus", "hence", "so"),
        *("therefore", "shows", "showing", "demonstrates", "zeigt"),
    }
)
NEGATIONS = frozenset(
    {
        *("no", "not", "never", "without", "neither", "nor", "cannot", "cant", "isnt", "arent"),
        *("wasnt", "werent", "doesnt", "dont", "didnt", "wont", "unlikely", "exclude", "excludes"),
        *("excluded", "excluding", "except", "absent", "whether", "if", "unclear", "unsure"),
        *("uncertain", "nicht", "nie", "ohne", "weder", "kein", "keine", "keinen", "keiner"),
        *("keinem", "keines", "keinerlei", "ob", "statt", "anstatt", "außer", "unklar"),
        *("unwahrscheinlich", "ausschluss", "fraglich", "denies", "denied", "lacks", "lacking"),
        *("fails", "failed"),
    }
)
NEGATING = re.compile(
    r"\b(?:(?:rather|other) than|(?:instead|absence|free) of|negative for|rul(?:e|es|ed|ing) out|frei von)\b|\bnon\Z"
)
# No negations, though they have a word of one
ASSENTS = re.compile(
    r"\b(?:(?:no|without|ohne|keinen|kein) (?:doubt|question|zweifel)|not only|nicht nur|nothing but|if (?:i|forced|asked) .*)"
)
NEGATIVES = frozenset(("no", "nein", "negative", "negativ", "absent", "none"))
# Denials behind a choice, and words that leave it open
AFTERWARDS = re.compile(
    r"(?:(?:scan|image|view|bild) )?(?:is|are|was|were|can|could|ist|sind|war|kann|liegt|wurde|seems|appears)(?: es| it)?"
    r" (?:not|never|nicht)(?: be| zu| sicher| safely)*(?:\Z| (?:correct|right|true|present|seen|visible|evident|likely|possible|excluded"
    r"|ruled|case|answer|vor|vorhanden|richtig|korrekt|sichtbar|erkennbar|nachweisbar|abgrenzbar|wahrscheinlich|auszuschließen|sehen"
    r"|ausgeschlossen|ausschließen)\b)"
    r"|(?:isnt|wasnt|cannot|cant)(?: be)?(?:\Z| (?:correct|right|true|present|seen|likely|excluded|ruled)\b)"
    r"|(?:(?:is|was|has|have|been|ist|wäre|wurde|wird|seems|scheint|kann|can|could|be|very|sehr|eher) )*"
    r"(?:unlikely|absent|fehlt|wrong|incorrect|false|excluded|ruled out|ausgeschlossen|unwahrscheinlich|falsch)\b"
    r"|(?:not|nicht) (?:present|seen|visible|vorhanden|nachweisbar|sichtbar)\b"
)
ALTERNATIVES = frozenset(("or", "oder", "vs", "versus", "bzw"))
NO_ALTERNATIVE = re.compile(r"\b(?:with or without|mit oder ohne|more or less|mehr oder weniger)\b", re.IGNORECASE)
SLASH = re.compile(r"(?<=\w\w)\s*/\s*(?=\w\w)")  # of "CT/MRI", not of "L4/5"
MARK = re.compile(r"(?<!\d)[,;.:]|[,;.:](?!\d)|[!?\n()|]|\s[-–—]+\s")
LIST_MARK = re.compile(r"[,;|\n&+]|\b(?:and|or|und|oder|vs|versus|bzw)\b", re.IGNORECASE)
REACH = 20  # words that a negation reaches, at most
LONGEST_ITEM = 2  # words of an item of a bare list, if no choice is longer


def first_stated(answer: str, choices: Sequence[Words]) -> Words | None:
    """The choice that an answer states first; of those at one place, the longest. None if it states none.

    A choice is not stated where the same part of the sentence denies it ("no sign of", "is unlikely"), where it is left open
    ("whether", "cannot be excluded"), where it is one of alternatives ("CT or MRI"), or in a bare list of choices: of a list
    "CT, MRI" whose items may be anything, the first counts.

    Args:
        answer: a text.
        choices: the words of each choice, as `choice_words` returns them.
    """
    text = SLASH.sub(" or ", NO_ALTERNATIVE.sub(" ", answer))
    items = _bare_list(text, max(map(len, choices), default=0))
    if items is not None:
        return _choice_of_list(text, items, choices)
    statement = _statement_of(text)
    by_length = sorted(filter(None, choices), key=len, reverse=True)
    for start in range(len(statement.said)):
        for choice in by_length:
            stop = start + len(choice)
            if list(statement.said[start:stop]) == list(choice) and statement.asserts(start, stop):
                return choice
    return None


def choice_and_alternative(choice: Words, question: str) -> list[Words]:
    """A choice, and the one that the question sets against it: "left or right", "an axial or a sagittal view"."""
    asked_words = [word for word in choice_words(question) if word not in FILLERS]
    count = len(choice)
    for start in range(len(asked_words) - count + 1):
        if asked_words[start : start + count] != list(choice):
            continue
        if ALTERNATIVES & set(asked_words[start + count : start + count + 1]):
            return [choice, asked_words[start + count + 1 : start + 2 * count + 1]]
        if start and asked_words[start - 1] in ALTERNATIVES:
            return [choice, asked_words[max(start - 1 - count, 0) : start - 1]]
    return [choice]


@dataclass(frozen=True)
class _Statement:
    """The words of an answer, and the mark before each of them: "" for none, "," or "." for any other."""

    said: Words
    marks: Sequence[str]

    def asserts(self, start: int, stop: int) -> bool:
        """True if the words from `start` to `stop` are neither denied nor left open."""
        before = ASSENTS.sub(" ", " ".join(self._before(start)))
        denied = bool(NEGATIONS & set(before.split())) or NEGATING.search(before) is not None
        denied = denied or self._is_negated_behind(stop)
        return not (denied or AFTERWARDS.match(" ".join(self._after(stop))) or self._is_alternative(start, stop))

    def _before(self, position: int) -> Words:
        """The words before a position in the same part of the sentence."""
        first = position
        while first > max(position - REACH, 0) and not self.marks[first] and self.said[first - 1] not in RESETS:
            first -= 1
        return self.said[first:position]

    def _after(self, position: int) -> Words:
        last = position
        while last < min(position + REACH, len(self.said)) and not self.marks[last] and self.said[last] not in RESETS:
            last += 1
        return self.said[position:last]

    def _is_negated_behind(self, position: int) -> bool:
        """True for "edema: no"; a longer part that begins with a no denies something else."""
        following = self.said[position : position + 1]
        ends = [*self.marks, "."][position + 1 : position + 2] != [""]
        return bool(NEGATIVES & set(following)) and self.marks[position] == "." and ends

    def _is_alternative(self, start: int, stop: int) -> bool:
        """True for each X in "X or Y", "Y or an X", "X scan or Y scan", and "X, Y or Z"."""
        for position in (start - 1, start - 2):
            if position < 0 or self.marks[position + 1] == ".":
                break
            if self.said[position] in ALTERNATIVES:
                return True
        words_of_item = 0
        for position in range(stop, len(self.said)):
            if self.marks[position] == "." or words_of_item > 1:
                return False
            if self.said[position] in ALTERNATIVES:
                return True
            words_of_item = 1 if self.marks[position] else words_of_item + 1
        return False


def _statement_of(text: str) -> _Statement:
    stated: list[str] = []
    marks: list[str] = []
    mark, end = ".", 0
    for match in (*MARK.finditer(text), None):
        for word in choice_words(text[end : match.start() if match else None]):
            stated.append(word)
            marks.append(mark)
            mark = ""
        if match is not None:
            mark = "," if match[0] == "," and mark != "." else "."
            end = match.end()
    return _Statement(stated, marks)


def _bare_list(text: str, longest: int) -> list[Words] | None:
    """The items of an answer that is a list alone, of short items without a negation; None for other answers."""
    if not LIST_MARK.search(text):
        return None
    items = [[word for word in choice_words(part) if word not in FILLERS] for part in LIST_MARK.split(text)]
    items = [item for item in items if item and not INTERJECTIONS.issuperset(item)]
    if len(items) < 2 or any(
        len(item) > max(longest, LONGEST_ITEM) or (NEGATIONS | RESETS) & set(item) for item in items
    ):
        return None
    return list(items)


def _choice_of_list(text: str, items: Sequence[Words], choices: Sequence[Words]) -> Words | None:
    """The first item of "CT, contrast", if it is a choice; None if several items are choices, or may be."""
    listed = [choice for choice in choices if list(choice) in [list(item) for item in items]]
    is_enumeration = len(items) > 2 or re.search(r"\b(?:and|or|und|oder|vs|versus|bzw)\b|&", text, re.IGNORECASE)
    if len(listed) > 1 or (len(choices) == 1 and is_enumeration):
        return None
    if len(choices) > 1:
        return listed[0] if listed else None
    return next((choice for choice in choices if list(choice) == list(items[0])), None)
