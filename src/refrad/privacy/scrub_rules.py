"""Rules that recognise identifying text in reports, German and English, without knowing the patient."""

import re
from collections.abc import Callable
from functools import partial

__all__ = ["ADDRESS", "LINE_END", "scrub_by_rules"]

# Stands before the line break of each line that ends a statement. It is no white space, so that \s leads over the breaks of
# wrapped lines only; a rule that goes on in the next line in any case says [\s\x01].
LINE_END = "\x01"

# Goes before known names, which may be in it.
ADDRESS = re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\bhttps?://[^\s\x01]+|\bwww\.[^\s\x01]+")

_TITLE = r"""
    (?:(?:Prof|Priv\.?-?\s?Doz|Dres|Drs|Dr\.in|Dr|Hr|Fr|DGKS|DGKP|MTRA|MTA|Mr|Mrs|Ms)\b
    |(?:Herrn?|Frau|Schwester|Pfleger|(?:Ober|Chef|Fach|Assistenz)[aä]rzt(?:in)?|Kollegen?|Kollegin|Familie|Miss|Doctor|Nurse)\b(?!\.)
    )\.?[\s-]{0,2}
    (?:(?:med|habil|Dr\.in|rer|nat|dent|univ|phil|h\.\s?c|Dipl|Mag|Dr|Prof|Doz|PD)\b\.?[\s-]{0,2})*
"""
_PART = r"(?:[A-ZÄÖÜ][\w'’]+(?:-[A-ZÄÖÜ][\w'’]+)*|[A-ZÄÖÜ]\.|[A-ZÄÖÜ]\b)"
_PARTICLE = r"(?:(?:von|van|vom|de|der|den|zu|zur|del|da|di)\s){0,2}"
_NAME = rf"{_PARTICLE}{_PART}(?:\s?{_PARTICLE}{_PART}){{0,2}}"
# Titles after a name on a signature.
_ROLE = r"""
    (?:(?:Stations?|Ober|Chef|Fach|Assistenz|Leitende[rn]?\s(?:Ober)?)-?[aä]rzt(?:in)?\b|Ärztlicher\sDirektor|M\.?D\b|D\.?O\b|R\.?N\b)
"""
_YEAR = r"(?:19|20)\d{2}"
_MONTH = r"""
    (?:Jan(?:uary?|uar|\.)?|Jänner|Feb(?:ruary?|ruar|\.)?|März|Mär\.|Mar(?:ch|\.)|Apr(?:il|\.)?|Mai|May|June?|Juni|July?|Juli
    |Aug(?:ust|\.)?|Sep(?:tember|t\.?|\.)?|O[kc]t(?:ober|\.)?|Nov(?:ember|\.)?|De[zc](?:ember|\.)?)
"""

# The first rule that matches a span replaces it.
_RULES = tuple(
    (kind, re.compile(pattern, re.VERBOSE))
    for kind, pattern in (
        ("ID", r"\b[012]\.(?:\d+\.){4,}\d+\b"),
        (
            "PHONE",
            r"""\b(?i:Tel(?:efon)?|(?:Tele)?fax|Mobil|Handy|Durchwahl|DECT|Piepser|Funk|phone|pager|ext)\b\.?
            (?:\s?(?i:Nr|No|number)\b\.?)?\s?:?\s?[+(]?\d[\d\s()/.-]{1,18}\d""",
        ),
        ("PHONE", r"(?<![\w/.])(?:\+\d{1,3}[\s/-]?\(?\d|\(0?\d{2,5}\)\s?\d|0\d{2,5}\s?[/-]\s?\d)[\d\s/-]{3,14}\d\b"),
        ("PHONE", r"(?<![\w/.,-])0\d{2,5}\s\d{3,}(?:[-\s]\d{1,6})*\b"),
        ("PHONE", r"(?<![\w/.-])(?:\(\d{3}\)\s?|\d{3}[-.])\d{3}[-.]\d{4}\b"),
        (
            "ID",
            r"""\b(?i:(?:Pat(?:ienten)?|Fall|Auftrags?|Unters(?:uchungs)?|Accession|Acc|Aufnahme|Vers(?:icherten)?|SV
            |Personal|(?:Medical\s)?Record|Case|Order|Account|Exam)[\s.-]{0,2}(?:ID|Nr|No|Nummer|Number)|MRN|SVNR|ID|Accession)
            \b\.?\s?[:\#]?\s?(?=[\w/-]*\d{3})[\w/-]{4,}""",
        ),
        ("DATE", r"(?<![\d.,])\d{1,2}\.\s?\d{1,2}\.(?=\s?(?:-|–|bis(?:\szum)?|und)\s?\d{1,2}\.\s?\d{1,2}\.)"),
        (
            "DATE",
            rf"\b(?:\d{{1,2}}\.?\s?(?:-|–|bis|und)\s?)?\d{{1,2}}\.\s?(?:0?[1-9]|1[0-2])\.\s?(?:{_YEAR}|\d{{2}})(?!\d|[.,]\d)",
        ),
        ("DATE", rf"\b\d{{1,2}}[. ]\s?\d{{1,2}}[. ]\s?{_YEAR}(?!\d|[.,]\d)"),
        (
            "DATE",
            r"(?<![\d/.,])0[1-9]/\d{2}(?![\d/])|(?:(?<=\bED\s)|(?<=\bED:\s)|(?<=\bseit\s)|(?<=\bzuletzt\s))(?:[1-9]|1[0-2])/\d{2}(?![\d/])",
        ),
        ("DATE", rf"\b{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:T[\d:.]+)?(?!\d)"),
        ("DATE", rf"(?<![\d/.])(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|[12]\d|3[01])/(?:{_YEAR}|\d{{2}})(?![\d/])"),
        (
            "DATE",
            rf"\b(?:\d{{1,2}}(?:\.|st|nd|rd|th)?\s(?:of\s)?)?{_MONTH}\s(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s)?{_YEAR}\b",
        ),
        ("DATE", rf"\b\d{{1,2}}\.\s?{_MONTH}(?!\w)"),
        (
            "DATE",
            r"""\b(?:January|February|March|April|June|July|August|September|October|November|December)
            \s\d{1,2}(?:st|nd|rd|th)?\b""",
        ),
        ("DATE", rf"(?<![\d/.,])(?:0?[1-9]|1[0-2])/{_YEAR}(?!\d)"),
        (
            "DATE",
            r"(?:(?<=\bam\s)|(?<=\bab\s)|(?<=\bseit\s)|(?<=\bvom\s)|(?<=\bbis\s)|(?<=\bzum\s)|(?<=\bden\s))\d{1,2}\.\s?(?:0?[1-9]|1[0-2])\.(?!\d)",
        ),
        ("DATE", rf"(?<![\d/.,\w-]){_YEAR}\b(?![.,/]\d|\s?(?:mm|cm|ml|mg|g\b|kg|HE|HU|I\.?E|µ|l\b|%|°))"),
        ("DATE", r"\b\d{1,2}[:.]\d{2}\s?(?i:Uhr|h\b|a\.?m\b|p\.?m\b)"),
        (
            "NAME",
            rf"(?P<title>\b(?:Drs|Dres)\.?\s(?:med\.\s)?)(?P<name>{_NAME}(?:,\s{_PART})?(?:\s(?:und|u\.|and|&)\s{_NAME})?)",
        ),
        ("NAME", rf"(?P<title>\b{_TITLE}(?:(?:und|and|u\.)\s)?(?:(?<=\.)\x01\s)?)(?!Kolleg)(?P<name>{_NAME})"),
        ("NAME", rf"(?P<title>\b(?:OA|OÄ|CA|FA|FÄ|PD)\s)(?!Dr|Prof|Doz)(?P<name>{_NAME})"),
        (
            "NAME",
            rf"""(?P<title>\b(?i:gez\.?|Befunder(?:in)?|befundet\s(?:von|durch)|Untersucher(?:in)?|Zuweiser(?:in)?|vidiert
            |dictated\sby|signed(?:\sby)?|read\sby|reported\sby|referred\sby|Name|Patient(?:in)?|Pat\.)\s?:\s?)
            (?P<name>{_NAME}(?:,\s?{_PART})?)""",
        ),
        (
            "NAME",
            rf"""(?P<title>\b(?i:(?:geschrieben|diktiert|verfasst|erstellt|befundet|vidiert|freigegeben|unterschrieben)\s(?:von|durch)
            |(?:dictated|signed|read|reported|reviewed|approved|interpreted|verified|transcribed|referred)\sby|attending|radiologist|vidiert)
            \s?:?\s)(?P<full>{_PART}\s{_NAME})""",
        ),
        ("NAME", rf"(?P<title>\bPraxis\s)(?P<full>{_PART}\s{_PART})"),
        ("NAME", rf"(?P<title>\b(?:Grü(?:ß|ss)en?|Gruß|regards|sincerely)\b,?[\s\x01]+)(?P<full>{_PART}\s{_NAME})"),
        ("NAME", rf"(?P<title>)(?<!\w)(?P<full>{_PART}\s{_PART})(?=,?[\s\x01]+{_ROLE})"),
        ("NAME", r"(?<=\bgeb\.\s)[A-ZÄÖÜ][a-zäöüß-]+"),
        (
            "PLACE",
            r"""\b[A-ZÄÖÜ][\wäöüß.-]*(?:[Ss]tra(?:ß|ss)e|[Ss]tr\.|allee|gasse|platz|ufer|damm)\s?\d{1,4}\s?[a-z]?\b
            (?:,?\s?(?:[DA]-)?\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+)?""",
        ),
        (
            "PLACE",
            r"\b\d{1,5}\s(?:[A-Z][a-z]+\s){1,3}(?:Street|St\.|Avenue|Ave\b|Road|Rd\b|Boulevard|Blvd\b|Lane|Drive)(?!\w)",
        ),
        (
            "PLACE",
            r"\b(?:Am|An\sde[rnm]|Im|In\sde[rnm]|Auf\sde[rnm]|Zum|Zur)\s[A-ZÄÖÜ][a-zäöüß-]+\s\d{1,4}\s?[a-z]?,?\s(?:[DA]-)?\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+",
        ),
        (
            "PLACE",
            r"(?:(?<=,\s)|(?<=\bin\s)|(?<=\baus\s))(?:\d{5}|CH-\d{4}|\d{4}(?=\s[A-ZÄÖÜ][a-zäöüß-]+\s?[,.(]))\s(?:Bad\s)?[A-ZÄÖÜ][a-zäöüß-]{2,}",
        ),
        ("PLACE", r"\b(?:(?<=\baus\s)|(?<=\bin\s))[A-ZÄÖÜ][a-zäöüß]+\s\((?:[ABGJLNOSTUVZF][A-Z])\)"),
        ("PLACE", r"(?<=\bwohnhaft\sin\s)[A-ZÄÖÜ][\wäöüß-]+|\bBad\s[A-ZÄÖÜ][a-zäöüß]{3,}"),
        ("PLACE", r"\b[DA]-\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+"),
        (
            "PLACE",
            r"""\b(?:Universitäts(?:klinik(?:um)?|spital|medizin)|[A-ZÄÖÜ]?[\wäöüß-]*[Kk]linikum|[\wäöüß-]*[Kk]rankenhaus(?:es)?
            |(?i:uniklinik(?:um)?)|Spital|MVZ|Praxis|Klinik)(?:\s(?:am|an|im|in|der|des|zum|St\.|Sankt|Bad)){0,2}\s[A-ZÄÖÜ][\wäöüß-]+
            (?:\s[A-ZÄÖÜ][a-zäöüß-]{3,}(?=\s*(?:[,.;)\x01]|$)))?""",
        ),
        (
            "PLACE",
            r"""\b[A-ZÄÖÜ][\wäöüß-]*(?:klinik|hochschule|universität)\s(?:(?:der|des)\s)?(?:[A-ZÄÖÜ][a-zäöüß-]+\s)?(?:Hochschule|Universität)
            (?:\s\[PLACE\]|\s(?:Bad\s)?[A-ZÄÖÜ][a-zäöüß]+)""",
        ),
        (
            "PLACE",
            r"""\b(?:[A-Z][a-z.'-]+\s){1,3}(?:Hospital|Medical\sCent(?:er|re)|Clinic|Infirmary)\b(?:\sof\s[A-Z][a-z]+)?
            | \bUniversity\s(?:Hospital|Clinic|of)\s(?:of\s)?[A-Z][a-z]+""",
        ),
        ("ID", r"(?<![\w.,/-])\d{7,}(?![\w.,]*\d) | \b(?=\w*\d{4})(?=\w*[A-Z])[A-Z0-9]{8,}\b"),
    )
)
_FIRST_NAMES = {"karina", "carina"}  # as well as anatomy
_BARE_TITLES = re.compile(r"(?:OA|OÄ|CA|FA|FÄ|PD)\s")


def scrub_by_rules(text: str, is_anatomy: Callable[[str], bool], put: Callable[[str], str]) -> str:
    """The text with each match of a rule replaced by the placeholder that `put` gives for its kind.

    Lines end with LINE_END where they end a statement.
    """
    for kind, pattern in _RULES:
        if pattern.search(text):
            text = pattern.sub(partial(_replacement, kind, is_anatomy, put), text)
    return text


def _replacement(kind: str, is_anatomy: Callable[[str], bool], put: Callable[[str], str], match: re.Match[str]) -> str:
    """The placeholder for a match; a title stays, and so does anatomy after a name or after "OA", "PD"."""
    groups = match.groupdict()
    if "title" not in groups:
        # The stop of "vom 3.4." may end a sentence as well.
        ends = match[0].endswith(".") and re.match(
            r"\s?(?:[A-ZÄÖÜ\x01]|$)", match.string[match.end() : match.end() + 2]
        )
        return put(kind) + ("." if ends else "")
    parts = re.split(r"(\s+)", groups.get("full") or groups["name"])
    # So many parts are the name in any case: words, each with the space after it.
    keep = 4 if "full" in groups else 0 if _BARE_TITLES.fullmatch(groups["title"]) else 2
    cut = next(
        (n for n in range(keep, len(parts), 2) if is_anatomy(parts[n]) and parts[n].lower() not in _FIRST_NAMES),
        len(parts),
    )
    if cut == 0:
        return match[0]
    remainder = "".join(parts[cut:])
    return groups["title"] + put(kind) + (" " + remainder if remainder else "")
