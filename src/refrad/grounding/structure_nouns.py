"""The names of structures as they stand in a sentence: with article, case, number and ordinals, in German and English.

The schema has names without an article ("linke Niere", "left rib 12"). The gender of a German name is that of its adjective
("linker", "linkes", "linke"), or else that of its noun in ARTICLES. A name whose noun is in no table, such as that of a class that a
site added, has no article.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from refrad.anatomy.schema import AnatomyClass

__all__ = ["StructureNoun", "noun_of"]

# The nominative article of the nouns that stand without an adjective; "die" of a plural noun.
ARTICLES: Mapping[str, str] = (
    dict.fromkeys(("Magen", "Ösophagus", "Dünndarm", "Truncus", "Schädel"), "der")
    | dict.fromkeys(("Milz", "Gallenblase", "Leber", "Trachea", "Schilddrüse", "Harnblase", "Prostata", "Aorta"), "die")
    | dict.fromkeys(("Pulmonalvene", "Vena", "Rippe", "Rippenknorpel", "Bandscheiben", "Wirbelkörper"), "die")
    | dict.fromkeys(("Pankreas", "Duodenum", "Kolon", "Kreuzbein", "Herz", "Rückenmark", "Gehirn", "Sternum"), "das")
)
PLURALS = frozenset(
    {"Rippenknorpel", "Bandscheiben", "Wirbelkörper", "intervertebral discs", "vertebrae", "costal cartilages"}
)
DATIVES: Mapping[str, str] = {
    "Herz": "Herzen",
    "Rippenknorpel": "Rippenknorpeln",
    "Wirbelkörper": "Wirbelkörpern",
}
# Names that are more than an article and a noun: the name in a sentence, and with the preposition "in".
PHRASES: Mapping[str, tuple[str, str]] = {
    "portal and splenic vein": ("the portal and splenic veins", "in the portal and splenic veins"),
    "Pfortader und Milzvene": ("die Pfortader und die Milzvene", "in der Pfortader und der Milzvene"),
    "left kidney cyst": ("a left kidney cyst", "in the left kidney cyst"),
    "right kidney cyst": ("a right kidney cyst", "in the right kidney cyst"),
    "linke Nierenzyste": ("eine linke Nierenzyste", "in der linken Nierenzyste"),
    "rechte Nierenzyste": ("eine rechte Nierenzyste", "in der rechten Nierenzyste"),
}
COORDINATED = frozenset({"portal and splenic vein", "Pfortader und Milzvene"})  # two structures: the verb is plural
IN_DATIVE: Mapping[str, str] = {"der": "im ", "das": "im ", "die": "in der ", "plural": "in den ", "": "in "}
GENDER_OF_ENDING: Mapping[str, str] = {"er": "der", "es": "das", "e": "die"}  # of an adjective without an article
ORDINALS: Mapping[int, str] = {1: "1st", 2: "2nd", 3: "3rd"}

_ENGLISH_RIB = re.compile(r"(left|right) rib (\d+)")
_ENGLISH_SIDE = re.compile(r"\b(?:left|right) ")
_GERMAN_NAME = re.compile(r"(?P<number>\d+\. )?(?P<adjectives>(?:[a-zäöüß]+ )*)(?P<noun>[A-ZÄÖÜ]\w*)(?P<tail>.*)")
_GERMAN_SIDE = re.compile(r"\b(?:link|recht)(?:er|es|e) | (?:links|rechts)$")
_ENDING = re.compile(r"(?:er|es|e)$")


@dataclass(frozen=True)
class StructureNoun:
    """The name of a structure in one language.

    Attributes:
        label: without an article, as in a list: "linke Niere", "left 12th rib".
        subject: nominative with its article: "die linke Niere", "a left kidney cyst".
        location: with "in": "in der linken Niere", "im Magen".
        unsided: `subject` without its side: "die Niere", "the 12th rib".
        article: der, die or das of a German name, or empty.
        plural: whether its verb is plural.
    """

    label: str
    subject: str
    location: str
    unsided: str
    article: str
    plural: bool


def noun_of(structure: AnatomyClass, language: str) -> StructureNoun:
    """The name of a class in a language ("de" or "en")."""
    noun = _german(structure.german) if language == "de" else _english(structure.english)
    name = structure.german if language == "de" else structure.english
    if name not in PHRASES:
        return noun
    subject, location = PHRASES[name]
    return StructureNoun(noun.label, subject, location, noun.unsided, noun.article, name in COORDINATED)


def _english(name: str) -> StructureNoun:
    rib = _ENGLISH_RIB.fullmatch(name)
    label = f"{rib[1]} {ORDINALS.get(int(rib[2]), f'{rib[2]}th')} rib" if rib else name
    unsided = _ENGLISH_SIDE.sub("", label, count=1)
    return StructureNoun(label, f"the {label}", f"in the {label}", f"the {unsided}", "", name in PLURALS)


def _german(name: str) -> StructureNoun:
    parts = _GERMAN_NAME.fullmatch(name)
    if parts is None:
        return StructureNoun(name, name, f"in {name}", name, "", False)
    adjectives, noun = parts["adjectives"].split(), parts["noun"]
    ending = _ENDING.search(adjectives[0]) if adjectives else None
    article = GENDER_OF_ENDING[ending[0]] if ending else ARTICLES.get(noun, "")
    plural = noun in PLURALS

    def inflected(case_ending: str, noun_form: str) -> str:
        words = [_ENDING.sub("", adjective) + case_ending for adjective in adjectives]
        return (parts["number"] or "") + " ".join([*words, noun_form]) + parts["tail"]

    subject = f"{article} {inflected('e', noun)}".strip()
    location = IN_DATIVE["plural" if plural else article] + inflected("en", DATIVES.get(noun, noun))
    # Without an article an adjective keeps its strong ending: the side goes, and the article takes its place.
    unsided = _GERMAN_SIDE.sub("", subject)
    return StructureNoun(name, subject, location, unsided, article, plural)
