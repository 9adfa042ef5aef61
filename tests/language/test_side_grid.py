"""A grid of sentences with two sides: the side of each mention follows from how its sentence is built."""

import itertools
import random
from typing import NamedTuple

import pytest

from refrad.language.mention_finder import find_mentions

SENTENCES = 2_500  # a language
GERMAN = {
    "left": ("links", "li.", "linke", "linken", "linksseitig"),
    "right": ("rechts", "re.", "rechte", "rechten", "rechtsseitig"),
}


class Organ(NamedTuple):
    """An organ on two sides: `stem` begins compounds, `article` and `preposition` are those of its cases in German."""

    name: str
    stem: str
    classes: frozenset[str]  # without the side
    genitive: str = "der"
    dative: str = "in der"
    ending: str = ""  # of the German adjective, after "linke"


def organs(*rows: tuple[str, ...]) -> list[Organ]:
    return [Organ(name, stem, frozenset(classes.split()), *more) for name, stem, classes, *more in rows]


ORGANS_DE = organs(
    ("Niere", "Nieren", "kidney"),
    ("Nebenniere", "Nebennieren", "adrenal_gland"),
    ("Lunge", "Lungen", "lung"),
    ("Unterlappen", "Unterlappen", "lung_lower_lobe", "des", "im", "r"),
    ("Oberlappen", "Oberlappen", "lung_upper_lobe", "des", "im", "r"),
    ("Klavikula", "Klavikula", "clavicula"),
    ("Skapula", "Skapula", "scapula"),
    ("Femur", "Femur", "femur", "des", "im", "r"),
    ("Humerus", "Humerus", "humerus", "des", "im", "r"),
    ("Psoas", "Psoas", "iliopsoas", "des", "im", "r"),
    ("Beckenarterie", "Beckenarterien", "iliac_artery"),
    ("AIC", "AIC-", "iliac_artery"),
    ("NN", "NN-", "adrenal_gland"),
)
ORGANS_EN = organs(
    ("kidney", "renal", "kidney"),
    ("adrenal gland", "adrenal", "adrenal_gland"),
    ("lung", "pulmonary", "lung"),
    ("lower lobe", "lower lobe", "lung_lower_lobe"),
    ("upper lobe", "upper lobe", "lung_upper_lobe"),
    ("clavicle", "clavicle", "clavicula"),
    ("scapula", "scapula", "scapula"),
    ("femur", "femoral head", "femur"),
    ("humerus", "humeral head", "humerus"),
    ("psoas muscle", "psoas", "iliopsoas"),
    ("iliac artery", "iliac artery", "iliac_artery"),
    ("hip", "hip", "hip"),
)
FINDINGS_DE = ["Tumor", "Metastase", "Verkalkung", "Abszess", "Raumforderung", "Infarkt"]
FINDINGS_EN = ["mass", "lesion", "calcification", "abscess", "metastasis", "nodule"]
# {O} organ, {S} its stem, {F} finding (in compounds {f}), {adv} {abb} {adj} {obl} {sided} the side in its forms.
FORMS_DE = [
    "{S}-{F} {adv}",
    "{S}-{F} {abb}",
    "{S}-{F} {adv} 22 mm",
    "{S}{f} {adv}",
    "{S}{f} {adv} 22 mm",
    "{S}{f} {abb} 2,3 cm",
    "{S}{f} (22 mm) {adv}",
    "{S}{f} {adv} (22 x 14 mm)",
    "{S}{f} von 22 mm {adv}",
    "{S}{f} {adv} größenprogredient",
    "{F} {gen} {obl} {O}",
    "22 mm große {F} {dat} {obl} {O}",
    "{adj} {O} mit {F}",
    "{adj} {O} unauffällig",
    "die {adj} {O} ist frei",
    "{adj}, verkleinerte {O}",
    "{abb} {O} o.B.",
    "{O} {adv} unauffällig",
    "{O} {adv} 62 mm",
    "{O} {abb} verkleinert",
    "{O} {adv} mit {F}",
    "{O} ({adv}) normal",
    "{adv} kleine {S}{f}",
    "{adv} 5 mm {S}{f}",
    "{adv} {O} unauffällig",
    "{sided} {S}-{F}",
    "{adv} zeigt sich eine {S}{f}",
    "{adv}: {S}{f}",
]
FORMS_EN = [
    "{S} {F} on the {s}",
    "{S} {F} on the {s} 6 mm",
    "{S} {F} of 6 mm on the {s}",
    "{S} {F} on the {s} side",
    "{S} {F} {s}",
    "{S} {F}, {s}",
    "6 mm {S} {F} on the {s}",
    "{s} {S} {F}",
    "{s} {S} {F}, 6 mm",
    "{s}-sided {S} {F}",
    "{s} sided {S} {F}",
    "6 mm {F} in the {s} {O}",
    "{F} of the {s} {O}",
    "{s} {O} normal",
    "the {s} {O} is normal",
    "the {s} {O} shows a {F}",
    "{O} normal on the {s}",
    "{O} on the {s} 11.2 cm",
    "enlarged {s} {O}",
    "{s} 6 mm {S} {F}",
    "on the {s}, there is a {S} {F}",
    "on the {s} there is a {S} {F}",
    "{s}: {S} {F}",
]
SEPARATORS_DE = [", ", "; ", ". ", " und ", ", dagegen ", ", aber ", " sowie ", ", während "]
SEPARATORS_EN = [", ", "; ", ". ", " and ", ", while ", ", but ", ", whereas "]


def german(form: str, organ: Organ, finding: str, side: str) -> str:
    adverb, short, adjective, oblique, sided = GERMAN[side]
    hyphenated = organ.stem.endswith("-")
    words = {"adv": adverb, "abb": short, "adj": adjective + organ.ending, "obl": oblique, "sided": sided}
    stem = organ.stem.rstrip("-") if "-{F}" in form else organ.stem
    compound = finding if hyphenated else finding.lower()
    return form.format(S=stem, F=finding, f=compound, O=organ.name, gen=organ.genitive, dat=organ.dative, **words)


def english(form: str, organ: Organ, finding: str, side: str) -> str:
    return form.format(S=organ.stem, F=finding, O=organ.name, s=side)


def grid(language: str) -> list[tuple[str, int, Organ, str, Organ, str]]:
    """Sentences, where their second statement begins, and organ and side of each of the two."""
    write, table, findings, forms, separators = {
        "de": (german, ORGANS_DE, FINDINGS_DE, FORMS_DE, SEPARATORS_DE),
        "en": (english, ORGANS_EN, FINDINGS_EN, FORMS_EN, SEPARATORS_EN),
    }[language]
    rows = []
    draw = random.Random(5)
    for first_form, second_form in itertools.product(forms, forms):
        for mark in separators:
            first, side = draw.choice(table), draw.choice(["left", "right"])
            second = first if draw.random() < 0.5 else draw.choice(table)
            other_side = "left" if side == "right" else "right"
            start = write(first_form, first, draw.choice(findings), side)
            separator = "; " if mark == ". " and start.endswith(".") else mark  # "li. Niere" is the left kidney
            start += separator
            end = write(second_form, second, draw.choice(findings), other_side)
            end = end[0].upper() + end[1:] if separator == ". " else end
            rows.append((start[0].upper() + start[1:] + end + ".", len(start), first, side, second, other_side))
    return draw.sample(rows, SENTENCES)


# Both sides of one organ: a second side without a noun, and lists under a heading.
SECOND_SIDES_DE = [
    "{O} rechts 10 cm, links 11 cm.",
    "{O} rechts unauffällig, links verkleinert.",
    "{O} links mit {F}, rechts unauffällig.",
    "{O} links unauffällig, rechts Stenose und Narbe.",
    "{S}{f} rechts 5 mm und links 7 mm.",
    "{S}{f} links und rechts.",
    "{S}{f} bds.",
    "{O}: rechts {F}, links unauffällig.",
    "{O}: links 10 cm, rechts 11 cm.",
]
SECOND_SIDES_EN = [
    "{O} length 10.8 cm on the right, 11.2 cm on the left.",
    "{O} on the left 10 cm, on the right 11 cm.",
    "{S} {F} on the right and left.",
    "{S} {F} on the right and on the left.",
    "left {O} small, right enlarged.",
    "right and left {S} {F}.",
    "{O}: right 10 cm, left 11 cm.",
]


def wrong(language, lexicon) -> list[str]:
    problems = []
    for sentence, border, first, side, second, other_side in grid(language):
        expected = [{f"{name}_{side}" for name in first.classes}, {f"{name}_{other_side}" for name in second.classes}]
        named: list[set[str]] = [set(), set()]
        for mention in find_mentions(sentence, language, lexicon):
            named[mention.start >= border].update(mention.classes)
        if named != expected:
            problems.append(f"{sentence} {[sorted(names) for names in named]}")
    return problems


@pytest.mark.parametrize("language", ["de", "en"])
def test_each_organ_has_the_side_of_its_statement(lexicon, language):
    assert wrong(language, lexicon) == []


@pytest.mark.parametrize(
    ("language", "form"),
    [("de", form) for form in SECOND_SIDES_DE] + [("en", form) for form in SECOND_SIDES_EN],
)
def test_organ_with_a_second_side_has_both(lexicon, language, form):
    table, finding = (ORGANS_DE, FINDINGS_DE[0]) if language == "de" else (ORGANS_EN, FINDINGS_EN[0])
    for organ in table:
        write = german if language == "de" else english
        sentence = write(form, organ, finding, "left")
        named = {name for mention in find_mentions(sentence, language, lexicon) for name in mention.classes}
        assert named == {f"{name}_{side}" for name in organ.classes for side in ("left", "right")}, sentence
