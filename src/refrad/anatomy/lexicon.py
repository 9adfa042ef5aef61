"""The words of the anatomical classes, read from lexicon.yaml, whose head explains its patterns."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refrad.anatomy.schema import OTHER_SIDE, Schema
from refrad.core.types import LANGUAGES

__all__ = [
    "ASSERTION_WORDS",
    "SIDE_WORDS",
    "Entry",
    "Lexicon",
    "Words",
    "load_lexicon",
    "normalise",
    "phrases",
]

SIDE_WORDS = ("left", "right", "both", "after")
ASSERTION_WORDS = (
    *(
        "no_negation",
        "negated_before",
        "negated_after",
        "negated_beside",
        "unseen",
        "uncertain_before",
        "uncertain_after",
    ),
    *(
        "absent_before",
        "absent_after",
        "removal",
        "lobe_removal",
        "part_removal",
        "partial",
        "disease",
        "but",
        "normal",
        "attribute",
    ),
)
SECTIONS = ("endings", "short", "titles", "institutions", "sides", "assertions", "entries")

_SPELLING = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "é": "e", "è": "e", "ç": "z"})
_SOFT_C = re.compile(r"c(?=[eiy]|ae|oe)")
_HARD_C = re.compile(r"c(?![hk])")


def normalise(text: str) -> str:
    """Lower case, umlauts spelled out, and c as k or z as it sounds, so that all usual spellings of a word meet."""
    plain = text.lower().translate(_SPELLING)
    return _HARD_C.sub("k", _SOFT_C.sub("z", plain)) if "c" in plain else plain


@dataclass(frozen=True)
class Entry:
    """One entry of the lexicon: classes, and words that the sentence must (`near`) or must not (`unless`) have."""

    classes: tuple[str, ...]
    near: re.Pattern[str] | None
    unless: re.Pattern[str] | None

    def holds(self, sentence: str) -> bool:
        """The conditions of the entry are met in the normalised sentence."""
        return not (self.near and not self.near.search(sentence)) and not (self.unless and self.unless.search(sentence))


@dataclass(frozen=True)
class Words:
    """The lexicon of one language: patterns with their entries, endings, side words, assertion words."""

    patterns: Sequence[tuple[str, Entry]]
    endings: Sequence[str]
    sides: Mapping[str, re.Pattern[str]]
    assertions: Mapping[str, re.Pattern[str]]


@dataclass(frozen=True, eq=False)
class Lexicon:
    """The words of all languages, the spellings of short forms, titles of persons, words for institutions, and the classes that entries name.

    `sides` maps class names to "left" or "right", `twins` to the class of the other side. `schema_classes` are all classes
    of the schema, or None where the lexicon was read without one.
    """

    words: Mapping[str, Words]
    short: Mapping[str, Sequence[str]]
    titles: frozenset[str]
    institutions: re.Pattern[str]
    classes: frozenset[str]
    sides: Mapping[str, str]
    twins: Mapping[str, str]
    schema_classes: frozenset[str] | None = None

    def defines(self, name: str) -> bool:
        """Whether a class may be mentioned: the schema has it, or no schema is given."""
        return self.schema_classes is None or name in self.schema_classes


def phrases(words: Iterable[str]) -> re.Pattern[str]:
    """Any of the phrases as whole words, without regard to case; "*" is any letters, dots may be left out."""
    parts = [
        re.escape(str(word)).replace(r"\*", r"\w*").replace(r"\.", r"\.?\s?").replace(r"\ ", r"\s+")
        for word in sorted(words, key=lambda word: -len(str(word)))
    ]
    return re.compile(r"(?<![\w-])(?:" + "|".join(parts) + r")(?![\w-])", re.IGNORECASE)


def load_lexicon(path: Path, schema: Schema | None = None) -> Lexicon:
    """Read lexicon.yaml, and check its classes against the schema.

    Sides and twins are those of the schema. Without a schema (in commands that look words up) they are those that the {side} of
    the entries declares.

    Raises:
        ValueError: in one line, naming file and entry, if the file differs from the form in its head or an entry names a class that
            the schema lacks.
    """
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {str(error).splitlines()[0]}") from None
    _check_names(data, SECTIONS, f"{path}")
    for section in ("endings", "sides", "assertions"):
        _check_names(data[section], LANGUAGES, f"{path}: {section}")
    entries = [_entry(row, f"{path}: entry {number}") for number, row in enumerate(data["entries"], start=1)]
    words = {}
    for language in LANGUAGES:
        patterns = [
            (str(pattern), entry)
            for row, entry in zip(data["entries"], entries, strict=True)
            for pattern in [*row.get("la", []), *row.get(language, [])]
        ]
        words[language] = Words(
            patterns,
            data["endings"][language],
            _named(data["sides"][language], SIDE_WORDS, f"{path}: sides: {language}"),
            _named(data["assertions"][language], ASSERTION_WORDS, f"{path}: assertions: {language}"),
        )
    classes = frozenset(name for entry in entries for name in entry.classes)
    short, titles, institutions = data["short"], frozenset(data["titles"]), phrases(data["institutions"])
    if schema is None:
        patterns_of_classes = [str(pattern) for row in data["entries"] for pattern in row["classes"]]
        return Lexicon(words, short, titles, institutions, classes, *_declared_sides(patterns_of_classes))
    for number, entry in enumerate(entries, start=1):
        for name in entry.classes:
            if name not in schema.by_name:
                raise ValueError(f"{path}: entry {number}: class {name} is not in the schema: correct it there or here")
    return Lexicon(words, short, titles, institutions, classes, schema.sides, schema.twins, frozenset(schema.by_name))


def _check_names(rows: Any, names: Sequence[str], where: str) -> None:
    """Raises ValueError unless the section has these names and no others, and none is empty."""
    rows = rows if isinstance(rows, dict) else {}
    if missing := [name for name in names if rows.get(name) is None]:
        raise ValueError(f"{where}: lacks {', '.join(missing)}: copy it from the lexicon.yaml of this version")
    if unknown := [str(name) for name in rows if name not in names]:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}; the names are {', '.join(names)}")


def _named(rows: Mapping[str, Sequence[str]], names: Sequence[str], where: str) -> dict[str, re.Pattern[str]]:
    _check_names(rows, names, where)
    return {name: phrases(rows[name]) for name in names}


def _entry(row: Any, where: str) -> Entry:
    if not isinstance(row, dict) or not isinstance(row.get("classes"), list):
        raise ValueError(f"{where}: has no list of classes")
    if unknown := set(row) - {"classes", "near", "unless", "la", *LANGUAGES}:
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    for key in set(row) - {"classes"}:
        if not isinstance(row[key], list) or not all(str(word).strip("* ") for word in row[key]):
            raise ValueError(f"{where}: {key} must be a list of words")
    # Merged classes may occur twice in an entry.
    classes = dict.fromkeys(name for pattern in row["classes"] for name in _expand(str(pattern)))
    return Entry(tuple(classes), _beginnings(row.get("near")), _beginnings(row.get("unless")))


def _expand(pattern: str) -> list[str]:
    """Class names with {side} and {rib} filled in."""
    sides = ["left", "right"] if "{side}" in pattern else [""]
    ribs = range(1, 13) if "{rib}" in pattern else [0]
    return [pattern.replace("{side}", side).replace("{rib}", str(rib)) for side in sides for rib in ribs]


def _declared_sides(patterns: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Class name to side, and class name to its twin, of all patterns with {side}."""
    sides: dict[str, str] = {}
    twins: dict[str, str] = {}
    for pattern in patterns:
        if "{side}" in pattern:
            for side, opposite in OTHER_SIDE.items():
                names = _expand(pattern.replace("{side}", side))
                sides.update(dict.fromkeys(names, side))
                twins.update(zip(names, _expand(pattern.replace("{side}", opposite)), strict=True))
    return sides, twins


def _beginnings(words: Sequence[str] | None) -> re.Pattern[str] | None:
    return re.compile(r"\b(?:" + "|".join(re.escape(normalise(str(word))) for word in words) + ")") if words else None
