"""Cutting comparisons with other examinations, which no single image can show, from report sentences.

The rules cut whole clauses only ("..., größer als in der Voruntersuchung vom ...") and leave all other sentences alone.
"""

import re

from refrad.core.types import LANGUAGES

__all__ = ["CUT", "LEFT", "UNCHANGED", "cut_comparisons"]

CUT = "rules: cut"
UNCHANGED = "rules: unchanged"
LEFT = "rules: comparison left"

_DATE = (
    r"(?:\d{1,2}\.\s?\d{1,2}\.\s?\d{2,4}|\d{4}-\d{2}-\d{2}|\d{1,2}/\d{1,2}/\d{2,4}|\d{1,2}/\d{4}|\d{4}|\[DATE\]"
    r"|[A-Z][a-zä]+ (?:\d{1,2}, )?\d{4})"
)
_PRIOR = {
    "de": (
        r"(?:(?:auswärtig|extern|letzt|vorherig|vorangegangen|früher|älter|alt|letztmalig)e[nrm]?\s)?(?:CT-|MRT?-|PET-)?"
        r"(?:Vor(?:untersuchung(?:en)?|befund(?:en)?|aufnahmen?|bild(?:ern)?|CT|MRT)|VU"
        r"|(?:Ausgangs|Vergleichs)untersuchung)"
        rf"(?:\s(?:(?:vom|von|aus|des|am)\s)?{_DATE}(?:\s(?:und|sowie)\s{_DATE})?)?"
    ),
    "en": (
        r"(?:the\s|a\s)?(?:(?:most\s)?(?:recent|last|immediate)\s)?(?:outside\s)?(?:prior|previous|earlier|preceding"
        r"|comparison|old)(?:\s(?:CT|MRI?|PET|chest|abdominal))?(?:\s(?:stud(?:y|ies)|exam(?:ination)?s?|scans?|imaging"
        rf"|images))?(?:\s(?:of|from|dated|on|performed\son)\s{_DATE})?"
    ),
}
_TREND = {
    "de": (
        r"(?:(?:etwas|deutlich|leicht|gering(?:gradig)?|minimal|insgesamt|weitgehend|im Wesentlichen|jetzt|aktuell)\s)*"
        r"(?:größer|kleiner|größen(?:konstant|progredient|regredient)|unverändert|idem|konstant|stabil|stationär|progredient"
        r"|regredient|rückläufig|zunehmend|abnehmend|zugenommen|abgenommen|neu|gewachsen|mehr|weniger|ausgeprägter"
        r"|identisch|gleichbleibend)"
    ),
    "en": (
        r"(?:(?:slightly|mildly|markedly|minimally|significantly|essentially|overall|now|grossly|interval)\s)*"
        r"(?:larger|smaller|bigger|unchanged|stable|increased|decreased|new|improved|worsened|worse|progressed|enlarged"
        r"|not\s(?:significantly\s)?changed|similar)(?:\sin\s(?:size|appearance|extent))*"
    ),
}
_COMPARED = {
    "de": (
        rf"(?:als\s(?:(?:in|bei|auf|zu)\s(?:der|den|dem|einer)|im|beim|zum)\s{_PRIOR['de']}"
        rf"|(?:im\sVergleich|verglichen)\s(?:zur|zum|(?:zu|mit)\s(?:der|dem|den))\s{_PRIOR['de']}"
        rf"|(?:gegenüber|seit)\s(?:der|dem|den)\s{_PRIOR['de']}|(?:zur|zum)\s{_PRIOR['de']})"
    ),
    "en": (
        rf"(?:(?:(?:as|when)\s)?compared\s(?:to|with)\s{_PRIOR['en']}|in\scomparison\s(?:to|with)\s{_PRIOR['en']}"
        rf"|than\s(?:on|in|seen\son)?\s?{_PRIOR['en']}|(?:since|from|to|relative\sto|versus)\s{_PRIOR['en']}|since\s{_DATE})"
    ),
}
# Words that mean a comparison even where nothing is named to compare with; "stabil" may be a fracture.
_ALONE = r"(?:unverändert|idem|größenkonstant|vorbekannt|vorbestehend|unchanged|as before|as previously (?:seen|noted|described))"
# A measure of another day next to that of today: "(vormals 6 mm)", ", previously 6 mm".
_MEASURE = r"\d+(?:[.,]\d+)?(?:\s?[x×]\s?\d+(?:[.,]\d+)?){0,2}\s?(?:mm|cm)"
_FORMERLY = {
    "de": rf"(?:zuvor|vormals|vorher|früher|damals|(?:in\s(?:der|den)\s)?{_PRIOR['de']})\s?:?\s?(?:ca\.\s)?{_MEASURE}",
    "en": rf"(?:previously|formerly|prior|was)\s(?:measur(?:ed|ing)\s)?(?:approximately\s|about\s)?{_MEASURE}",
}
_CLAUSES = {
    language: re.compile(
        rf"\s?,\s(?:{_TREND[language]}\s)?{_COMPARED[language]}(?:\s{_TREND[language]})?(?=\s?[,.;]|$)"
        rf"|\s?[(\[](?:{_TREND[language]}\s)?{_COMPARED[language]}(?:\s{_TREND[language]})?[)\]]"
        rf"|\s?,\s{_FORMERLY[language]}(?=\s?[,.;]?$)|\s?[(\[]{_FORMERLY[language]}[)\]]"
        rf"|\s?,\swie\s(?:in|bei|auf)\s(?:der|den|dem)\s{_PRIOR[language]}(?=\s?[,.;]|$)"
        rf"|\s?[(\[]{_ALONE}[)\]]|\s?,\s{_ALONE}(?=\.?$)"
        rf"|\s{_COMPARED[language]}(?=\s?[,.;]?$)",
        re.IGNORECASE,
    )
    for language in LANGUAGES
}
_LEADING = re.compile(rf"{_COMPARED['en']},\s", re.IGNORECASE)
# A sentence that depends on the comparison cannot lose it: "ist größer als in ...", "no change since ...".
_DEPENDS = {
    "de": re.compile(
        rf"\b(?:{_TREND['de']}|verändert|\w*(?:wandel|änderung|konstanz)|Zunahme|Abnahme|Progress|Progredienz|Regress"
        r"|Regredienz|Größe\w*|Dynamik|Vergleich|aufgetreten\w*)\s?$",
        re.IGNORECASE,
    ),
    "en": re.compile(
        rf"\b(?:{_TREND['en']}|changed?|growth|grown|increase|decrease|progression|regression|resolution|resolved"
        r"|interval|comparison|difference|development)\s?$",
        re.IGNORECASE,
    ),
}
_CHANGE = re.compile(
    rf"\b(?:{_TREND['en']}|changed?|growth|grown|increase|decrease|interval|resol\w+|progress\w+)\b", re.IGNORECASE
)
# Any hint of another examination; the column `rewriter` marks a sentence that keeps one.
_HINT = {
    "de": re.compile(
        rf"\b(?:{_PRIOR['de']}|VU|unverändert\w*|idem|\w*(?:progredien|regredien)\w+|zunehmend\w*|abnehmend\w*|rückläufig\w*"
        r"|größenkonstant\w*|konstant\w*|weiterhin|zuvor|vormals|im Verlauf|Verlaufskontrolle|Vergleich|neu aufgetreten\w*"
        r"|zugenommen|abgenommen|(?:Größen)?(?:zu|ab)nahme|nicht mehr|vorbekannt\w*|vorbestehend\w*)\b",
        re.IGNORECASE,
    ),
    "en": re.compile(
        r"\b(?:prior|previous(?:ly)?|compar(?:ed|ison)|interval|unchanged|stable|again|new|newly|(?:has|have) (?:\w+ )?(?:increased"
        r"|decreased|resolved|progressed|grown|improved)|no longer|since|re-?demonstrated|earlier|formerly|change from)\b",
        re.IGNORECASE,
    ),
}
_FEWEST_WORDS = 2
_LONG_WORD = 8  # letters; such a German word can be a whole sentence


def cut_comparisons(sentence: str, language: str) -> tuple[str, str]:
    """The sentence without pure comparison clauses, and the word for the column `rewriter`: CUT, UNCHANGED or LEFT.

    A clause is cut only where the remaining text is complete: it has two words, or one long noun, and does not end in a word
    of change. LEFT means that a hint of another examination remains.
    """
    text = sentence
    while (clause := _CLAUSES[language].search(text)) is not None:
        head, tail = text[: clause.start()].rstrip(), text[clause.end() :]
        attached = not clause.group().lstrip().startswith((",", "(", "["))
        complete = len(head.split()) >= _FEWEST_WORDS or (head[:1].isupper() and len(head) >= _LONG_WORD)
        if not complete or (attached and _DEPENDS[language].search(head)):
            break
        text = head + tail
    leading = _LEADING.match(text) if language == "en" else None
    if leading and not _CHANGE.search(text[leading.end() :]):
        text = text[leading.end()].upper() + text[leading.end() + 1 :]
    if _HINT[language].search(text):
        return text, LEFT
    return (text, CUT) if text != sentence else (sentence, UNCHANGED)
