"""Phrases that mean less than the class that is boxed for them: a part of it, or a finding in it."""

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from itertools import pairwise

from refrad.anatomy.lexicon import normalise
from refrad.anatomy.schema import Schema

__all__ = ["finer_classes"]


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Words in both languages, in any spelling that `normalise` takes as the same; "*" is any letters.
PARTS = _words(
    """
    *segment* *lappen* lobe lobes lobar lobus hemihepat* hemiliver* *pol *pole *pols *polen poles caudate caudatus
    quadrate quadratus couinaud *wand *wandung* *wände* wall walls *spitze *spitzen tip tips *apex apices apical
    *apikal* *kuppe *kuppel dome *rand *randes edge edges margin margins border *kante *kontur* contour* *oberfläche*
    surface* *kapsel* capsul* *hilus *hilum hilar *pforte *kopf *kopfes *köpfe *köpfen head heads *schwanz* tail tails
    *corpus *hals neck necks *fundus *antrum antral *pylor* cardia *curvatur* *boden *dach *basis base bases
    *beckenkelch* *calyx* *calyces* calyceal *kelch* pyelon pyelum *nierenbecken* *rinde *rinden* cortex cortices
    cortical *kortex* *kortikal* *mark *pyramide* pyramid* *papille* *papilla* *sinus* *bogen *bogens arch *wurzel*
    root roots *klappe *klappen* valve valves valvular *klappenersatz* *vorhof* *vorhöfe* atrium atria atrial *kammer*
    *ventrikel* *ventricle* ventricular *septum* *septen sept* *perikard* *pericard* *myokard* *myocard* *endokard*
    *endocard* *epikard* *epicard* mitral* tricuspid* *trikuspid* *ohr appendage auricle *bifurk* *bifurcat* *gabel*
    carina* karina* *schenkel* limb limbs *isthmus* lingula* *uncinat* *duktus ductus *duct *ducts *gang *gänge *gangs
    ampull* *flexur* *zökum* *zäkum* *cecum* zökal* zäkal* *appendix* appendi* *wurmfortsatz* *blinddarm* sigma*
    *sigmoid* *rektum* *rectum* rektal* rectal* *rektosig* transversum ascend* aszend* descend* deszend* *bauchaort*
    *brustaort* infrarenal* juxtarenal* *deckplatte* *grundplatte* *bodenplatte* *abschlussplatte* *endplatte*
    endplate* *fortsatz* *fortsätze* process* proc facet* *facett* *pedikel* pedicle* *lamina* spinous dens dens*
    odont* pars *schaft* shaft shafts *kondyl* condyl* *trochanter* *tuberkul* tubercul* tubercle* tuberos* *acetabul*
    *azetabul* *pfanne* *beckenkamm* *beckenkämme* crest crests wing wings *beckenschaufel* ischi* *sitzbein* pubis
    pubic *schambein* ilium ilii *darmbein* *glenoid* *akromi* *acromi* *korakoid* *coracoid* *manubri* *xiphoid*
    *schwertfortsatz* *kalotte* calvari* *felsenbein* petrous mastoid* *jochbein* zygom* maxill* *kiefer* mandib*
    orbit* *kleinhirn* *zerebell* *cerebell* *grosshirn* *mittelhirn* midbrain *hirnstamm* brainstem* pons pontin*
    thalam* *ganglien* ganglia *hemisph* insula* *hippokamp* *hippocamp* callosum *balken* *frontal* *temporal*
    *pariet* *okzip* *occip* *stirnlappen* gyrus gyri *sulkus* *sulci *marklager* konus* conus cauda kauda* filum
    halsmark brustmark lendenmark *drittel* third
    thirds *hälfte half *abschnitt* *anteil* portion *unterfeld* *mittelfeld* *oberfeld* zone zones field fields
    distal* proximal* *bulbus* bulb *übergang* junction* gej psoas* iliacus multifid* longissim* iliocostal*
    pfortader* portal portae milzvene* *lienalis splenica ext externa external int interna internal *hinterwand*
    *vorderwand* *schleimhaut* mucosa* *lumen mittellinie asc desc trans sigm *schlinge* loop loops *höhlen clivus
    sella *annulus* *anulus* annular uncovertebral* facial_bone* lv rv lvef lvh rvh skull_base renal_medulla*
    adrenal_medulla* end_plate* white_matter collecting_system* renal_pelv* kidney_pelv* abdominal_aort*
    thoracic_aort* aorta_abdominalis aorta_thoraci* iliac_bone* iliac_spine* splenic_vein* brain_stem pelvicaly*
    suprarenal_aorta suprarenal_ivc *intrahepat* retrohepat* transvers* jejun* ileum* ileal notch *gelenk*
    joint joints *wandverdick* *wandödem* *gesichtsschädel* *hirnschädel* *ventrikulär*
    """
)
FINDINGS = _words(
    """
    *zyste *zysten *zystisch* *cyst *cysts cystic zystenniere* polycystic bosniak* *stein *steine *steins *steinen
    stone stones *gallstone* calculus calculi *konkrement* *lith *liths *lithias* *tumor* *tumour* *karzinom*
    *carcinoma* cancer* *krebs* *malignom* *malignan* *sarkom* *sarcom* *adenom* *hämangiom* *hemangiom* *lipom*
    *angiom* *fibrom* *meningeom* *meningiom* *gliom* *myom* *onkozytom* *oncocytom* *hamartom* *metasta* *filia*
    *herd *herde *herden *herdes *herdbefund* *läsion* lesion* *knoten *knotens nodule nodules *abszess* abscess*
    *aneurysm* *plaque* *thromb* *embol* *stenose* *stenosis *stenoses *dissekt* dissection* *infarkt* infarct*
    *hämatom* *hematom* *blutung* hemorrhage* haemorrhage* *fraktur* fracture* *lazerat* lacerat* *ruptur *rupturen
    rupture* *verkalkung* calcification* *polyp *polypen polyp polyps *divertik* *divertic* *ulkus* *ulzer* ulcer*
    *erguss* *ergüss* effusion* *infiltrat* *prothese* prosthe* *stent* *clip* *clips *prolaps* *protrusion* *hernie*
    hernia* *vorfall* *vorfäll* mass masses *raumforderung* *konglomerat* *granulom* opacit* consolidat* *konsolid*
    *atelekt* *atelect* *narbe* scar scars *defekt* defect* *einbruch* *einbrüche* *usur* *osteophyt* *spondylophyt*
    *fistel* fistul* *perforat* *neoplas* *lymphom* bulla bullae ake mke mkr *vitium *vitien *kontusion* contusion*
    hcc aaa baa taa taaa npp bsv hydronephro* *filter *filters tracheostom* tracheotom* *transplantatniere*
    *nierentransplantat* transplant_kidney* kidney_transplant* renal_transplant* *nebenmilz* accessory_spl* splenul*
    """
)
# Regions: parts of the spine or the aorta, and wholes of a single vertebra.
REGIONS = _words(
    "*zervikal* cervical *thorakal* thoracic *lumbal* lumbar hws bws lws *halswirbels* *brustwirbels* *lendenwirbels*"
)
# Classes of many pieces: a number names one of these.
COLLECTIVE = ("intervertebral_discs", "costal_cartilages", "vertebrae")
# A word before or after an organ that belongs to its name; other neighbours belong to other phrases.
PLURALS = ("s", "n", "en")  # of the words of class names: lobes, Zysten
AFTER = {"de": 1, "en": 2}  # how many words
# An English word after which another phrase begins: "gallbladder contains stones".
_ENDS_PHRASE = re.compile(
    r"of|in|on|with|without|at|to|from|by|for|and|or|no|but|is|are|was|were|ha[sd]|have|contain\w*|demonstrat\w*|show\w*|appear\w*|reveal\w*|exhibit\w*|harbou?r\w*|measur\w*"
)
_NUMBER = re.compile(r"[\divxIVX/ -]+")  # alone, of a list: "6" in "segments 5/6"
_LEVEL_BEFORE = re.compile(r"(?<![^\s(])[A-Za-z]{0,3}\d+(?:[/-][A-Za-z]{0,3}\d+)*[ \u00a0-]+$")  # "L4/5" before "disc"
_LINK = re.compile(r"[ \u00a0-]+")
_WORD = re.compile(r"[^\W_]+(?:-[^\W_]+)*")
_ALL = PARTS + FINDINGS + REGIONS
_REGIONS = frozenset(REGIONS)
_ADJECTIVE = re.compile(
    normalise(
        r"(?:distal|proximal|infrarenal|juxtarenal|suprarenal|intrahepat|retrohepat|accessory|transplant|thorakal|thoracic|abdominal|aszend|ascend|deszend|descend|cervical|zervikal|lumbal|lumbar|sigmoid|transvers)\w*"
    )
)


def finer_classes(
    caption: str, start: int, end: int, language: str, classes: Iterable[int], schema: Schema
) -> frozenset[int]:
    """Those of some classes of which a phrase names a part or a finding only, so that their box is coarser than it.

    A class named like the part is no coarser: "upper lobe" is finer than a lung and not than an upper lobe of it.

    Args:
        caption: text of the caption.
        start: first code point of the phrase.
        end: code point after the last one.
        language: of the caption, "de" or "en".
        classes: ids of classes that may be boxed for the phrase: those that it names, and their parts and wholes.
        schema: the class schema.
    """
    words = _words_of(caption, start, end, language)
    is_number = _NUMBER.fullmatch(caption, start, end)
    has_number = _LEVEL_BEFORE.search(caption[:start]) or any(
        character.isdigit() for word in words for character in word
    )
    if not (named := _patterns_of(words)) and not is_number and not has_number:
        return frozenset()
    return frozenset(
        entry.id
        for entry in map(schema.by_id.__getitem__, classes)
        if named
        - _own_patterns(entry.english, entry.german)
        - (_REGIONS if entry.name.startswith("vertebrae_") else set())
        or (entry.name in COLLECTIVE and has_number)
        or (is_number and not re.search(r"\d", entry.name))
    )


def _words_of(caption: str, start: int, end: int, language: str) -> tuple[str, ...]:
    """The normalised words of the phrase, with an adjective before it and nouns directly after it: "aorta" in "ascending aorta"."""
    words = [normalise(match[0]) for match in _WORD.finditer(caption, start, end)]
    before = re.search(r"([^\W_]+)[ \u00a0-]+$", caption[:start])
    if before and _ADJECTIVE.fullmatch(normalise(before[1])):
        words.insert(0, normalise(before[1]))
    position = end
    for _ in range(AFTER[language]):
        link = _LINK.match(caption, position)
        after = _WORD.match(caption, link.end()) if link else None
        if not after or not (language == "en" or after[0][0].isupper() or _ADJECTIVE.fullmatch(normalise(after[0]))):
            break
        word = normalise(after[0])
        if language == "en" and _ENDS_PHRASE.fullmatch(after[0].lower()):
            break
        words.append(word)
        position = after.end()
    return tuple(words)


def _patterns_of(words: Iterable[str]) -> frozenset[str]:
    """The patterns of the tables that a word matches, or two consecutive ones."""
    of_phrase = [part for word in words for part in word.split("-")]
    pairs = [f"{first}_{second}" for first, second in pairwise(of_phrase)]
    return frozenset().union(*(_patterns_of_word(word) for word in (*of_phrase, *pairs)))


@lru_cache(maxsize=2**17)
def _patterns_of_word(word: str) -> frozenset[str]:
    if word.endswith(("frei", "freie", "freier", "freies", "los", "loser", "free")):
        return frozenset()
    return frozenset(pattern for pattern in _ALL if _compiled(pattern).fullmatch(word))


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(normalise(pattern)).replace(r"\*", r"\w*"))


@cache
def _own_patterns(*class_names: str) -> frozenset[str]:
    """The patterns that the names of a class match; none for a class of two organs."""
    names = [normalise(name) for name in class_names]
    if any(re.search(r"\b(and|und)\b", name) for name in names):
        return frozenset()
    words = [word for name in names for word in _WORD.findall(name)]
    return _patterns_of([*words, *(word + ending for word in words for ending in PLURALS)])
