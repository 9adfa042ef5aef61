"""Options of multiple choices: those that a question lists, and the letter of an option that an answer names."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refrad.evaluation.metrics.stated_choice import FILLERS
from refrad.evaluation.metrics.text import choice_words

__all__ = ["LetterAnswer", "letter_answer", "options_in_lines", "options_of"]

LETTERS = "ABCDEFGH"
REACH = 100  # characters that a negation reaches, at most
# "A) text", "(A) text", "A. text", "A: text", each at the begin of a line or after white space.
OPTION = re.compile(
    r"(?:(?<=\s)|\A)\(?([A-Ha-h])(?:\)\s*|[.:]\s+)(?=\S)(.+?)(?=\s+\(?[A-Ha-h](?:\)|[.:]\s)|\n|\Z)", re.DOTALL
)
ANSWER_LINE = re.compile(r"\A(?:answer|antwort)\b.*:?\s*\Z", re.IGNORECASE)

OPENING = r"[\s*_$(\[\"'„“”‚‘’]*"
NO_WORD_AFTER_A = r"(?![\w'’])(?!(?<=A)\s+(?!is\b|ist\b)[a-zäöü])"  # "A mass", but "A is right"
# A letter that stands alone, or opens the answer with a mark behind it ("B", "(B)", "B.", "B) CT"), but not "B-cell".
OPENING_LETTER = re.compile(
    rf"\A{OPENING}([A-Ha-h])(?=[\s*_\"'“”‘’]*(?:[).:,;$\]–—]|-\s|\s(?:and|but|und)\s+(?:not|nicht)\b|\Z)|[ \t*]*\n)"
)
SUBJECT_LETTER = re.compile(
    rf"\A{OPENING}([A-H])[\s*_)]+(?:is|ist|wäre|would be)\b(?!\s+(?:not|nicht|wrong|incorrect|falsch|un))"
)
# "The answer is B", "Option B", "Antwort: (B)"; a small letter, and "a" before a word, would be an article.
NAMED_LETTER = re.compile(
    r"\b(?i:answer|option|choice|antwort|auswahl|lösung|solution)\b[\s*_:]*(?i:is|ist|lautet|would\s+be|wäre)?[\s*_:]*(?i:option\s+)?"
    rf"{OPENING}([A-H]{NO_WORD_AFTER_A}|[a-h](?=[\s).*]*\Z))"
)
# "I choose B.", "It is B", "MRI (B)"
CLOSING_LETTER = re.compile(
    r"(?:\b(?i:is|ist|it['’]s|be|choose|pick|select|wähle|nehme|with|for|für|therefore|thus|also|daher|correct|right|richtig)[\s:,*]+\(?|\()"
    r"([A-H])(?=[\s)*.!\]]*\Z|[)*\]]*[,;\n])"
)
FURTHER_LETTER = re.compile(
    r"[\s).:\]*_\"'“”‘’]*(?:(?:[,/;&+]|\b(?:and|or|und|oder)\b)[\s(\[*_]*)+(?i:option\s+)?([A-H])(?![\w'’-])(?!(?<=A)\s+[a-zäöü])"
)
NEGATION = re.compile(r"\b(?:not|never|nor|neither|nicht|kein\w*|weder)\b|n['’]t\b|\bcannot\b", re.IGNORECASE)


@dataclass(frozen=True)
class LetterAnswer:
    """The letters that an answer names, one or several alternatives.

    Attributes:
        letters: of options.
        after: the words behind the letters in their line.
        apart: the words before the letters, and those below if the letters end their line.
    """

    letters: frozenset[str]
    after: Sequence[str]
    apart: Sequence[Sequence[str]]

    def contradicts(self, letter: str, options: Mapping[str, str]) -> bool:
        """True if the words next to a letter are the text of another option: "B) CT" where B is MRI."""
        beside = [_opening(self.after, options), *(_equal(part, options) for part in self.apart)]
        return any(option not in (None, letter) for option in beside)


def options_of(question: str) -> dict[str, str]:
    """The options that a question lists with their letters, from A on: letter to text; empty without two of them."""
    options: dict[str, str] = {}
    for letter, text in OPTION.findall(question):
        if letter.upper() == "A":
            options = {}
        if letter.upper() == LETTERS[len(options) : len(options) + 1]:
            options[letter.upper()] = text.strip(" \t,;")
    return options if len(options) > 1 else {}


def options_in_lines(question: str) -> dict[str, str]:
    """The options on lines of their own without a letter, as A, B, C, ...: letter to text; empty without two of them.

    They are the lines behind the line of the question, up to a line that asks for the answer.
    """
    lines = [line.strip() for line in question.splitlines() if line.strip()]
    if lines and ANSWER_LINE.match(lines[-1]):
        lines.pop()
    question_line = next((number for number, line in enumerate(lines) if line.endswith(("?", "？", ":"))), len(lines))
    choices = lines[question_line + 1 :]
    return dict(zip(LETTERS, choices, strict=False)) if len(choices) > 1 else {}


def letter_answer(text: str) -> LetterAnswer | None:
    """The letters of options that a text names; None if it names none, or in several places."""
    named = [match for match in NAMED_LETTER.finditer(text) if not _is_denied(text, match)]
    options = {match[1].upper() for match in OPTION.finditer(text) if not _is_denied(text, match)}
    if len(options) > 1 and not named:
        return LetterAnswer(frozenset(options), (), ())  # it repeats the options
    match = OPENING_LETTER.match(text) or SUBJECT_LETTER.match(text)
    if match is None:
        closing = CLOSING_LETTER.search(text)
        if not named and closing is not None and not _is_denied(text, closing):
            named = [closing]
        if len({match[1].upper() for match in named}) != 1:
            return None
        match = named[0]
    letters = {match[1].upper()}
    end = match.end(1)
    while further := FURTHER_LETTER.match(text, end):
        letters.add(further[1])
        end = further.end(1)
    line, _, below = text[end:].partition("\n")
    after, alone = _without_fillers(line), () if choice_words(line) else _without_fillers(below)
    return LetterAnswer(frozenset(letters), after, (_without_fillers(text[: match.start()]), alone))


def _is_denied(text: str, match: re.Match[str]) -> bool:
    start = match.start(1)
    sentence = re.split(r"[.!?,;\n]", text[max(start - REACH, 0) : start])[-1]
    return NEGATION.search(sentence) is not None


def _without_fillers(text: str) -> list[str]:
    return [word for word in choice_words(text) if word not in FILLERS]


def _opening(said: Sequence[str], options: Mapping[str, str]) -> str | None:
    """The letter of the option whose text opens the words, of several the longest."""
    texts = {letter: _without_fillers(text) for letter, text in options.items()}
    opening = [letter for letter, text in texts.items() if text and said[: len(text)] == text]
    return max(opening, key=lambda letter: len(texts[letter]), default=None)


def _equal(said: Sequence[str], options: Mapping[str, str]) -> str | None:
    return next((letter for letter, text in options.items() if said and _without_fillers(text) == said), None)
