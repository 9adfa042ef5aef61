"""Lenient accuracy of closed questions: what an answer in a sentence says, beside the strict accuracy of the paper."""

import re
from collections.abc import Mapping, Sequence

from refrad.evaluation.metrics.option_letters import letter_answer, options_in_lines, options_of
from refrad.evaluation.metrics.stated_choice import choice_and_alternative, first_stated
from refrad.evaluation.metrics.text import DASHES, accuracy, choice_words, words

__all__ = ["accuracy_lenient"]

LONGEST = 4000  # characters of an answer that are read, and of a question, from its end
YES = frozenset({"yes", "ja", "是"})
NO = frozenset({"no", "nein", "kein", "keine", "keinen", "keiner", "keinem", "keines", "不", "否", "没"})

THINKING = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|\A.*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?([^{}]*)\}+")
TAG = re.compile(r"</?[a-z_]{1,20}>", re.IGNORECASE)  # of an answer, and control tokens
# Phrases that deny a finding, and phrases with a yes or no that answer nothing
DENIED_FINDING = re.compile(
    r"\b(?:not|nicht) (?:present|visible|seen|evident|identified|detected|vorhanden|nachweisbar|sichtbar|erkennbar|abgrenzbar)\b"
)
NO_ANSWER = re.compile(
    r"\b(?:no|keine?n?) (?:doubt|idea|answer|zweifel|ahnung|antwort)\b"
    r"|\b(?:yes|ja) (?:or|and|nor|oder|und|noch) (?:no|nein)\b|\b(?:no|nein) (?:or|and|nor|oder|und|noch) (?:yes|ja)\b"
)
HYPHEN = re.compile(  # of a word, not of a range of numbers
    rf"(?<=[^\W_])[{DASHES[:-1]}](?=[^\W\d_])|(?<=[^\W\d_])[{DASHES[:-1]}](?=\d)"
)


def accuracy_lenient(predicted: str, true: str, *, multiple: bool = False, question: str = "") -> float:
    """1 if an answer in its own words says the true one, else 0; it is never below the strict accuracy.

    - Yes or no (true answer "yes", "no", "ja", "nein"): the first yes or no that the answer says; "kein" is a no.
    - Options that the question lists: the letter that the answer names, else the first option whose text it states. Several
      letters, and a letter with the text of another option, are wrong.
    - Other true answers: stated in the answer, before the alternative of a question "left or right?".

    What counts as stated is in `first_stated`. Control tokens ("<eos>") and thinking are ignored. "Not visible" is a no, "not" and
    "normal" alone are not. Does not accept synonyms, and believes the first statement of an answer. Reads 4,000 characters.

    Args:
        predicted: the answer.
        true: the true answer: a word, a letter of an option, or an option's text.
        multiple: the question is a multiple choice.
        question: its text, with the options.
    """
    if accuracy(predicted, true, multiple=multiple):
        return 1.0
    answer = TAG.sub(" ", BOXED.sub(r"\1", THINKING.sub(" ", predicted))).strip()[:LONGEST]
    question = question[-LONGEST:]
    options = options_of(question) or (options_in_lines(question) if multiple else {})
    if multiple or options:
        true_letter = _letter_of_truth(true, options)
        by_letter = _is_true_letter(answer, true_letter, options)
        if by_letter is not None:
            return float(by_letter)
        true = _text_of_truth(true, true_letter, options)
    target = words(true)
    if len(target) == 1 and target[0] in YES | NO:
        return float(_first_yes_or_no(answer) == (target[0] in YES))
    return float(any(_states(answer, true, question, options, hyphen) for hyphen in (" ", "")))


def _is_true_letter(answer: str, true_letter: str | None, options: Mapping[str, str]) -> bool | None:
    """True if the letter of an answer is right; None if it names no letter, or the true answer cannot be one."""
    if _letter_of(answer, options) is not None:
        return None  # all of it is the text of an option
    named = letter_answer(answer)
    if named is None or (true_letter is None and not options):
        return None
    return named.letters == {true_letter} and not named.contradicts(true_letter or "", options)


def _letter_of_truth(true: str, options: Mapping[str, str]) -> str | None:
    letter = _letter_of(true, options)
    if letter is None and (named := letter_answer(true)) and len(named.letters) == 1:
        letter = min(named.letters)
    return letter


def _text_of_truth(true: str, letter: str | None, options: Mapping[str, str]) -> str:
    """The text of the true option; without a list of options, what stands behind the letter ("B) MRI"), or all ("MRI")."""
    if letter is None:
        return true
    named = letter_answer(true)
    return options.get(letter, " ".join(named.after) if named else "")


def _letter_of(text: str, options: Mapping[str, str]) -> str | None:
    return next((letter for letter, option in options.items() if accuracy(option, text, multiple=True)), None)


def _first_yes_or_no(answer: str) -> bool | None:
    sentence = NO_ANSWER.sub(" ", DENIED_FINDING.sub(" no ", " ".join(words(answer))))
    return next((word in YES for word in sentence.split() if word in YES | NO), None)


def _states(answer: str, true: str, question: str, options: Mapping[str, str], hyphen: str) -> bool:
    """True if the answer states the true text; `hyphen` replaces hyphens: "X-ray" is "X ray" and "Xray"."""
    answer, true, question = (HYPHEN.sub(hyphen, text) for text in (answer, true, question))
    target = choice_words(true)
    if not target or not set(target) <= set(choice_words(answer)):
        return False
    choices: list[Sequence[str]] = [choice_words(HYPHEN.sub(hyphen, option)) for option in options.values()]
    if target not in choices:
        choices = [*choices, target] if choices else choice_and_alternative(target, question)
    return first_stated(answer, choices) == target
