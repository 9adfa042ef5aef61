"""Sentences as people write them, one after the other: data/sentences.txt says which classes each names."""

import re
from pathlib import Path

import pytest

from refrad.anatomy.schema import load_schema
from refrad.language.mention_finder import find_mentions

FILE = Path(__file__).parent / "data" / "sentences.txt"
LOBES = {
    "RUL": "lung_upper_lobe_right",
    "RML": "lung_middle_lobe_right",
    "RLL": "lung_lower_lobe_right",
    "LUL": "lung_upper_lobe_left",
    "LLL": "lung_lower_lobe_left",
}
SIDES = {"L": ["left"], "R": ["right"], "LR": ["left", "right"]}


def expand(word: str) -> set[str]:
    """The classes of a short name: "kidney_L", "rib_R3-5", "rib_LR", "T5", "RUL"."""
    if word in LOBES:
        return {LOBES[word]}
    if re.fullmatch(r"[CTL]\d{1,2}", word):
        return {f"vertebrae_{word}"}
    if found := re.fullmatch(r"rib_(LR|L|R)(?:(\d+)(?:-(\d+))?)?", word):
        first = int(found[2] or 1)
        last = int(found[3] or found[2] or 12)
        return {f"rib_{side}_{number}" for side in SIDES[found[1]] for number in range(first, last + 1)}
    name, _, sides = word.rpartition("_")
    return {f"{name}_{side}" for side in SIDES[sides]} if sides in SIDES else {word}


def labelled() -> list[tuple[str, str, str]]:
    """Language, classes and sentence of each line."""
    lines = [line for line in FILE.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [tuple(part.strip() for part in line.split("|", 2)) for line in lines]


@pytest.mark.parametrize(("language", "classes", "sentence"), labelled())
def test_sentence_names_its_classes(lexicon, language, classes, sentence):
    words = classes.split()
    required = set().union(*(expand(word) for word in words if not word.startswith("?")))
    optional = set().union(*(expand(word[1:]) for word in words if word.startswith("?")))
    found = {name for one in find_mentions(sentence, language, lexicon) for name in one.classes}
    assert required <= found <= required | optional


def test_class_is_named_in_both_languages(root):
    schema = load_schema(root / "workflow" / "anatomy" / "classes.yaml")
    for language in ("de", "en"):
        words = [word.lstrip("?") for one, classes, _ in labelled() if one == language for word in classes.split()]
        named = set().union(*(expand(word) for word in words))
        numbered = {name for name in schema.by_name if name.startswith(("rib_", "vertebrae_"))}
        assert set(schema.by_name) - numbered <= named and len(numbered & named) > 24
