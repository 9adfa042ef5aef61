"""The language of report text, German or English."""

import re

__all__ = ["detect_language"]

# Words that the other language lacks: small ones, and those of organs and findings.
GERMAN = """
    der das und ist im mit kein keine keinen keiner keinem nicht ohne des dem den ein eine einer eines einem von zur zum auf bei beim sich es
    sind beidseits links rechts linken rechten linke rechte unauffällig nachweis regelrecht regelrechte bekannt nach aus wie auch bis als
    sowie oder durch für über unter zwischen ca bzw vom nur noch wird wurde weiterhin
    leber milz niere nieren lunge lungen herz magen darm galle gallenblase harnblase nebenniere nebennieren prostata schädel hirn
    rippe rippen wirbel knochen lymphknoten zyste zysten erguss stein steine gefäße bauch becken gehirn muskel haut
    frei zart groß klein schlank hepatis renalis lienalis pulmonalis
    pankreas aszites metastase metastasen knie befund beurteilung normalbefund ausgeprägt gering
"""
ENGLISH = """
    the of and is no with there are to for on at from without or not left right bilateral evidence unremarkable seen within has have this
    that be which by normal-sized both than
    liver spleen kidney kidneys lung lungs heart stomach bowel gallbladder bladder adrenal adrenals prostate skull brain rib ribs
    spine vertebra bone bones lymph node nodes cyst cysts effusion stone stones gallstones vessels pelvis chest abdomen muscle
    pancreas ascites metastasis metastases knee thyroid findings impression acute study
    clear mild small large fracture mass lesion enlarged size moderate severe
"""
# Endings of words that the other language lacks.
_GERMAN_ENDING = re.compile(
    r".{2,}(?:ung|ungen|keit|isch|ische[rnm]?|ie|ien|ig|ige[rnm]?|ose|igkeit|lich|liche[rnms]?|iert|ierte[rnms]?)"
)
_ENGLISH_ENDING = re.compile(r".{2,}(?:ic|ous|ly|ing|ed|ness|ary|osis|omegaly|opathy|y|eal|tions?)")
_GERMAN, _ENGLISH = frozenset(GERMAN.split()), frozenset(ENGLISH.split())
WORD = 3  # votes of a word; an ending has one


def detect_language(text: str) -> str:
    """The language, "de" or "en", whose small words, organs and endings are more frequent; German if neither is."""
    words = [word for word in re.findall(r"[^\W\d_]+", text.lower()) if len(word) < 40]
    german = sum(WORD * (word in _GERMAN) or _GERMAN_ENDING.fullmatch(word) is not None for word in words)
    english = sum(WORD * (word in _ENGLISH) or _ENGLISH_ENDING.fullmatch(word) is not None for word in words)
    german += 2 * WORD * len(re.findall(r"[äöüß]", text.lower()))
    return "en" if english > german else "de"
