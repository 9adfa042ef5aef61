"""The words of image references: report text as tokens with one-letter codes, on which the grammar of references is written."""

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["ReferenceToken", "tokenize"]

# Code to the words that have it; a word of two codes has the first.
WORDS = {
    "S": "serie serien series ser se sequenz",  # a series
    "I": "bild schicht schnitt aufnahme schnittbild image slice frame ima img",  # one image
    "J": "bilder bildern schnittbilder schichten schnitte schnitten aufnahmen images slices frames imgs",  # several images
    "i": "im i b",  # images next to a series, or alone in brackets
    "n": "nr nummer no number",
    "R": "bis to through thru",  # from first to last
    "L": "und and u sowie bzw",  # further ones
    "O": "von of aus",  # how many there are, or of what
    "C": """in auf am an on at from the der den dem des die bei beim zu zur zum vom siehe vgl see seen cf e.g z.b markiert dargestellt
        insgesamt total out best""",
    "V": """zuvor vormals vorher früher damals ehemals previously formerly earlier before prior previous then old alt vergleich verglichen
        compared comparison versus vs gegenüber since seit""",  # says that another examination follows
    "W": "vu vorct vormrt",  # is another examination; further ones by their beginning
    "w": "was",  # in brackets: "(was 4/80)"
    "A": "aktuell jetzt heute nun nunmehr derzeit now currently current today",  # ends "previously"
    "F": "flair stir tse mpr mpr-rekonstruktion rekonstruktion rekonstruktionen reformation reformationen reformat reformats "
    "reconstruction reconstructions reformatted view views ebene plane orientierung",  # go with a plane
    "K": "befallen betroffen positiv positive involved affected tumorfrei",  # so many of so many are
    "G": "score skala scale index punkte points verhältnis ratio titer blutdruck rr pressure befall gcs mmse nihss",  # numbers follow
    "f": "f ff",
    "z": "s",  # "S4"; with a dot it is s
}
PLANES = {
    "axial": r"ax|axiale?[nrsm]?|tra|transversale?[nrsm]?|transverse|transaxiale?[nrsm]?",
    "coronal": r"cor|[ck]oronal|kor|koronare?[nrsm]?|coronale?[nrsm]?|frontale?[nrsm]?",
    "sagittal": r"sag|sagittale?[nrsm]?",
}
DOTTED = frozenset(
    [
        "se",
        "ser",
        "im",
        "img",
        "nr",
        "no",
        "u",
        "bzw",
        "vgl",
        "s",
        "b",
        "i",
        "sag",
        "cor",
        "kor",
        "ax",
        "tra",
        "f",
        "ff",
        "e.g",
        "z.b",
        "vs",
    ]
)

LONGEST = 40  # letters of a word of the tables

_CODE = {word: code for code, words in WORDS.items() for word in words.split()}
_PLANE = re.compile("|".join(f"(?P<{plane}>{forms})" for plane, forms in PLANES.items()))
_EARLIER = re.compile(
    r"(?:vor|vergleichs|ausgangs)-?(?:untersuchung|aufnahme|bild|befund|ct|mrt?|serie)(?:en|ern|es|s|e)?"
)
_NODES = re.compile(r"[pyc]*n")  # "pN1 (3/14)"
_COUNT_NOUN = re.compile(r"\w+(?:score|skala|index|verhältnis|befall)")
_NUMBERED = re.compile(r"(.+?)-?(?:nr|nummer|no|number)")  # "Bild-Nr.", "Seriennummer"
_UNIT = (
    r"(?:mm|cm|m[lg]|cc|kg|%|°|HE\b|HU\b|Uhr|h\b|Tage?n?\b|Wochen?|Monate?n?\b|Monats|Jahre?n?\b|Stunden?"
    r"|days?|weeks?|months?|years?|hours?)"
)
_TOKEN = re.compile(
    rf"""(?P<date>\[DATE\]|\d{{1,2}}\.\s?\d{{1,2}}\.(?:\d{{4}}|\d\d)?|\d{{1,2}}/\d{{1,2}}/\d{{2,4}}|\d{{4}}-\d\d-\d\d
        |\d{{1,2}}/(?:19|20)\d\d)(?!\d)
    |(?P<measure>\d{{1,5}}(?:[.,]\d{{1,3}})?\s?{_UNIT}|\d{{1,5}}\.\d+|\d{{1,5}}\.(?=\s?[^\W\d_]))
    |(?P<numbers>\d{{1,5}}(?:,\d{{1,4}})*)(?![\w]|-[^\W\d_])
    |(?P<abbreviation>[ez]\.\s?[gbB]\.)
    |(?P<placeholder>\[[A-Z]{{2,8}}\])
    |(?P<word>[^\W\d_]+(?:-[^\W\d_]+)*)(?P<attached>\d{{1,5}})?(?P<tail>\w*)
    |(?P<mixed>\w+)
    |(?P<sign>[^\w\s])""",
    re.VERBOSE,
)
_SIGNS = {
    **{"(": "(", "[": "(", ")": ")", "]": ")", "/": "/", ":": ":", ".": ".", "#": "n"},
    **{",": "L", ";": "L", "&": "L", "+": "L", "-": "R", "–": "R", "—": "R"},
}


class ReferenceToken(NamedTuple):
    """A word, number or sign of a sentence from start to end: its code, the numbers in it, and the plane that it names."""

    code: str
    start: int
    end: int
    numbers: tuple[str, ...] = ()
    plane: str | None = None


def tokenize(sentence: str) -> list[ReferenceToken]:
    """The tokens of a sentence. Codes beside those of WORDS: N a number, D several with commas, M a measure, d a date,
    P a plane, s "S." and z "S" for a series, X anything else; signs are their own codes, [ ] as ( ), dashes R, commas L.
    """
    tokens: list[ReferenceToken] = []
    for match in _TOKEN.finditer(sentence):
        if tokens and match.start() < tokens[-1].end:
            continue  # the dot of an abbreviation
        tokens += _tokens(match, sentence)
    return tokens


def _tokens(match: re.Match[str], sentence: str) -> Iterator[ReferenceToken]:
    start, end = match.span()
    if match["date"]:
        yield ReferenceToken("d", start, end)
    elif match["measure"]:
        yield ReferenceToken("M", start, end)
    elif match["numbers"]:
        numbers = tuple(match["numbers"].split(","))
        yield ReferenceToken("N" if len(numbers) == 1 else "D", start, end, numbers)
    elif match["abbreviation"]:
        yield ReferenceToken("C", start, end)
    elif match["word"] and not match["tail"] and len(match["word"]) < LONGEST:
        yield from _word(match, sentence)
    else:
        yield ReferenceToken(_SIGNS.get(match["sign"] or "", "X"), start, end)


def _word(match: re.Match[str], sentence: str) -> Iterator[ReferenceToken]:
    """A word, with its dot if it is an abbreviation; or a word and a number: "Se4", "IMA87", but "L4" and "T2" are words."""
    start, end = match.span()
    word = match["word"].lower()
    code, plane = _kind(word)
    if match["attached"]:
        if code in "SIJiz":
            yield ReferenceToken(code, start, match.end("word"))
            yield ReferenceToken("N", match.end("word"), end, (match["attached"],))
        else:
            yield ReferenceToken("F" if word == "t" else "G" if _NODES.fullmatch(word) else "X", start, end)
        return
    is_short = sentence[end : end + 1] == "." and (word in DOTTED or word.endswith("nr"))
    yield ReferenceToken("s" if is_short and code == "z" else code, start, end + is_short, (), plane)


def _kind(word: str) -> tuple[str, str | None]:
    """Code and plane of a word in lower case."""
    if word in _CODE:
        return _CODE[word], None
    if plane := _PLANE.fullmatch(word):
        return "P", plane.lastgroup
    if _EARLIER.fullmatch(word):
        return "W", None
    if _COUNT_NOUN.fullmatch(word):
        return "G", None
    numbered = _NUMBERED.fullmatch(word)
    stem = numbered[1].removesuffix("-") if numbered else ""
    return _CODE.get(stem, _CODE.get(stem.removesuffix("n"), "X")) if numbered else "X", None
