"""Sentences of German and English report text."""

import re
from collections.abc import Iterator

__all__ = ["split_sentences"]

# No sentence ends after these.
ABBREVIATIONS = """
    ca z.n z.b v.a st.p b.b d.h u.a i.v i.d.r o.g s.o s.u vs etc bzw bez bezügl inkl incl exkl evtl ggf ggü max min mind
    insb insbes lt gem geringgr mäßiggr hochgr mittelgr rel ausgepr li re bds bd lks rts dext sin dr prof med priv doz
    dipl hr fr frl nr no abb vgl fig tab se ser serie im ima img bild seq sequ z str tel vv aa mm nn rr art proc lig gl
    os sup inf ant post lat dors ventr kaud kran prox dist asc desc transv sigm com int ext lk lwk bwk hwk th segm op ed
    dd a.e e.g i.e approx mr mrs ms st pat path histol klin radiol neurol std u.u n.n jan feb apr jun jul aug sep sept
    okt oct nov dez dec fa oa chron fragl mögl unauff u.ä u.s.w usw sog seg deg postop präop intraop
    ggr mgr hgr gr dg ausged entspr sympt subpl mult d.m seitl mittl hint ob unt
"""
# Adjectives that are cut anywhere before a vowel or between syllables: "hypod.", "subkap.", "retroperit.".
CUT = """
    hypodens hyperdens isodens hypointens hyperintens hypovaskularisiert hypervaskularisiert subkapsulär subpleural
    retroperitoneal intraperitoneal postoperativ präoperativ intraoperativ degenerativ entzündlich peripher zentral apikal paraaortal
    paravertebral mediastinal pulmonal hepatisch epidural subdural intrahepatisch extrahepatisch dorsolateral ventrolateral
    multipel solitär diffus fokal inhomogen unregelmäßig konzentrisch exzentrisch hämorrhagisch nekrotisch zystisch
    approximately respectively including excluding suspicious bilateral moderate probable possible subcapsular
"""
# Abbreviations that close sentences as well: there one ends if a word that opens sentences follows, here always.
MAY_CLOSE = "bds bd li re lks rts dext sin etc usw asc desc sigm u.ä"
CLOSES = "o.b o.p.b p.m a.m"
OPENING = """
    der die das den dem des ein eine es im in am an bei beim keine kein keinen keiner auf ansonsten sonst soweit nach
    zudem weiterhin hier dort unauffällige unauffälliger normale regelrechte regelrechter links rechts beidseits
    insgesamt auch the there no a an this these on normal unremarkable
"""
# Behind the abbreviation of a side: cut adjectives and adverbs, which have a capital only where a sentence begins.
OPENING_CUT = """
    deg postop präop intraop max min ca bek chron ggr mgr hgr gr geringgr mäßiggr hochgr mittelgr rel dg ausged entspr sympt subpl mult fragl
    mögl evtl ggf insb insbes z z.n v.a st.p st z.b dd zust unauff regelr
"""
# Organs and findings of no side: none of them belongs to the abbreviation of a side before it.
UNPAIRED = (
    "milz pankreas harnblase gallenblase gallenwege prostata magen aorta trachea ösophagus duodenum mediastinum aszites"
)
BEFORE_NOUN = "mit ohne nach von vom durch über zwei drei einige mehrere viele"
SIDES = "bds bd li re lks rts"
LEVELS = "hwk bwk lwk"  # they go on only with a number: "LWK. 4"
UNITS = "mm cm m ml l g kg he hu"  # after a number; otherwise mm. are muscles
POSTPOSED = "unauff unauffäll regelr norm"  # after a noun they close its sentence: "Leber unauff."
LABELLED = "hwk bwk lwk swk th bild serie ima image series slice schicht segment rippe nr. no. seg. segm."  # "LWK 4." is no ordinal
KINDS = "typ type child stadium stage grad grade klasse class hepatitis"  # "Typ B." is no initial
LEADS_ORDINAL = "der die das den dem des am vom zum zur bis und im ab seit - – ,"

_ABBREVIATIONS, _MAY_CLOSE, _CLOSES, _OPENING = (
    frozenset(words.split()) for words in (ABBREVIATIONS, MAY_CLOSE, CLOSES, OPENING)
)
_CUT = frozenset(
    adjective[:length]
    for adjective in CUT.split()
    for length in range(3, len(adjective))
    if adjective[length - 1] not in "aeiouyäöü"
)
_POSTPOSED, _LABELLED, _UNITS, _KINDS, _LEADS_ORDINAL, _OPENING_CUT, _UNPAIRED, _SIDES, _LEVELS, _BEFORE_NOUN = (
    frozenset(words.split())
    for words in (POSTPOSED, LABELLED, UNITS, KINDS, LEADS_ORDINAL, OPENING_CUT, UNPAIRED, SIDES, LEVELS, BEFORE_NOUN)
)
_ADJECTIVE = re.compile(
    r"(?:\w{2,30}(?:al|tiv|ig|lich|isch|iert|bar|är|haft|arm|reich|frei)|klein|groß|gering|diskret|multipl|normal|dezent|breit|zart"
    r"|flau|neu|alt|unverändert|bekannt|ausgedehnt|vergrößert|kein|weiter|solitär)(?:e[rsnm]?)",
    re.IGNORECASE,
)
# A finding begins a statement behind a noun with its side: "Pneumothorax li. Pleuraerguss re."
_FINDING = re.compile(
    r"\w{0,30}(?:erg[uü]ss|stenose|zyste|tumor|metastase|fraktur|prolaps|protrusion|stein|herd|läsion|forderung|verkalkung|infarkt|ödem"
    r"|blutung|atelektase|infiltrat|pneumothorax|aneurysma|thrombose|nekrose|arthrose|itis|stau|stauung|narbe|verdickung|veränderung"
    r"|hämatom|adenom|karzinom)(?:e?n|e|s)?|zustand|verdacht|ausschluss|nachweis",
    re.IGNORECASE,
)
# "3. Rippe", "II. Grades": a number with a dot before one of these is an ordinal; "1. Rippenfraktur", "1. LWK 3" are items of a list.
_ORDINAL_NOUN = re.compile(
    r"\w{0,20}rippen?\b|[HBLS]WK\b(?!\s?-?\d)|\w{0,20}wirbels?\b|ventrikels?\b|segment(?:e?s)?\b|grad(?:e?s|ig\w*)?\b|lebens\w+"
    r"|monate?s?\b|tage?s?\b|wochen?\b|schwangerschafts\w+|mittelhand\w+|metata\w+|metaka\w+|strahle?s?\b|fingers?\b|zehen?\b"
    r"|jan|feb|mär|apr|mai\b|jun|jul|aug|sep|okt|nov|dez|quartal|hirnnerv\w*|dekade|postop|inter[ck]ostal\w*",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^\s*(?:(?:[-–•*·▪◦►o]|\(?\d{1,2}[.)]\)?|[a-z]\))\s+|(?:[-=]{1,2}>|[→⇒➔])\s*)")
# With a space after it, or without one between two words: "Leber normal.Milz normal."
_STOP = re.compile(r"[.!?]+(?=\s|$)|(?<=[a-zäöüß]{3})\.(?=[A-ZÄÖÜ][a-zäöüß]{2})|(?<=\d[cm]m)\.(?=[A-ZÄÖÜ][a-zäöüß]{2})")
# An arrow parts two statements, but not two values: "4 mm -> 6 mm".
_ARROW = re.compile(r"\s?(?:[-=]{1,2}>|[→⇒➔])(?!\s?\d)\s?|(?<![\dm])(?<![\dm]\s)\s?(?<![\dm]\s)(?:[-=]{1,2}>|[→⇒➔])\s?")
_WORD = re.compile(r"\S+")
_NO_VOWEL = re.compile(r"[bcdfghjklmnpqrstvwxz]{2,6}")
_JOINING = {"und", "oder", "bzw.", "sowie", "and", "or"}  # "Ober-" at the end of a line may be "Ober- und ..."
_LONG_LINE = 60  # characters; a shorter line without a stop is a separate line
_NEAR = 80  # characters around a dot that tell whether it ends a sentence
# "Nieren:" belongs to each of the lines below it that begin with one of these or with a small letter.
_SIDE = re.compile(r"(?:rechts|links|beidseits|re\.|li\.|bds\.|right|left|bilateral(?:ly)?)(?!\w)", re.IGNORECASE)
_LABEL = re.compile(r"[^\s:]+(?:\s[^\s:]+){0,3}:")


def split_sentences(text: str) -> list[str]:
    """Sentences, verbatim but for white space, list marks and arrows; abbreviations, decimals, dates, ordinals end none.

    A label alone on its line ("Nieren:") stands before each of the lines below it that need it ("rechts: 4 mm").
    """
    return [
        sentence
        for block in _blocks(text)
        for piece in _ARROW.split(block)
        for sentence in _split(piece)
        if re.search(r"\w", sentence)
    ]


def _blocks(text: str) -> Iterator[str]:
    """Lines that belong together: a long line without a stop goes on in the next, and so does one before lower case."""
    block = label = ""
    for line in text.split("\n"):
        bare = " ".join(_unmarked(line).split())
        if not bare:
            continue
        is_item = _BULLET.match(line) is not None
        needs_label = bare[0].islower() or _SIDE.match(bare) is not None
        if _LABEL.fullmatch(block) and needs_label:
            label, block = block, f"{block} {bare}"
            continue
        if block and not is_item and block[-1] not in ".!?:;" and (bare[0].islower() or len(block) > _LONG_LINE):
            is_parted = block[-1] == "-" and block[-2:-1].isalpha() and bare.split(" ")[0] not in _JOINING
            block = block[:-1] + bare if is_parted and bare[0].islower() else f"{block} {bare}"
            continue
        if block:
            yield block
        label = label if needs_label else ""
        block = f"{label} {bare}" if label else bare
    if block:
        yield block


def _unmarked(line: str) -> str:
    """The line without the mark of a list; "5. Rippe" and "3. und 4. Rippe" begin with no mark."""
    mark = _BULLET.match(line)
    if (
        mark is None
        or _ORDINAL_NOUN.match(line, mark.end())
        or re.match(r"(?:und|oder|bis|and|to)\s\d", line[mark.end() :])
    ):
        return line
    return line[mark.end() :]


def _split(block: str) -> Iterator[str]:
    start = 0
    addresses = [
        word.span() for word in _WORD.finditer(block) if "@" in word[0] or "://" in word[0] or "www." in word[0]
    ]
    addresses.reverse()
    for stop in _STOP.finditer(block):
        while addresses and addresses[-1][1] <= stop.start():
            addresses.pop()
        if addresses and addresses[-1][0] <= stop.start() and stop.end() < addresses[-1][1]:
            continue
        if stop.group().startswith(".") and not _ends(block, stop.start(), stop.end()):
            continue
        yield _unmarked(block[start : stop.end()].strip())
        start = stop.end()
    if remainder := _unmarked(block[start:].strip()):
        yield remainder


def _ends(block: str, dot: int, end: int) -> bool:
    """Whether the dot at `dot` ends a sentence."""
    following = block[end : end + _NEAR].lstrip()
    if not following:
        return True
    if following[0].islower():
        return False
    *others, last = block[max(0, dot - _NEAR) : dot].split(" ")
    before = others[-1].lower() if others else ""
    word = last.lstrip("([\"'").lower()
    opens = following.split(" ")[0].strip("()[].,:;\"'").lower() in _OPENING
    if re.fullmatch(r"[a-zäöü]", word) and re.match(r"\d|[A-ZÄÖÜ]\.", following):
        return False  # "i. S. e.", "v. 03.04."
    if re.fullmatch(r"\d{1,2}|[ivx]{1,4}", word):
        if before in _LABELLED:
            return True
        if word.isdigit() and before.endswith((".", ":", ";")):
            return False  # "1. Leberzyste. 2. Nierenzyste."
        listed = before.endswith((",", "-", "–", ".")) and re.search(r"\d", before)
        return bool(before) and not (_ORDINAL_NOUN.match(following) or before in _LEADS_ORDINAL or listed)
    if word in _CLOSES or (word in _UNITS and re.fullmatch(r"[\d.,]+", before)):
        return True
    if word in _LEVELS:
        return not following[0].isdigit()
    if word in _SIDES and others and _begins_statement(others[-1], following.split(" ")[0]):
        return True
    if word in _MAY_CLOSE or before in _KINDS:
        return opens
    if word in _POSTPOSED:
        return others != [] and others[-1][:1].isupper()
    if word == "no":
        return not following[0].isdigit()
    is_short = word in _ABBREVIATIONS or word in _CUT or (_NO_VOWEL.fullmatch(word) and not last[1:].isupper())
    return not (is_short or re.fullmatch(r"[^\W\d_]|(?:[a-zäöü]\.)+[a-zäöü]", word))


def _begins_statement(before: str, following: str) -> bool:
    """Whether the word behind "li." begins a statement: "Stenose der ACI li. Deg. Veränderungen", not "Zyste der li. Niere".

    `before` is the word before "li.".
    """
    word = following.strip("()[],:;.").lower()
    if following.endswith(".") and not following[:-1].isupper() and (word in _OPENING_CUT or word in _CUT):
        return True
    if following[1:2].islower() and _ADJECTIVE.fullmatch(word):
        return True
    is_noun = before[:1].isupper() or before.isdigit()
    if (
        not is_noun
        or not before[-1:].isalnum()
        or before.lower() in _OPENING | _BEFORE_NOUN
        or _ADJECTIVE.fullmatch(before)
    ):
        return False
    return word in _UNPAIRED or _FINDING.fullmatch(word) is not None
