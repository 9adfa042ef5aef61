import pytest

from refrad.language.levels import LEVELS
from refrad.language.mention_finder import find_mentions

GERMAN = [
    "ersten",
    "zweiten",
    "dritten",
    "vierten",
    "fünften",
    "sechsten",
    "siebten",
    "achten",
    "neunten",
    "zehnten",
    "elften",
    "zwölften",
]
ENGLISH = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
]
NAMES = {"C": ("HWK", "Hals", "cervical"), "T": ("BWK", "Brust", "thoracic"), "L": ("LWK", "Lenden", "lumbar")}


def classes(sentence, language, lexicon):
    return {name for one in find_mentions(sentence, language, lexicon) for name in one.classes}


@pytest.mark.parametrize(("region", "number"), LEVELS[:-1])
def test_vertebra_in_all_its_writings(lexicon, region, number):
    short, german, english = NAMES[region]
    wanted = {f"vertebrae_{region}{number}"}
    for name in (f"{short} {number}", f"{short}{number}", f"{number}. {short}", f"{number}. {german}wirbelkörper"):
        assert classes(f"Fraktur von {name}.", "de", lexicon) - {"vertebrae"} == wanted, name
    name = f"des {GERMAN[number - 1]} {german}wirbels"
    assert classes(f"Fraktur {name}.", "de", lexicon) - {"vertebrae"} == wanted, name
    for name in (
        f"{region}{number} vertebral body",
        f"{region}{number} vertebra",
        f"{ENGLISH[number - 1]} {english} vertebra",
    ):
        assert classes(f"Fracture of the {name}.", "en", lexicon) - {"vertebrae"} == wanted, name


@pytest.mark.parametrize("number", range(1, 13))
def test_rib_in_all_its_writings(lexicon, number):
    left, right = {f"rib_left_{number}"}, {f"rib_right_{number}"}
    for name in (f"der {number}. Rippe", f"der {GERMAN[number - 1]} Rippe", f"der Rippe {number}"):
        assert classes(f"Fraktur {name} links.", "de", lexicon) == left, name
        assert classes(f"Fraktur {name} re.", "de", lexicon) == right, name
        assert classes(f"Fraktur {name} bds.", "de", lexicon) == left | right, name
    assert classes(f"Fraktur der linken {number}. Rippe.", "de", lexicon) == left
    for name in (f"{ENGLISH[number - 1]} rib", f"rib {number}"):
        assert classes(f"Fracture of the right {name}.", "en", lexicon) == right, name
        assert classes(f"Fracture of the left posterior {name}.", "en", lexicon) == left, name


@pytest.mark.parametrize(
    ("sentence", "language"),
    [
        ("Signalanhebung in T2.", "de"),
        ("T1- und T2-gewichtete Sequenzen.", "de"),
        ("Hyperintense in T2 and FLAIR.", "en"),
        ("pT3 N1 M0.", "de"),
        ("TSH und fT4 normal.", "de"),
        ("Dicke 3 mm, Rippenfell zart.", "de"),
        ("A substantial contribution.", "en"),
    ],
)
def test_lookalikes_are_neither_levels_nor_ribs(lexicon, sentence, language):
    assert classes(sentence, language, lexicon) == set()
