"""Words of reports that are names as well: they stay unless their place in the sentence is that of a name."""

import re

from refrad.privacy.name_folding import fold_name

__all__ = [
    "ends_term",
    "is_abbreviation",
    "is_given_name",
    "is_uncapitalised",
    "is_word",
    "names_nobody",
    "opens_sentence",
]

# Not capitalised within a sentence; there these are names: "bei Klein", "bei Li".
ADJECTIVES = """
    klein groß lang kurz breit hoch tief dick dünn rund weit eng flach scharf glatt hart weich zart fest frei alt neu jung kalt
    warm rot weiß schwarz braun grün blau gelb grau hell dunkel stark schwach schwer leicht reich gut recht gerade ganz halb voll
    leer früh spät still trocken feucht frisch gesund wohl sicher einfach kraus spitz stumpf steil eben klar rein fein grob lose
    locker
"""
NOUNS = """
    montag freitag samstag sonntag januar februar märz april mai juni juli august winter sommer herbst
    fuß hals kopf bauch hand arm bein zahn rücken brust auge nase mund finger knochen haut knie ferse sohle haupt
    stein knoten bruch krebs band schatten spalt riss kappe sand kalk fett luft blut wasser stamm ast kern rand rinde mark wand
    boden dach decke brücke kammer bogen kreis ring kreuz stern kugel keil haken klammer nagel naht faden sack tasche falte
    punkt fleck zeichen bild schicht schnitt berg feld bach wurzel vogel grund lage teil grad stand gang fall sturz schlag
    druck zug kraft last licht ruhe ende mann frau kind vater mutter sohn bruder herr may june
"""
ENGLISH = """
    small large long short broad high low deep thick thin round wide narrow flat sharp smooth hard soft free old new young cold
    warm red white black brown green gray grey light dark strong heavy rich poor good fine straight whole half full little
    early late still dry fresh well simple plain clear gross loose stone head neck foot back chest bone hip knee heart
    summer wall field ball root page case chance lane cross bridge gate cord line point spot part side ground best can do see
    day man son her
"""
OPENERS = """
    li re an am im in so da du es er ob um zu la le no he to al at as by if is it of on or us we bei mit hat war wie nun nur kam
"""
# Abbreviations that some write with one capital: "Prostata-Ca", "nach Op", "am Mo".
SHORT = "ca op tu fa ol ul st ap mo di mi fr sa"
UNITS = "hu ma"  # only "HU" and "mA" are the unit
# Rather names where they begin with a capital and neither a dot nor a number follows: "Max kam", but "max. 5 mm", "Jan 22".
GIVEN = """
    abt max min jan jun art pat ant ray rose frank grant iris vera rosa alba bill drew will ernst major minor
"""
# What devices and clerks write where a name belongs.
NO_PERSON = """
    unbekannt unknown anonym anonymous none test notfall extern intern arzt patient patientin doctor physician radiologie
    radiology klinik ambulanz station chirurgie innere neurologie service ct mr mrt mri us technik
"""
# Ends of the nouns of terms with a name: "Baker-Zyste", "Hoffa-Fettkörper", "Meckel diverticulum".
TERM_NOUNS = """
    zyste fraktur band hernie divertikel läsion tumor klassifikation operation syndrom lymphom zeichen kriterien knoten raum faszie
    drüse ganglion neurom dreieck winkel linie stadium score plastik körper katheter prothese stent phänomen index sehne klappe
    cyst fracture lesion hernia diverticulum disease lymphoma sign criteria node space fascia gland neuroma classification
    procedure triangle deformity lobe pouch ligament
"""

_ENDINGS = ("", "e", "er", "en", "es", "em")
_ADJECTIVES = frozenset(fold_name(word + ending) for word in ADJECTIVES.split() for ending in _ENDINGS) | {"li", "re"}
_UNCAPITALISED = _ADJECTIVES | {fold_name(word) for word in ENGLISH.split()}
_GIVEN = frozenset(GIVEN.split())
_WORDS = (
    _UNCAPITALISED
    | _GIVEN
    | {fold_name(word) for words in (NOUNS, OPENERS, SHORT, UNITS, NO_PERSON) for word in words.split()}
)

_SHORT, _OPENERS = frozenset(SHORT.split()), frozenset(OPENERS.split())
_NO_PERSON = frozenset(fold_name(word) for word in NO_PERSON.split())
_TERM = re.compile(rf"(?:{'|'.join(fold_name(word) for word in TERM_NOUNS.split())})(?:e?[ns])?$")


def is_word(key: str) -> bool:
    """Whether a folded name is a word of reports as well."""
    return key in _WORDS


def is_uncapitalised(key: str) -> bool:
    """Whether a folded name is a word that begins with a small letter within a sentence."""
    return key in _UNCAPITALISED


def is_abbreviation(key: str) -> bool:
    """Whether a folded word is an abbreviation also where only its first letter is a capital."""
    return key in _SHORT


def opens_sentence(key: str) -> bool:
    """Whether a folded word has a capital where it begins a sentence, so that the capital tells no name."""
    return key in _OPENERS


def is_given_name(key: str) -> bool:
    """Whether a folded word is rather a name than a word or an abbreviation if it is capitalised."""
    return key in _GIVEN


def names_nobody(key: str) -> bool:
    """Whether a folded word of a header takes the place of a name."""
    return key in _NO_PERSON


def ends_term(key: str) -> bool:
    """Whether a folded word makes a term of medicine of the name before."""
    return _TERM.search(key) is not None
