"""Lenient accuracy of closed questions: what an answer in a sentence says, beside the strict accuracy of the paper."""

import re
from collections.abc import Sequence

from refrad.evaluation.metrics.text import accuracy, words

__all__ = ["accuracy_lenient", "options_of"]

YES = frozenset({"yes", "ja", "是"})
NO = frozenset({"no", "nein", "kein", "keine", "keinen", "keiner", "keinem", "keines", "不", "否", "没"})
NEGATIONS = frozenset({"no", "not", "nicht", "without", "ohne", "neither", "nor", "weder", "noch"}) | NO
# Articles of German, and verbs, between a negation and what it denies: "not an MRI", "is not the liver".
FILLERS = frozenset({"ein", "eine", "einen", "einer", "eines", "einem", "der", "die", "das", "den", "dem", "des"})

THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\{([^{}]*)\}")
# Phrases that deny a finding, and phrases with a no that answer nothing
DENIED_FINDING = re.compile(
    r"\b(?:not|nicht) (?:present|visible|seen|evident|identified|detected|vorhanden|nachweisbar|sichtbar|erkennbar|abgrenzbar)\b"
)
NO_ANSWER = re.compile(r"\b(?:no|keine?n?) (?:doubt|idea|answer|zweifel|ahnung|antwort)\b")

# "A) text", "(A) text", "A. text", "A: text", each at the begin of a line or after white space.
OPTION = re.compile(r"(?:(?<=\s)|\A)\(?([A-H])[).:]\s+(.+?)(?=\s+\(?[A-H][).:]\s|\n|\Z)", re.DOTALL)
ANSWER_LINE = re.compile(r"\A(?:answer|antwort)\b.*:?\s*\Z", re.IGNORECASE)
# A letter that stands alone, or opens the answer with a mark behind it: "B", "(B)", "B.", "B) CT".
OPENING_LETTER = re.compile(r"\A[\s*_(\[\"'„“”‚‘’]*([A-Ha-h])(?=[\s*_\"'“”‘’]*(?:[).:,;\]–-]|\Z))")
# "The answer is B", "Option B", "Antwort: (B)"; a small letter, and "a" before a word, would be an article.
NAMED_LETTER = re.compile(
    r"\b(?i:answer|option|choice|antwort|auswahl)\b[\s*_:]*(?i:is|ist|lautet|would\s+be|wäre)?[\s*_:]*(?i:option\s+)?"
    r"[\s*_(\[\"'„“”]*([A-H])(?![\w'’])(?!\s+[a-zäöü])"
)


def accuracy_lenient(predicted: str, true: str, *, multiple: bool = False, question: str = "") -> float:
    """1 if an answer in its own words says the true one, else 0; it is never below the strict accuracy.

    - Yes or no (true answer "yes", "no", "ja", "nein"): the first yes or no that the answer says; "kein" is a no.
    - Options that the question lists: the letter that the answer names, else the first option whose text it says without
      denying it.
    - Other true answers: their words stand in the answer, one after another, and are not denied by the word before them.

    Control tokens ("<eos>") and thinking are ignored. "Not visible" is a no, "not" and "normal" alone are not.
    Does not accept synonyms, and believes the first statement of an answer.

    Args:
        predicted: the answer.
        true: the true answer: a word, a letter of an option, or an option's text.
        multiple: the question is a multiple choice.
        question: its text, with the options.
    """
    if accuracy(predicted, true, multiple=multiple):
        return 1.0
    predicted = BOXED.sub(r"\1", THINKING.sub(" ", predicted)).strip()
    answer_words, target = words(predicted), words(true)
    if len(target) == 1 and target[0] in YES | NO:
        sentence = NO_ANSWER.sub(" ", DENIED_FINDING.sub(" no ", " ".join(answer_words)))
        first = next((word for word in sentence.split() if word in YES | NO), None)
        return float(first is not None and (first in YES) == (target[0] in YES))
    if multiple and len({letter for letter, _ in OPTION.findall(predicted)}) > 1 and not NAMED_LETTER.search(predicted):
        return 0.0  # it repeats the options
    options = options_of(question) if multiple else {}
    letter = _letter(predicted) if multiple else None
    true_letter = _letter(true)
    if letter and (true_letter or options):
        return float(letter == (true_letter or _letter_of(true, options)))
    if true_letter and multiple:
        target = words(options.get(true_letter, ""))
    choices = [words(text) for text in options.values()] or [target]
    return float(bool(target) and _first_said(answer_words, choices) == target)


def options_of(question: str) -> dict[str, str]:
    """The options that a question lists: letter to text; options on lines of their own without a letter get A, B, C, ...

    Lines count as options if two or more follow the line of the question, up to a line that asks for the answer.
    """
    lettered = {letter: text.strip() for letter, text in OPTION.findall(question)}
    if len(lettered) > 1:
        return lettered
    lines = [line.strip() for line in question.splitlines() if line.strip()]
    if lines and ANSWER_LINE.match(lines[-1]):
        lines.pop()
    question_line = next((number for number, line in enumerate(lines) if line.endswith(("?", "？", ":"))), len(lines))
    choices = lines[question_line + 1 :]
    return dict(zip("ABCDEFGH", choices, strict=False)) if len(choices) > 1 else {}


def _letter(text: str) -> str | None:
    """The letter of an option that a text names, if it names exactly one."""
    if match := OPENING_LETTER.match(text):
        return match[1].upper()
    letters = set(NAMED_LETTER.findall(text))
    return letters.pop() if len(letters) == 1 else None


def _letter_of(text: str, options: dict[str, str]) -> str | None:
    return next((letter for letter, option in options.items() if accuracy(option, text, multiple=True)), None)


def _first_said(said: Sequence[str], choices: Sequence[Sequence[str]]) -> Sequence[str] | None:
    """The choice that stands first among the words and is not denied; of those at one place, the longest."""
    by_length = sorted(filter(None, choices), key=len, reverse=True)
    for position in range(len(said)):
        for choice in by_length:
            if list(said[position : position + len(choice)]) == list(choice) and not _is_denied(said, position):
                return choice
    return None


def _is_denied(said: Sequence[str], position: int) -> bool:
    before = [word for word in said[:position] if word not in FILLERS]
    return bool(before) and before[-1] in NEGATIONS
