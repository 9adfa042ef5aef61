"""Words of comparison and change over time in a sentence, and the values of another day."""

import re

from refrad.statements.certainty import NEGATION

__all__ = [
    "DENIED_CHANGE",
    "changes",
    "find_comparison",
    "former_numbers",
    "is_change_word",
    "is_small_word",
    "tells_change",
]

# Words of comparison and time: these may go. "Klein", "alt", "vergrößert" and "dilated" may not.
_CHANGE = re.compile(
    r"vor-\w+|untersuchung\w*|geworden|become|became|outside|yesterday|gestern|more|im wesentlichen|wesentlichen"
    r"|also|auch|vorhanden\w*|(?:un)?verändert\w*|\w*(?:änderung|veränderung|konstan[tz]|progredien[tz]"
    r"|regredien[tz]|zunahme|abnahme"
    r"|dynamik)\w*"
    r"|vergl\w+|verlauf\w*|vor(?:untersuch|befund|aufnahm|bild|bekannt|bestehend|beschrieb|herig|mals|her|ct"
    r"|mrt)\w*|vu|früher\w*|damal\w*"
    r"|zuvor|zuletzt|letzte?[nmrs]?|seit|seitdem|seither|bislang|bisher\w*|neue?[nmrs]?|neu(?:auf|ge(?!b))\w+"
    r"|erneut\w*|weiter\w*|noch|mehr|weniger|nun|jetzt"
    r"|aktuell\w*|heut\w*|mittlerweile|inzwischen|zwischenzeit\w*|bekannt\w*|stabil\w*|stationär\w*|gleich"
    r"|gleich(?:bleib|groß|gebl)\w*|identisch\w*|idem"
    r"|größer|kleiner|größe|größen\w*|gewachsen\w*|wachs\w*|wuchs|zugenommen\w*|abgenommen\w*|zunehmend\w*"
    r"|abnehmend\w*"
    r"|progress\w*|regress\w*|rückläufig\w*|\w*rückgebildet\w*|rückbildung\w*|verschwunden\w*|entwick\w*"
    r"|\w*kontroll\w*|wiederum|bereits|schon|nach wie vor"
    r"|ausgangs\w*|auswärtig\w*|externe[nmrs]?|auf(?:ge)?tret\w*|hinzu\w*|gegenüber|beschrieben\w*|beschriebene\w*"
    r"|darstellung|dargestellt\w*|monat\w*|jahr\w*|woche\w*|tag\w*"
    r"|unchanged|stable|chang\w+|compar\w+|prior|previous\w*|earlier|preceding|former\w*|since|interval\w*|new"
    r"|newly|now|again"
    r"|current\w*|today|known|still|remain\w*|persist\w*|longer|grown?|grew|growth|increas\w+|decreas\w+|larger"
    r"|smaller|progression"
    r"|bigger|improv\w+|worse\w*|resol\w+|develop\w+|similar\w*|appear\w*|stud(?:y|ies)|exam\w*|scans?|imag\w+|last"
    r"|date[ds]?|disappear\w*|cleared"
    r"|re-?demonstrat\w+|demonstrat\w+|described|reported|mentioned|already|initial\w*|baseline|recent\w*|ago"
    r"|months?|years?|weeks?|days?|constant\w*|as before|before|recurrent|rezidivierend\w*",
    re.IGNORECASE,
)
# Degrees may go only before a word of growth, as in "deutlich größer", or after it at the end: "increased slightly".
_DEGREE = re.compile(
    r"etwas|leicht\w*|deutlich\w*|gering\w*|minimal\w*|wesentlich\w*|relevant\w*|signifikant\w*|vollständig\w*"
    r"|komplett\w*|erheblich\w*|massiv\w*|mäßig\w*"
    r"|slight\w*|mild\w*|marked\w*|minimal\w*|significant\w*|complete\w*|fully|moderate\w*|substantial\w*"
    r"|considerabl\w*|partial\w*|teilweise|partiell\w*|gradual\w*|rapid\w*",
    re.IGNORECASE,
)
# These may go beside any word of change; kinds of examinations are among them: "the outside MRI".
_BESIDE = re.compile(
    r"both|beide|present|oder|or|abgrenzbar\w*|insgesamt|weitgehend\w*|essentially|overall|grossly|size|extent"
    r"|größenordnung|ausgeprägter|follow|continued"
    r"|further"
    r"|ct|cta|mr[ait]|pet(?:-ct)?|ultras\w+|sonogra\w+|radiogra\w+|x-rays?|röntgen\w*|\w*tomogra\w+|mammogra\w+"
    r"|s[cz]intigra\w+|angiogra\w+",
    re.IGNORECASE,
)
_GROWTH = re.compile(
    r"größer|kleiner|\w*(?:zunahme|abnahme|progredien|regredien|progress|regress|rückgebildet|rückbildung)\w*"
    r"|(?:ver)?änder\w*|veränder\w*|\w*änderung\w*|größen(?!konst)\w+|rückläufig\w*|gewachsen\w*|wachs\w*"
    r"|zugenommen\w*|abgenommen\w*|zunehmend\w*|abnehmend\w*|ausgeprägter|chang\w+|interval|grown?|grew|growth"
    r"|increas\w+|decreas\w+|larger|smaller|bigger|improv\w+|worse\w*|resol\w+|mehr|weniger|more|enlarg\w+"
    r"|vergrößer\w+"
    r"|verkleiner\w+",
    re.IGNORECASE,
)
# "Increased" before one of these is a finding of today, "recurrent" before one of the last two is part of a name.
_OF_TODAY = re.compile(
    r"densit\w*|attenuation|signal\w*|intensity|uptake|enhancement|echogenicity|lucency|opacity|markings|activity"
    r"|caliber|size|volume|vascularity|laryngeal|nerve",
    re.IGNORECASE,
)
# "Enlarged" is a change only here: "has enlarged", "vergrößert gegenüber".
_ENLARGING = re.compile(
    r"\b(?:interval|has|have|had|further|continued|hat sich|haben sich|zwischenzeitlich)\s(?:\w+\s)?(?:enlarg\w+"
    r"|vergrößer\w+|verkleiner\w+)"
    r"|\b(?:enlarg\w+|vergrößer\w+|verkleiner\w+)\s(?:gegenüber|im vergleich|als|compared|than|from)\b",
    re.IGNORECASE,
)
_SMALL = re.compile(
    r"wie|als|auf|von|vom|zum|zur|aus|bei|beim|mit|der|die|das|den|dem|des|eine?[nmrs]?|und|sowie|hat|haben|hatte"
    r"|ist|sind|war|waren|wird|wurde|worden"
    r"|sich|zeigt|zeigen|nach|dort|dabei|nachweisbar\w*|auch|diese[rnms]?|es|im|in|am|an|zu|messen(?:d\w*)?|misst|gemessen|groß"
    r"|beträgt|erkennbar|sichtbar|abgrenzbar|hier"
    r"|the|and|has|have|had|was|were|are|been|than|from|with|for|this|that|when|there|seen|noted|measur\w+|which|is"
    r"|of|in|on|at|to|by|an?|its?|identified|visible|visuali[sz]ed|being|these|those|as|compared",
    re.IGNORECASE,
)
_TOKEN = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*|[,;.]")
_FILL = (
    r"(?:[\s:,(=]|ca\.|etwa|about|approximately|approx\.|measur(?:ing|ed|es?)|gemessen|mit|von|with|of|bis|zu|up|to"
    r"|maximal|max\.|size|größe|at|it|der|a|noch|nur|mm|cm|axial|bei){0,8}"
)
_NUMBER = r"\d+(?:[.,]\d+)?(?:\s?(?:mm|cm)?\s?[x×]\s?\d+(?:[.,]\d+)?){0,3}"
_UNIT = r"\s?(?:mm|cm|ml|%)"
_PRIOR = (
    r"(?:voruntersuchung|vorbefund|voraufnahme|vor-?ct|vor-?mrt|vu|prior|previous|earlier|preceding|comparison"
    r"|ausgangsuntersuchung|letzten? untersuchung|last exam|baseline)"
)
_FORMERLY = (
    r"(?:vormals|zuvor|vorher|früher|ehemals|ehem\.|damals|initial|previously|formerly|prior|before|was|were"
    r"|originally|earlier|baseline|statt|instead of|versus|vs\.?"
    rf"|maß|betrug|gegenüber|compared (?:to|with)|in comparison (?:to|with)|im vergleich zu|(?:in|bei|auf|on"
    rf"|at)?\s?(?:der|dem|den|the|a)?\s?{_PRIOR}\w*(?:\s(?:ct|mrt?|mri|scan|study|exam\w*))?(?:\s(?:vom|from|of|am"
    rf"|dated)\s\[date\])?|zum \[date\]|(?:am|on) \[date\])"
)
_NOW = r"(?:jetzt|nun|aktuell|heute|derzeit|mittlerweile|now|currently|today|at present)"
_FORMER = (
    re.compile(
        rf"\b(?:von|from)\s(?:ca\.\s|etwa\s|about\s|approximately\s)?({_NUMBER}){_UNIT}?\s(?:\w+\s){{0,2}}?(?:auf"
        rf"|to|nach)\s(?=[\w\s.]{{0,16}}\d)",
        re.IGNORECASE,
    ),
    re.compile(rf"({_NUMBER})(?:{_UNIT})?\s?(?:->|→|=>|-->)\s?(?=\d)", re.IGNORECASE),
    re.compile(rf"\b{_FORMERLY}{_FILL}({_NUMBER})(?![\d.]*\w*\d)", re.IGNORECASE),
    re.compile(
        rf"({_NUMBER}){_UNIT}\s(?:in|im|bei|auf|am|on|at)\s(?:der\s|dem\s|den\s|the\s|a\s)?(?:{_PRIOR}|\[date\]"
        rf"|last|letzte)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"({_NUMBER}){_UNIT}\s(?:zuvor|vormals|vorher|gestern|previously|before|earlier|yesterday|initial)\b(?!\s?\d)",
        re.IGNORECASE,
    ),
    re.compile(
        rf"\b(?:um|by|plus|minus|(?:growth|increase|decrease|zunahme|abnahme|wachstum) (?:um|von|of))\s(?:ca\.\s"
        rf"|etwa\s|about\s|approximately\s)?({_NUMBER}){_UNIT}",
        re.IGNORECASE,
    ),
    re.compile(
        rf"({_NUMBER}){_UNIT}\s(?:größer|kleiner|larger|smaller|bigger|mehr|growth|increase|decrease)\b", re.IGNORECASE
    ),
)
_BEFORE_NOW = re.compile(
    rf"({_NUMBER}){_UNIT}?\W{{1,3}}(?:und\s|and\s|but\s|ist\s|is\s)?{_NOW}\W(?={_FILL}\d)", re.IGNORECASE
)
_TIMES = re.compile(
    r"(\d+)(?:\s|-)?(?:monat\w*|jahr\w*|wochen?|tag\w*|months?|years?|weeks?|days?|stunden|hours?|h|uhr)\b|(?:seit"
    r"|since|anno|in)\s((?:19|20)\d\d)\b"
    r"|\b(\d{1,2}\.\d{1,2}\.(?:\d{2,4})?)(?!\d)|\b(\d{1,2}/\d{1,2}/\d{2,4})\b|\b((?:19|20)\d\d-\d\d-\d\d)\b",
    re.IGNORECASE,
)
# A denial that may go with the change it denies: "keine Größenzunahme". A denial of something new must stay.
DENIED_CHANGE = re.compile(
    rf"{NEGATION.pattern}(?:\s(?:significant\w*|relevant\w*|interval|substantial\w*|definite|clear|wesentlich\w*"
    rf"|weitere?\w*|further|signifikant\w*"
    r"|nachweis|hinweis\w*|anhalt|auf|für|of|evidence|for|any|einer?|eine|sichere?\w*|eindeutige?\w*|erkennbare?\w*"
    r"|been|die|der|in|size)){0,4}"
    r"\s(?:(?!unver)\w*(?:änder|zunahme|abnahme|progredien|regredien|progress|regress|wachs|konstan|dynamik)\w*"
    r"|größer|kleiner|chang\w+|grow\w+|increas\w+|decreas\w+|larger|smaller|different|worse\w*)(?!\w)",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"Vor(?:untersuchung|befund|aufnahme|bild|CT|MRT)\w*|\bVU\b|Ausgangsuntersuchung|\bim Verlauf\b|\bunverändert|"
    r"\bgrößen(?:konstant|progredient|regredient)|\b(?:im Vergleich|verglichen) (?:zu|mit)|"
    r"\b(?:previous|prior|earlier|preceding|comparison) (?:CT|MRI?|PET|stud(?:y|ies)|exam\w*|scans?|imaging"
    r"|images?)\b|"
    r"\bcompared (?:to|with)\b|\bin comparison\b|\binterval (?:change|growth|increase|decrease|development"
    r"|resolution)|"
    r"\bunchanged\b",
    re.IGNORECASE,
)
# For questions: an image shows no change, and knows no report.
_TELLS_CHANGE = re.compile(
    r"\b(?:grown?|grew|grows?|growing|growth|new|newly|increas(?:ed|ing) (?:since|in size)|decreas(?:ed"
    r"|ing) (?:since|in size)|(?:has|have|had|did) (?:\S+ ){0,6}(?:increase\w*|decrease\w*|chang\w+|shrunk|enlarged"
    r"|progress\w*|improve\w*|worsen\w*|resolved?|develop\w*|appear\w*|disappear\w*)"
    r"|chang(?:ed?|es|ing)|again|previous\w*|formerly|progress\w*|regress\w*|interval|stable|unchanged|since"
    r"|no longer|any ?more|resolved|still|over time|follow-?up|recur\w*|worsen\w*|improv\w*|persist\w*|earlier"
    r"|prior|last (?:scan|exam|study)|compared|comparison"
    r"|zugenommen|abgenommen|zunahme|abnahme|neu|neue[nmrs]?|neu\w*aufgetreten\w*|gewachsen|wächst|wachstum"
    r"|unverändert\w*|verändert\w*|veränderung im verlauf|geändert|verlauf|progredien\w*|\w*progress\w*"
    r"|\w*regress\w*|\w*regredien\w*"
    r"|größen\w+|rückläufig\w*|zurückgebildet\w*|zuvor|vorher|früher|vormals|seit|nicht mehr|noch immer|immer noch"
    r"|weiterhin|erneut\w*|vorbekannt\w*|vorbestehend\w*|konstant\w*|stabil\w*|vergleich|vor(?:untersuchung|befund"
    r"|aufnahme)\w*)(?!\w)",
    re.IGNORECASE,
)


def find_comparison(text: str) -> str | None:
    """The words that compare a text with another examination, German or English, or None."""
    match = _COMPARISON.search(text)
    return None if match is None else match.group()


def tells_change(text: str) -> bool:
    """Whether a text speaks of change over time or of another day."""
    return _TELLS_CHANGE.search(text) is not None


def changes(text: str) -> list[str]:
    """The words of a text, lower case, that may go with a comparison."""
    enlarging = [match.span() for match in _ENLARGING.finditer(text)]
    tokens = list(_TOKEN.finditer(text))
    kinds = []
    for position, token in enumerate(tokens):
        kind = _kind_of(token.group(), tokens[position + 1].group() if position + 1 < len(tokens) else "")
        if kind == "enlarging":
            kind = "change" if any(start <= token.start() < end for start, end in enlarging) else "stays"
        kinds.append(kind)
    going = [kind == "change" for kind in kinds]
    growing = [goes and _GROWTH.fullmatch(token.group()) is not None for token, goes in zip(tokens, going, strict=True)]
    for forward in (True, False):
        near, grows = False, False
        for position in range(len(tokens)) if forward else range(len(tokens) - 1, -1, -1):
            ends = position + 1 == len(tokens) or kinds[position + 1] == "mark"
            goes = kinds[position] == "beside" and near
            goes = goes or (kinds[position] == "degree" and grows and (not forward or ends))
            small = kinds[position] == "small"
            going[position] = going[position] or goes
            near = going[position] or (near and small)
            grows = growing[position] or (grows and (goes or small))
    return [
        part for token, goes in zip(tokens, going, strict=True) if goes for part in token.group().lower().split("-")
    ]


def is_small_word(word: str) -> bool:
    """Whether a word joins others and says nothing itself."""
    return _SMALL.fullmatch(word) is not None


def is_change_word(word: str) -> bool:
    """Whether a word is one of comparison or time, or a degree."""
    return any(pattern.fullmatch(word) for pattern in (_CHANGE, _DEGREE, _BESIDE))


def former_numbers(text: str) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Start and end of the values of another day or of a change, and of dates and durations."""
    former = {match.span(1) for pattern in _FORMER for match in pattern.finditer(text)}
    former |= {match.span(1) for match in _BEFORE_NOW.finditer(text)}
    times = {match.span(match.lastindex or 0) for match in _TIMES.finditer(text)}
    return sorted(former - times), sorted(times)


def _kind_of(word: str, following: str) -> str:
    """One of "change", "enlarging", "degree", "beside", "small", "mark", "stays"."""
    if _CHANGE.fullmatch(word):
        today = word.lower().startswith(("increas", "decreas", "recurrent")) and _OF_TODAY.fullmatch(following)
        return "stays" if today else "change"
    if word.lower().startswith(("enlarg", "vergrößer", "verkleiner")):
        return "enlarging"
    if _DEGREE.fullmatch(word):
        return "degree"
    if _BESIDE.fullmatch(word):
        return "beside"
    if not word[0].isalnum():
        return "mark"
    return "small" if _SMALL.fullmatch(word) else "stays"
