"""Places in reports: streets, towns, hospitals, practices and wards."""

import re

from refrad.privacy.word_patterns import any_of

__all__ = ["HOSPITALS", "STREETS", "TOWNS", "WARDS"]

_BREAK = r"(?:[ \t]{0,2}\x01?\n?[ \t]{0,2})"
_UPPER = r"(?-i:[A-ZÀ-ÖØ-ÞČĆŠŽŁŞĞİŐŘ])"
_CAPITALISED = rf"{_UPPER}[\w'’-]{{1,40}}"
_UNIT = r"[ ]?(?:mm|cm|ml|x\b|×|%|°|HE\b|HU\b)"
_END = r"(?=[ ]?[,.(\x01\n]|$)"
_NUMBER = rf"\d{{1,4}}(?:[ ]?(?-i:[a-z])\b)?(?:[ ]?[-–/][ ]?\d{{1,4}})?(?!\w|{_UNIT}|[.,]\d)"
_POSTCODE = r"(?:(?:[DA]-)?\d{4,5}|CH-\d{4})"
_SAINT = "(?:" + any_of(r"bad sankt st\. groß klein neu alt") + "[ -])?"
_AT = any_of(r"am an_der ob_der bei im in auf vor_der")
_TOWN = rf"""{_SAINT}{_CAPITALISED}
    (?:[ ]{_AT}[ ]{_CAPITALISED}|/{_CAPITALISED}|[ ]\({_UPPER}{{1,3}}\))?"""
_TOWN_AFTER = rf"(?:,?{_BREAK}{_POSTCODE}[ ]{_TOWN}|(?:,[ ]|[ ]in[ ])(?P<optional>{_TOWN}))?"
_STREET = any_of(
    r"straße str\. allee gasse platz ufer damm weg ring steig stieg graben chaussee promenade hof markt wall berg"
)
_STREET_EN = any_of(
    r"""street st\b\.? avenue ave\b\.? road rd\b\.? boulevard blvd\b\.? lane ln\b\.? drive court place way terrace close
    crescent square highway parkway circle gardens grove"""
)
# Ways, courts and rings of the body.
_BODY = any_of(
    r"""gallen atem luft harn zugangs? abfluss abstrom einfluss ausfluss punktions lymph umgehungs speise seh stich vor becken
    mitral klappen trikuspidal ann?ulus leisten bruch waldeyer"""
)
_TO_STREET = any_of(r"am an_de[rnm] an im in_de[rnm] in auf_de[rnm] zum zur unter_de[nm] der den dem")
_HOME = any_of(r"wohnort geburtsort wohnsitz heimatort ort residence birthplace place_of_birth city town")
_LIVES = any_of(
    r"wohnhaft wohnt wohnend gebürtig lebt lebend stammt stammend resides residing resident lives living native"
)
_MOVED = any_of(
    r"""verlegt verlegung zuverlegung zuverlegt überweisung zugewiesen rückverlegung übernahme transferred transfer referred
    referral"""
)
_WARD = any_of(
    r"(?<![\w-])[\w-]{0,20}station (?-i:Stat\.) its imc ips icu ward zimmer room bettplatz bett bed ambulanz bay"
)
_HOUSE = any_of(
    r"""universitätsspital universitätsmedizin mvz praxis gemeinschaftspraxis sanatorium hospiz pflegeheims? seniorenheims? altenheims?
    radiologie röntgeninstitut röntgenpraxis
    altersheims? seniorenresidenz seniorenzentrum pflegezentrum radiologikum radiologicum ärztehaus diagnostikzentrum
    (?<!\w)(?<!\w-)[\w-]{0,30}klinikums? (?<!\w)(?<!\w-)[\w-]{0,30}kliniken (?<!\w)(?<!\w-)[\w-]{0,30}klinik
    (?<!\w)(?<!\w-)[\w-]{0,30}krankenhaus(?:es)? (?<!\w)(?<!\w-)[\w-]{0,30}hospitals?
    (?<![\w-])[\w-]{0,20}spital"""
)
_HOUSE_EN = any_of(
    r"""hospital medical_cent(?:er|re) clinic infirmary health(?:care)?_(?:system|cent(?:er|re)) imaging_cent(?:er|re)
    nursing_home hospice rehab(?:ilitation)?_cent(?:er|re)"""
)
_LINK = (
    "(?:[ ]"
    + any_of(r"am an im in der des den zum zur st\. sankt bad vom von bei (?:rechts|links)(?=_der_)")
    + "){0,3}"
)
# First parts by which a hospital is of a sort, and has no name.
_SORT = any_of(
    r"""universitäts uni kreis stadt bezirks landes akut reha fach tages kinder frauen bundeswehr poli spezial groß lehr gemeinde
    zentral militär plan beleg heimat hoch nieren haut augen herz"""
)

# Each match is a place, or only its group `go`. Group `town` must begin with an unusual word, or the match stays; group
# `optional` belongs to the place if it does, and of group `first` the words after the last usual one.
STREETS = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"(?<![\w.-])(?!{_BODY}[\w-]{{0,12}}\b){_UPPER}[\w.-]{{1,40}}{_STREET}(?!\w){_BREAK}{_NUMBER}{_TOWN_AFTER}",
        rf"\b{_CAPITALISED}[ ](?={_UPPER}){_STREET}(?!\w)[ ]{_NUMBER}{_TOWN_AFTER}",
        rf"\b(?:(?:prof|dr)\.[- ]?){{1,2}}(?:{_CAPITALISED}-?){{1,3}}-{_STREET}(?!\w)[ ]{_NUMBER}{_TOWN_AFTER}",
        rf"""\b{_TO_STREET}[ ]{_CAPITALISED}[ ]\d{{1,4}}[ ]?[a-z]?,?
        {_BREAK}{_POSTCODE}[ ]{_TOWN}""",
        rf"""\b(?:adresse|anschrift|address|{_LIVES}(?:[ ](?:in|at|am))?)[: ]{{1,2}}
        (?P<go>(?:{_CAPITALISED}[ ]|{_TO_STREET}[ ]){{1,4}}{_NUMBER}{_TOWN_AFTER})""",
        rf"""(?<![\w:.,/-])(?P<go>\d{{1,5}}[a-z]?[ ](?P<town>(?:(?:{_CAPITALISED}|[NSEW]\.)[ ]){{1,3}}){_STREET_EN}(?!\w)
        (?:,?[ ](?:apt|unit|suite|\#)\.?[ ]?\w{{1,5}})?
        (?:,[ ](?P<optional>{_CAPITALISED}(?:[ ]{_CAPITALISED})?(?:,[ ](?-i:[A-Z]{{2}})(?:[ ]\d{{5}})?)?))?)""",
        r"\bP\.?[ ]?O\.?[ ]Box[ ]\d{1,6}|\bPostfach[ ]\d{1,6}",
        r"\b(?-i:[A-Z]{1,2}\d[A-Z\d]?[ ]\d[A-Z]{2})\b",  # a British postcode
    )
)
TOWNS = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"(?<![\d.,])(?:[DA]-\d{{4,5}}|CH-\d{{4}})[ ]{_TOWN}",
        rf"(?<![\w.,/-])(?P<go>\d{{5}}[ ](?P<town>{_TOWN}))(?!-)",
        rf"(?<=[,/|][ ])(?P<go>\d{{4}}[ ](?P<town>{_TOWN})){_END}",
        rf"\b(?:in|aus)[ ](?P<go>\d{{4}}[ ](?P<town>{_TOWN})){_END}",
        rf"\b(?:aus|in)[ ](?P<go>{_CAPITALISED}[ ]\((?-i:[ABGJLNOSTUVZF][A-Z])\))",
        rf"""\b{_LIVES}(?:[ ](?:derzeit|seit[ ]\[DATE\]|alone|allein))?[ ](?:in|aus|near|bei|of)[ ]
        (?P<town>{_TOWN}(?:[ ]{_UPPER}[a-z]{{2,20}}{_END})?)""",
        rf"\b{_HOME}[ ]?:[ ]?(?P<town>{_TOWN})",
        rf"\b(?:wohnort|wohnsitz|herkunft|geburtsort)[ :]{{1,2}}(?P<town>{_TOWN})",
        r"\b(?:plz|postleitzahl|zip)[ .:]{1,3}(?P<go>\d{4,5})\b",
        rf"\b(?:patient(?:in)?|pat\.|(?:vor)?aufnahmen?|(?:vor)?untersuchung(?:en)?|bilder|ct|mrt)[ ](?:aus|from)[ ](?P<town>{_TOWN})",
        rf"\b{_MOVED}[ ](?:aus|nach|von|from|to)[ ](?P<town>{_TOWN})",
        rf"\b(?P<go>Bad[ ]{_UPPER}[a-zäöüß]{{3,20}})",
        rf",[ ](?P<go>{_UPPER}[a-zäöüß-]{{2,25}})(?=,[ ](?:den[ ]|am[ ])?\[DATE\])",
    )
)
WARDS = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        # Stations of lymph nodes are no wards.
        rf"""\b(?:lymph\w{{0,20}}|lk|nodes?|nodal)[ (-][\w ]{{0,15}}station(?:en|s)?[ ]\d{{1,2}}
        |\b{_WARD}(?:[ ](?:nr|no)\.?)?[ :]{{1,2}}(?P<go>(?-i:[A-Z])?[ .-]?\d{{1,4}}(?:[./-]\d{{1,3}}|[ ]?(?-i:[A-Za-z]))?|(?-i:[A-Z]))\b
        (?!{_UNIT}|[.,/]\d|'|[ ](?:lymph|lk|node))""",
        rf"\b(?:station|(?-i:Stat\.)|ward)[ ](?P<go>{_UPPER}[\w-]{{2,30}}[ ]\d{{1,3}}[a-z]?)\b(?!{_UNIT}|[.,/]\d)",
        rf"\b(?:station|(?-i:Stat\.)|ward)[ ](?P<town>{_UPPER}[\w-]{{2,30}}(?:[ ]\d{{1,3}}[a-z]?)?)\b",
    )
)
HOSPITALS = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"""(?<![\w.'-])(?!{_SORT}-?(?:hospital|krankenhaus))(?P<go>{_SAINT}{_UPPER}[\w.'-]{{2,30}}(?:hospital|krankenhaus(?:es)?|spital)
        (?:{_LINK}[ ](?P<optional>{_CAPITALISED}))?)""",
        rf"\b(?P<go>{_HOUSE}{_LINK}[ ](?P<town>{_SAINT}{_CAPITALISED})(?:[ ](?P<optional>{_CAPITALISED}))?)",
        rf"""\b(?P<go>{_UPPER}[\w-]{{0,30}}(?:klinik|hochschule|universität)[ ](?:(?:der|des)[ ])?(?:{_CAPITALISED}[ ])?(?:hochschule|universität)
        [ ](?:bad[ ])?{_CAPITALISED})""",
        rf"\b(?P<first>(?:{_UPPER}[\w.'’-]{{0,30}}[ ]){{1,3}}){_HOUSE_EN}\b(?:[ ]of[ ]{_CAPITALISED})?",
        rf"\buniversity[ ](?:hospital|clinic|of)[ ](?:of[ ])?{_CAPITALISED}(?:[ ](?:hospital|medical[ ]cent(?:er|re)))?",
        rf"\bnursing[ ]home[ ](?P<town>{_CAPITALISED}(?:[ ]{_CAPITALISED}){{0,2}})",
        rf"\bhospital[ ](?:of|for)[ ](?P<go>{_CAPITALISED}(?:[ ]{_CAPITALISED})?)",
        r"\b(?:charité|charite|uke|uksh|lmu|akh)\b",
    )
)
