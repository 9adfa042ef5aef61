"""Taking identifying text out of reports: what is known from the headers, then what rules recognise.

Everything found is replaced by a typed placeholder. Rules over-reach rather than miss; anatomical words survive.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PLACEHOLDERS", "Identifiers", "identifiers_of", "scrub"]

PLACEHOLDERS = ("NAME", "DATE", "ID", "PLACE", "PHONE")

_PARTICLES = {"von", "van", "de", "der", "den", "del", "zu", "zur", "da", "di", "la", "le", "el", "al", "und", "dr", "prof", "med", "dipl", "pd", "jr", "sr", "mr", "mrs", "ms", "herr", "frau"}
_SHORTEST_NAME = 2
_SHORTEST_ID = 4
_SHORTEST_PLACE = 4

_TITLE = (
    r"(?:(?:Priv\.?-?\s?Doz|Prof|Dr|Dres|PD|OA|OÄ|CA|FA|FÄ|Doz|Herr[n]?|Frau|Hr|Fr|Schwester|Sr|Pfleger|Oberarzt|Oberärztin|Chefarzt|Chefärztin|Assistenzarzt"
    r"|Assistenzärztin|Facharzt|Fachärztin|Kollege[n]?|Kollegin|Mr|Mrs|Ms|Miss|Doctor|Nurse|med|habil|rer|nat|dent|univ|h\.\s?c|Dipl|Mag|MUDr)(?:\.|\b)[\s-]{0,2})"
)
_PART = r"(?:[A-ZÄÖÜ]\.|[A-ZÄÖÜ][\w'’]+(?:-[A-ZÄÖÜ][\w'’]+)*|[A-ZÄÖÜ](?=[\s.,;)]|$))"
_NAME = rf"(?:(?:von|van|de|der|den|zu|zur|vom|del|da|di)\s){{0,2}}{_PART}(?:\s(?:(?:von|van|de|der|zu|del)\s){{0,2}}{_PART}){{0,2}}"
_MONTH = (
    r"(?:Jan(?:uar|uary|\.)?|Jänner|Feb(?:ruar|ruary|\.)?|März?|Mär\.|Mar(?:ch|\.)|Apr(?:il|\.)?|Mai|May|Jun[ie]?|Jul[iy]?|Aug(?:ust|\.)?|Sep(?:t|tember|\.)?"
    r"|O[kc]t(?:ober|\.)?|Nov(?:ember|\.)?|De[zc](?:ember|\.)?)"
)
_YEAR = r"(?:19|20)\d{2}"
_LEADS_DATE = r"(?:am|vom|bis|seit|zum|ab|den|dem|in|im|aus|von|Jahr(?:es)?|on|since|from|of|dated|until|year|ED|OP|geb\.?)"
_UNIT = r"(?:\s?(?:mm|cm|ml|mg|g\b|kg|HE|HU|µ|l\b|%|°))"

# In this order; the first rule that matches a place takes it.
_RULES: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ID", re.compile(r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b|\bhttps?://\S+|\bwww\.\S+")),
    ("ID", re.compile(r"\b[012]\.(?:\d+\.){4,}\d+\b")),
    ("PHONE", re.compile(r"\b(?:Tel(?:efon)?|Fax|Telefax|Mobil|Handy|Durchwahl|DECT|Piepser|Funk|phone|pager|fax|ext)\b\.?(?:\s?(?:Nr|No|number)\b\.?)?\s?:?\s?[+(]?\d[\d\s()/.-]{1,18}\d", re.IGNORECASE)),
    ("PHONE", re.compile(r"(?<![\w/.])(?:\+\d{1,3}[\s/-]?\(?\d|\(0?\d{2,5}\)\s?\d|0\d{2,5}\s?[/-]\s?\d)[\d\s/-]{3,14}\d\b")),
    ("PHONE", re.compile(r"(?<![\w/.-])(?:\(\d{3}\)\s?|\d{3}[-.])\d{3}[-.]\d{4}\b")),
    ("ID", re.compile(r"\b(?:Pat(?:ienten)?|Fall|Auftrags?|Unters(?:uchungs)?|Accession|Acc|MRN|Aufnahme|Vers(?:icherten)?|SVNR|SV|Personal|Medical Record|Record|Case|Order|Account|Exam)?[\s.-]{0,2}(?:ID|Nr|No|Nummer|Number|nummer|MRN|nr)\b\.?\s?[:#]?\s?(?=[\w/-]*\d{3})[\w/-]{4,}")),
    ("ID", re.compile(r"\b(?:MRN|Accession|Fallnummer|Fallnr|Patientennummer|Auftragsnummer|SVNR)\b\.?\s?[:#]?\s?(?=[\w/-]*\d)[\w/-]{3,}", re.IGNORECASE)),
    ("DATE", re.compile(rf"\b(?:\d{{1,2}}\.\s?(?:-|–|bis|und)\s?)?\d{{1,2}}\.\s?(?:0?[1-9]|1[0-2])\.\s?(?:{_YEAR}|\d{{2}})(?!\d|[.,]\d)")),
    ("DATE", re.compile(rf"\b{_YEAR}[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:T[\d:.]+)?(?!\d)")),
    ("DATE", re.compile(rf"(?<![\d/.])(?:0?[1-9]|[12]\d|3[01])/(?:0?[1-9]|[12]\d|3[01])/(?:{_YEAR}|\d{{2}})(?![\d/])")),
    ("DATE", re.compile(rf"\b(?:\d{{1,2}}(?:\.|st|nd|rd|th)?\s)?(?:of\s)?{_MONTH}\s(?:\d{{1,2}}(?:st|nd|rd|th)?,?\s)?{_YEAR}\b")),
    ("DATE", re.compile(rf"\b\d{{1,2}}\.\s?{_MONTH}(?!\w)|\b(?:January|February|March|April|June|July|August|September|October|November|December)\s\d{{1,2}}(?:st|nd|rd|th)?\b(?!\s?[a-z])")),
    ("DATE", re.compile(rf"(?<![\d/.,])(?:0?[1-9]|1[0-2])/{_YEAR}(?!\d)")),
    ("DATE", re.compile(rf"(?<=\b(?:am|ab|zu)\s)\d{{1,2}}\.\s?(?:0?[1-9]|1[0-2])\.(?!\d)|(?<=\b(?:vom|bis|zum|den)\s)\d{{1,2}}\.\s?(?:0?[1-9]|1[0-2])\.(?!\d)|(?<=\bseit\s)\d{{1,2}}\.\s?(?:0?[1-9]|1[0-2])\.(?!\d)")),
    ("DATE", re.compile(rf"(?<![\d/.,])\b{_YEAR}\b(?![.,/]\d|{_UNIT})")),
    ("DATE", re.compile(r"\b\d{1,2}[:.]\d{2}\s?(?:Uhr|h\b|a\.?m\.?|p\.?m\.?)", re.IGNORECASE)),
    ("NAME", re.compile(rf"\b{_TITLE}(?:(?:und|and|u\.)\s)?(?:{_TITLE})*{_NAME}")),
    ("NAME", re.compile(rf"\b(?:gez\.?|Befunder(?:in)?|[Bb]efundet (?:von|durch)|Untersucher(?:in)?|Zuweiser(?:in)?|Unterschrift|[Dd]ictated by|[Ss]igned(?: by)?|[Rr]ead by|[Rr]eported by|[Rr]eferred by|Name|Patient(?:in)?|Pat\.)\s?:\s?{_NAME}(?:,\s?{_PART})?")),
    ("NAME", re.compile(rf"(?<=\bgeb\.\s)(?:[A-ZÄÖÜ][a-zäöüß-]+)")),
    ("PLACE", re.compile(r"\b[A-ZÄÖÜ][\wäöüß.-]*(?:[Ss]traße|[Ss]trasse|[Ss]tr\.|allee|gasse|platz|ufer|damm)\s?\d{1,4}\s?[a-z]?\b(?:,?\s?(?:[DA]-)?\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+)?")),
    ("PLACE", re.compile(r"\b\d{1,5}\s(?:[A-Z][a-z]+\s){1,3}(?:Street|St\.|Avenue|Ave\.?|Road|Rd\.?|Boulevard|Blvd\.?|Lane|Drive)(?!\w)")),
    ("PLACE", re.compile(r"\b[DA]-\d{4,5}\s[A-ZÄÖÜ][\wäöüß-]+")),
    ("PLACE", re.compile(rf"\b(?:(?:[A-ZÄÖÜ][\wäöüß-]+\s)?(?:Universitäts(?:klinikum|klinik|spital|medizin)|[A-ZÄÖÜ]?[\wäöüß-]*[Kk]linikum|[\wäöüß-]*[Kk]rankenhaus(?:es)?|Spital|Ordensklinikum|Landesklinik(?:um)?|MVZ|Praxis|Klinik)(?:\s(?:am|an der|im|in|der|des|zum|St\.|Sankt)){{0,2}}\s[A-ZÄÖÜ][\wäöüß.-]+(?:\s[A-ZÄÖÜ][\wäöüß-]+)?)")),
    ("PLACE", re.compile(r"\b(?:[A-Z][a-z.'-]+\s){1,3}(?:Hospital|Medical Center|Medical Centre|Clinic|Infirmary|University)\b(?:\sof\s[A-Z][a-z]+)?|\bUniversity\s(?:Hospital|Clinic)(?:\s(?:of\s)?[A-Z][a-z]+)?")),
    ("ID", re.compile(r"(?<![\w.,/-])\d{7,}(?![\w.,]*\d)|\b(?=\w*\d{4})(?=\w*[A-Z])[A-Z0-9]{8,}\b")),
)
