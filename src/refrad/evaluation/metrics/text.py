"""Text metrics: F1 and recall of open questions, accuracy of closed questions, and an F1 that reads numbers and units."""

import re
import string
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple, cast

__all__ = [
    "DASHES",
    "accuracy",
    "choice_words",
    "composed",
    "f1",
    "measure_f1",
    "measures",
    "normalised",
    "recall",
    "words",
]

DASHES = "-\u2010\u2011\u2012\u2013\u2014\u2212/"
# ASCII punctuation, as in SQuAD, and quotation marks, dashes and ellipses of other alphabets.
OTHER_PUNCTUATION = [
    chr(code)
    for code in (*range(0x80, 0x3100), *range(0xFF00, 0xFFF0))
    if unicodedata.category(chr(code)).startswith("P")
]
PUNCTUATION = str.maketrans(dict.fromkeys((*string.punctuation, *OTHER_PUNCTUATION)))
# Format characters of Unicode (Cf) in the same range
INVISIBLE = dict.fromkeys([code for code in (*range(0x80, 0x3100), 0xFEFF) if unicodedata.category(chr(code)) == "Cf"])
JOINT = "\u02d0"  # a word character where a hyphen or slash stood: the A of "A-scan" is no article
PARTED = str.maketrans(dict.fromkeys(DASHES, JOINT))
HYPHEN_IN_WORD = re.compile(r"(?<=[^\W\d_])[-\u2010\u2011](?=[^\W\d_])")
PUNCTUATION_MARKS = re.compile(f"[{re.escape(''.join(map(chr, PUNCTUATION)))}]+")
ARTICLE_WORDS = ("a", "an", "the")
ARTICLES = re.compile(r"\b(a|an|the)\b")
# Of multiple choices: "a" at the end or before another letter is the letter of an option ("hepatitis A", "A, C").
ARTICLES_OF_CHOICES = re.compile(r"\b(an|the)\b|\ba\b(?=\s+\w{2})")
# Control tokens of models, which some leave in their answers.
CONTROL_TOKENS = re.compile(r"</?s>|<(?:eos|bos|pad|unk|end_of_turn|start_of_turn)>|<\|[^|<>]*\|>")
HAN = re.compile(r"([\u3400-\u9fff])")

SIGNS = "-−"
NUMBER = r"(?:(?<![\w.,])[-−])?\d+(?:[.,]\d+)?"
# Unit -> base unit and factor.
UNITS = {
    **{"mm": ("mm", 1.0), "millimeter": ("mm", 1.0), "millimeters": ("mm", 1.0), "millimetre": ("mm", 1.0)},
    **{"millimetres": ("mm", 1.0), "cm": ("mm", 10.0), "centimeter": ("mm", 10.0), "centimeters": ("mm", 10.0)},
    **{"zentimeter": ("mm", 10.0), "centimetre": ("mm", 10.0), "centimetres": ("mm", 10.0), "m": ("mm", 1000.0)},
    **{"µm": ("mm", 0.001), "μm": ("mm", 0.001)},
    **{"mm²": ("mm²", 1.0), "mm2": ("mm²", 1.0), "cm²": ("mm²", 100.0), "cm2": ("mm²", 100.0)},
    **{"mm³": ("ml", 0.001), "mm3": ("ml", 0.001), "cm³": ("ml", 1.0), "cm3": ("ml", 1.0), "cc": ("ml", 1.0)},
    **{"ml": ("ml", 1.0), "l": ("ml", 1000.0), "liter": ("ml", 1000.0), "liters": ("ml", 1000.0)},
    **{"mg": ("g", 0.001), "g": ("g", 1.0), "kg": ("g", 1000.0), "hu": ("hu", 1.0), "he": ("hu", 1.0)},
    **{"%": ("%", 1.0), "percent": ("%", 1.0), "prozent": ("%", 1.0), "°": ("°", 1.0), "degrees": ("°", 1.0)},
    **{"ms": ("s", 0.001), "s": ("s", 1.0), "sec": ("s", 1.0), "min": ("s", 60.0)},
}
UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
# Numbers that share the unit of the last number: "1.2 x 3.4 cm", "3-4 mm".
MEASURE = re.compile(
    rf"(?P<numbers>{NUMBER}(?:\s*(?:x|×|\*|-|–|to|bis|by)\s*\d+(?:[.,]\d+)?)*)(?:\s*(?P<unit>{UNIT})(?![\w²³]))?"
)
DIGIT = re.compile(r"\d")
PLAIN_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")


class TokenScores(NamedTuple):
    """Shares of words, from 0 to 1, as the functions of these names return them."""

    f1: float
    recall: float
    measure_f1: float


def normalised(text: str, articles: re.Pattern[str] = ARTICLES) -> str:
    """Lower case without punctuation, English articles and surplus white space: the normalisation of SQuAD (Rajpurkar 2016).

    Composed and decomposed letters (NFC and NFD) become equal, and all quotation marks are punctuation, not only those of ASCII.
    """
    plain = _without_punctuation(_folded(text))
    pieces = plain.split()
    if articles is ARTICLES and "".join(pieces).isalnum():  # the usual case, at a third of the time
        return " ".join(piece for piece in pieces if piece not in ARTICLE_WORDS)
    return " ".join(articles.sub(" ", plain).split())


def _without_punctuation(text: str) -> str:
    # str.translate is slow outside of ASCII.
    return text.translate(PUNCTUATION) if text.isascii() else PUNCTUATION_MARKS.sub("", text)


def composed(text: str) -> str:
    """Composed letters (NFC) without characters that nobody sees, such as soft hyphens and zero-width spaces."""
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(INVISIBLE)


@lru_cache(maxsize=1024)  # several metrics read a text, one after the other
def _folded(text: str) -> str:
    return composed(text).lower()


def words(text: str, articles: re.Pattern[str] = ARTICLES) -> list[str]:
    """The words of a normalised text without control tokens of models; each Chinese character is one word."""
    plain = normalised(_without_control_tokens(text), articles)
    return (plain if plain.isascii() else HAN.sub(r" \1 ", plain)).split()


def choice_words(text: str) -> list[str]:
    """The words of an option of a multiple choice, or of an answer to one, where "a" is an article before a word only."""
    return words(text, ARTICLES_OF_CHOICES)


def _without_control_tokens(text: str) -> str:
    return CONTROL_TOKENS.sub(" ", text) if "<" in text else text


def f1(predicted: str, true: str, *, multiple: bool = False) -> float:
    """Token F1 of SQuAD: 2 PR / (P + R) over the words that both texts have, with multiplicity.

    A blank answer scores 0. Ignores the order of words, negation ("no mass" shares a word with "mass") and, since punctuation is
    dropped, decimals: "1.2 cm" equals "12 cm". `measure_f1` reads decimals. `multiple` as in `accuracy`.
    """
    return _f1(*_compared_words(predicted, true, choice_words if multiple else words))


def recall(predicted: str, true: str) -> float:
    """Share of the true words that were predicted. Ignores surplus words, and all that `f1` ignores."""
    return token_scores(predicted, true).recall


def accuracy(predicted: str, true: str, *, multiple: bool = False) -> float:
    """1 if both texts are equal once normalised, else 0; a blank answer is never right.

    A hyphen or slash is read as a blank, a hyphen between letters also as nothing: "x-ray" equals "x ray" and "xray". If one text
    has nothing left ("A", "+"), articles are kept in both, and if still nothing is left, both are compared as written, but for case.
    Does not accept synonyms: "right" is not "right side".

    Args:
        predicted: the answer.
        true: the true answer.
        multiple: the question is a multiple choice, where "a" is an article before a word only.
    """
    if not composed(predicted).strip():
        return 0.0
    forms: tuple[Callable[[str], str], ...] = (
        lambda text: normalised(text, ARTICLES_OF_CHOICES if multiple else ARTICLES),
        lambda text: " ".join(_written_words(text)),
        lambda text: _folded(text).strip(),
    )
    for form in forms:
        ours, theirs = form(predicted), form(true)
        if ours and theirs:
            return float(bool(_readings(predicted, form) & _readings(true, form)))
    return 0.0


def _readings(text: str, form: Callable[[str], str]) -> set[str]:
    """The text in a form, with the hyphens between letters as blanks and as nothing."""
    return {
        " ".join(form(reading.translate(PARTED)).replace(JOINT, " ").split())
        for reading in (text, HYPHEN_IN_WORD.sub("", text))
    }


def measure_f1(predicted: str, true: str) -> float:
    """Token F1 in which a number with its unit is one word, in its base unit: "1.2 cm" = "12 mm", but not "12 cm".

    Decimal comma and point are equal. A comma or point is never a thousands separator. Ignores the order of words and negation.
    """
    return _f1(*_compared_words(predicted, true, measures))


def measures(text: str) -> list[str]:
    """The words of a text with its numbers as words such as "12mm" or "3"; numbers share a unit in "2 x 3 cm" and "3-4 mm"."""
    lower = _folded(_without_control_tokens(text))
    if not DIGIT.search(lower):
        return words(lower)
    tokens, position = [], 0
    for match in _numbers(lower):
        if match.start() and (lower[match.start() - 1].isalnum() or lower[match.start() - 1] == "_"):
            continue  # the number is part of a word: t2, l4
        tokens += words(lower[position : match.start()])
        position = match.end()
        unit, factor = UNITS.get(match["unit"] or "", (match["unit"] or "", 1.0))
        sign = -1 if match["numbers"][0] in SIGNS else 1
        for number in PLAIN_NUMBER.findall(match["numbers"]):
            tokens.append(f"{sign * float(number.replace(',', '.')) * factor:.6g}{unit}")
            sign = 1
    return tokens + words(lower[position:])


def _numbers(text: str) -> Iterator[re.Match[str]]:
    """The matches of MEASURE, tried at digits and the signs before them alone."""
    end = 0
    while digit := DIGIT.search(text, end):
        start = digit.start()
        signed = MEASURE.match(text, start - 1) if start > end and text[start - 1] in SIGNS else None
        match = signed or cast(re.Match[str], MEASURE.match(text, start))
        yield match
        end = match.end()


def _compared_words(predicted: str, true: str, split: Callable[[str], list[str]]) -> tuple[list[str], list[str]]:
    """The words of an answer and of a true answer; if `split` leaves nothing of the true one, articles are kept, then all is.

    An answer without any word is compared as no words.
    """
    if theirs := split(true):
        return split(predicted), theirs
    if theirs := _written_words(true):
        return _written_words(predicted), theirs
    return _folded(predicted).split(), _folded(true).split() or [""]


def _written_words(text: str) -> list[str]:
    """The words with articles, without punctuation."""
    return _without_punctuation(_folded(text)).split()


def token_scores(predicted: str, true: str) -> TokenScores:
    """`f1`, `recall` and `measure_f1` of an answer; its words are read once."""
    ours, theirs = _compared_words(predicted, true, words)
    return TokenScores(
        _f1(ours, theirs),
        _shared(ours, theirs) / len(theirs),
        _f1(ours, theirs) if _is_wordy(predicted) and _is_wordy(true) else measure_f1(predicted, true),
    )


def _is_wordy(text: str) -> bool:
    """True if `measures` of a text are its `words`: it has no number."""
    lower = _folded(text)
    return not DIGIT.search(lower) and "<" not in text and (text.isascii() or _folded(lower) == lower)


def _f1(predicted: Sequence[str], true: Sequence[str]) -> float:
    return 2 * _shared(predicted, true) / (len(predicted) + len(true))


def _shared(predicted: Sequence[str], true: Sequence[str]) -> int:
    """The number of words that both have, with multiplicity."""
    return sum(min(predicted.count(word), true.count(word)) for word in set(predicted) & set(true))
