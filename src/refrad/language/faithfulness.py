"""Whether two sentences have the same content, as far as words, numbers and the lexicon can decide.

A language model may drop a finding, change a side or deny a finding in a well-formed sentence. These checks are strict on
purpose: refusing a good sentence costs a row, accepting a wrong one puts a false label on an image.
"""

import re
from collections import Counter
from collections.abc import Iterable

from refrad.anatomy.lexicon import Lexicon
from refrad.language.mention_finder import find_mentions
from refrad.language.sections import detect_language
from refrad.privacy.scrubbing import PLACEHOLDER

__all__ = ["check_rewriting", "check_translation", "names_other_examination"]

LONGER = 1.15  # a rewritten sentence has at most so much more letters ...
AND = 20  # ... and these
STEM = 4  # letters that make two words the same
MIN_WORDS = 6  # for detecting the language

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[^\W\d_]{3,}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NEGATION = re.compile(r"\b(?:kein\w*|nicht|ohne|nie|no|not|none|without|nor|neither|never)\b", re.IGNORECASE)
# Words of comparison and time, and the small words around them: these may go. "Klein", "alt" and "leichte" may not.
_MAY_GO = re.compile(
    r"(?:un)?verändert\w*|\w*(?:änderung|veränderung|konstan[tz]|progredien[tz]|regredien[tz]|zunahme|abnahme|dynamik)\w*"
    r"|vergl\w+|verlauf\w*|vor(?:untersuch|befund|aufnahm|bild|bekannt|bestehend|herig|mals|her|ct|mrt)\w*|früher\w*|damal\w*"
    r"|zuletzt|letzte?\w*|seit\w*|bislang|bisher\w*|neue?[nmrs]?|neu(?:auf|ge)\w+|erneut\w*|weiter\w*|noch|mehr|weniger|nun|jetzt"
    r"|aktuell\w*|heut\w*|mittlerweile|inzwischen|zwischenzeit\w*|bekannt\w*|stabil\w*|stationär\w*|gleich\w*|identisch\w*|idem"
    r"|größer|kleiner|größen\w*|größe|gewachsen\w*|wachs\w*|wuchs|zugenommen\w*|abgenommen\w*|zunehmend\w*|abnehmend\w*"
    r"|vergrößert\w*|verkleinert\w*|progress\w*|regress\w*|rückläufig\w*|\w*rückgebildet\w*|entwick\w*|\w*kontroll\w*"
    r"|ausgangs\w*|auswärtig\w*|extern\w*|auf(?:ge)?tret\w*|hinzu\w*|gegenüber|etwas|leicht|deutlich|gering|insgesamt|weitgehend"
    r"|wesentlich\w*|relevant\w*|signifikant\w*|wie|als|auf|von|vom|zum|zur|aus|bei|beim|mit|der|die|das|den|dem|des|eine?[nmrs]?"
    r"|und|sowie|hat|haben|hatte|ist|sind|war|waren|wird|wurde|worden|sich|zeigt|zeigen|nach|dort|dabei|nachweisbar"
    r"|unchanged|stable|chang\w+|compar\w+|prior|previous\w*|earlier|preceding|former\w*|since|interval\w*|new|newly|now|again"
    r"|current\w*|today|known|still|remain\w*|persist\w*|longer|grown?|grew|growth|increas\w+|decreas\w+|enlarg\w+|larger|smaller"
    r"|bigger|improv\w+|worse\w*|resol\w+|develop\w+|similar|appear\w*|stud(?:y|ies)|exam\w*|scans?|imag\w+|follow|last|date[ds]?"
    r"|slight|slightly|mildly|markedly|minimally|significant\w*|essentially|overall|grossly|size|extent|the|and|has|have|had|was"
    r"|were|are|been|than|from|with|for|this|that|when|there|seen|noted|measur\w+",
    re.IGNORECASE,
)
# A denial that may go with the change it denies: "keine Größenzunahme". A denial of something new must stay.
_NO_CHANGE = re.compile(
    rf"{_NEGATION.pattern}(?:\s\w+){{0,2}}\s(?:\w*(?:änder|zunahme|abnahme|progredien|regredien|progress|regress|wachs|konstan)\w*"
    r"|größer|kleiner|chang\w+|grow\w+|increas\w+|decreas\w+|larger|smaller|enlarg\w+|longer|mehr)\b",
    re.IGNORECASE,
)
# Small words that may come to join what is left.
_MAY_COME = re.compile(
    r"von|vom|mit|der|die|das|den|dem|des|eine?[nmrs]?|und|ist|sind|zeigt|zeigen|sich|nach|messend\w*|groß\w*|the|and|with|are"
    r"|there|measuring|size|this|nicht|not|seen",
    re.IGNORECASE,
)
_COMPARISON = re.compile(
    r"Vor(?:untersuchung|befund|aufnahme|bild|CT|MRT)\w*|\bVU\b|Ausgangsuntersuchung|\bim Verlauf\b|\bunverändert|"
    r"\bgrößen(?:konstant|progredient|regredient)|\b(?:im Vergleich|verglichen) (?:zu|mit)|"
    r"\b(?:previous|prior|earlier|preceding|comparison) (?:CT|MRI?|PET|stud(?:y|ies)|exam\w*|scans?|imaging|images?)\b|"
    r"\bcompared (?:to|with)\b|\bin comparison\b|\binterval (?:change|growth|increase|decrease|development|resolution)|"
    r"\bunchanged\b",
    re.IGNORECASE,
)


def check_rewriting(before: str, after: str, language: str, lexicon: Lexicon) -> str | None:
    """The problem of a sentence from which comparisons were to be dropped, as a message to the model, or None.

    It may be empty only where the original names no anatomy.
    """
    if _CONTROL.search(after):
        return "sentence must be one line of plain text."
    if not after.strip():
        return "The finding must stay." if find_mentions(before, language, lexicon) else None
    if len(after) > LONGER * len(before) + AND:
        return "sentence is longer than the original: add nothing."
    if added := _numbers(after) - _numbers(before):
        return f"The number {min(added)} does not stand in the original."
    if added := _placeholders(after) - _placeholders(before):
        return f"The placeholder {min(added)} does not stand in the original."
    if (wrong := _changed_words(before, after)) is not None:
        return wrong
    if (comparison := _COMPARISON.search(after)) is not None:
        return f"A comparison is left: {comparison.group()}."
    return _difference(_claims(before, language, lexicon), _claims(after, language, lexicon))


def check_translation(before: str, after: str, language: str, target: str, lexicon: Lexicon) -> str | None:
    """The problem of a translation from `language` to `target`, as a message to the model, or None."""
    if not after.strip() or _CONTROL.search(after):
        return "sentence must be one line of plain text and not empty."
    if len(after.split()) >= MIN_WORDS and detect_language(after) != target:
        return f"sentence must be in the language {target}."
    numbers_before, numbers_after = (
        Counter(number.replace(",", ".") for number in _NUMBER.findall(text)) for text in (before, after)
    )
    if numbers_before != numbers_after:
        wrong = min((numbers_before - numbers_after) or (numbers_after - numbers_before))
        return f"All numbers must be the same, each as often as in the original: see {wrong}."
    if _placeholders(before) != _placeholders(after):
        return "All placeholders in brackets must stay, and no others come."
    claims_before = _denials(_claims(before, language, lexicon))
    claims_after = _denials(_claims(after, target, lexicon))
    return _difference(claims_before, claims_after)


def names_other_examination(text: str) -> bool:
    """Whether a text compares with another examination, German or English."""
    return _COMPARISON.search(text) is not None


def _changed_words(before: str, after: str) -> str | None:
    """A removed word that is not of comparison or time, an added word, or an added or removed denial."""
    words_before, words_after = _words(before), _words(after)
    for word in words_before:
        if word[:STEM] not in _stems(words_after) and not _MAY_GO.fullmatch(word):
            return f"The word {word} must stay."
    for word in words_after:
        if word[:STEM] not in _stems(words_before) and not _MAY_COME.fullmatch(word):
            return f"The word {word} does not stand in the original."
    denials_before, denials_after = len(_NEGATION.findall(before)), len(_NEGATION.findall(after))
    if not denials_before - len(_NO_CHANGE.findall(before)) <= denials_after <= denials_before:
        return "What is denied must stay denied, and nothing else."
    return None


def _claims(text: str, language: str, lexicon: Lexicon) -> dict[str, set[str]]:
    """Class to its assertions."""
    claims: dict[str, set[str]] = {}
    for mention in find_mentions(text, language, lexicon):
        for name in mention.classes:
            claims.setdefault(name, set()).add(mention.assertion)
    return claims


def _denials(claims: dict[str, set[str]]) -> dict[str, set[str]]:
    """Claims reduced to whether the class is denied, since certainty is worded differently in each language."""
    return {
        name: {"denied" if assertion in ("negated", "absent") else "affirmed" for assertion in assertions}
        for name, assertions in claims.items()
    }


def _difference(before: dict[str, set[str]], after: dict[str, set[str]]) -> str | None:
    if lost := before.keys() - after.keys():
        return f"The anatomy or side of the original must stay: {min(lost)} is missing."
    if added := after.keys() - before.keys():
        return f"Anatomy or a side was added: {min(added)}."
    changed = [name for name in before if before[name] != after[name]]
    return f"What is denied, certain or uncertain must stay so: see {min(changed)}." if changed else None


def _stems(words: Iterable[str]) -> set[str]:
    return {word[:STEM] for word in words}


def _numbers(text: str) -> Counter[str]:
    return Counter(_NUMBER.findall(text))


def _placeholders(text: str) -> Counter[str]:
    return Counter(PLACEHOLDER.findall(text))


def _words(text: str) -> list[str]:
    words = _WORD.findall(PLACEHOLDER.sub(" ", text))
    return [word.lower() for word in words if not _NEGATION.fullmatch(word)]
