"""What the clauses of a sentence deny, doubt, or say to be gone."""

import re

from refrad.privacy.scrubbing import PLACEHOLDER

__all__ = ["NEGATION", "clauses", "denials", "gone_clauses", "gone_words", "is_doubted"]

NEGATION = re.compile(
    r"\b(?:kein\w*|nicht|ohne|nie|weder|ausschluss|ausgeschlossen|frei von|fehlende[rnm]? (?:hinweis\w*|nachweis\w*)"
    r"|no|not|none|without|neither|never|free of|negative for|absence of|rules? out|ruled out|cannot|can't|nein)\b",
    re.IGNORECASE,
)
# Beside the words of the lexicon. A denied exclusion is a doubt.
_DOUBT = re.compile(
    r"\b(?:nicht (?:\w+ )?(?:auszuschließen|auszuschliessen|ausgeschlossen|ausschließbar)"
    r"|(?:not|cannot|can't|can not) (?:\w+ ){0,2}(?:excluded?|ruled out)|v\.\s?a\.|va\b|könn?te?n?|möglich\w*"
    r"|wahrscheinlich\w*|unwahrscheinlich\w*"
    r"|am ehesten|a\.\s?e\.|eher|verdacht\w*|verdächtig\w*|fraglich\w*|vermut\w*|evtl|eventuell\w*|suspekt\w*|ddx?"
    r"|fragliche\w*|scheinbar|womöglich"
    r"|differen[zt]ialdiagnos\w*|differential\w*|suspect\w*|suspicio\w*|possib\w*|probab\w*|likely|unlikely"
    r"|questionabl\w*|equivocal|may|might|could"
    r"|concern\w*|presum\w*|suggest(?:s|ive|ing)|perhaps|potential\w*|favou?r(?:s|ed|ing)?|apparent\w*)(?!\w)",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r",(?!\d)|[;:]|(?<=[^\W\d]{3})\.\s|\b(?:aber|jedoch|sondern|hingegen|dagegen|während|but|however|although|while"
    r"|whereas)\b",
    re.IGNORECASE,
)


# What was there and is no longer; not where only a part of it is gone, or where it is a change that has ended.
_GONE = re.compile(
    r"\b(?:resolved|resolution|disappear\w*|vanished|gone|cleared|zurückgebildet\w*|rückgebildet\w*|verschwunden\w*"
    r"|aufgelöst\w*|resorbiert\w*"
    r"|vollständige[rn]? (?:rück\w+|regression|resorption)|komplette[rn]? (?:rück\w+|regression|resorption)"
    r"|complete (?:regression|resorption)"
    r"|(?:nicht|kein\w*) (?:\w+ ){0,3}mehr|no longer|not (?:\w+ ){0,2}any ?more|no more)\b",
    re.IGNORECASE,
)
_STILL = re.compile(
    r"(?:\b(?:partial\w*|incomplet\w*|near\w*|almost|largely|mostly|not|un|teil\w*|weitgehend\w*|nahezu|fast"
    r"|beinahe|inkomplett\w*|unvollständig\w*"
    r"|größtenteils|überwiegend|deutlich\w*|leicht\w*|etwas|nicht|no|keine?|without|ohne)\W+(?:\w+\W+){0,2})$",
    re.IGNORECASE,
)
_CHANGING = re.compile(
    r"\W*(?:\w*progredien\w*|\w*regredien\w*|zunehm\w*|abnehm\w*|wachs\w*|gewachsen|so|as|increas\w*|grow\w*"
    r"|progress\w*|als|than)\b",
    re.IGNORECASE,
)

_OWN = re.compile(
    r"\d|\b(?:is|are|has|have|was|were|shows?|ist|sind|hat|haben|war|zeig\w+|kein\w*|no|not|nicht|ohne|without"
    r"|un\w+|normal\w*|now|jetzt|new|neu\w*|stable|persist\w*"
    r"|still|remain\w*|weiterhin|noch|konstant\w*|regelrecht\w*|frei|clear|intact|progredient\w*)\b",
    re.IGNORECASE,
)
_LEADS = (
    "resol",
    "interval resol",
    "complete",
    "vollständig",
    "komplett",
    "rückbildung",
    "disappear",
    "zurückgebildet",
    "nicht mehr",
    "no longer",
    "interval dis",
)
_LONGEST_ITEM = 5  # words of one clause of a list


def clauses(text: str) -> list[tuple[int, int]]:
    """Start and end of the parts of a sentence between commas, other marks and words such as "but"."""
    bounds = [0, *(edge for match in _CLAUSE.finditer(text) for edge in match.span()), len(text)]
    return [(start, end) for start, end in zip(bounds[::2], bounds[1::2], strict=True) if text[start:end].strip(" .")]


def gone_words(text: str) -> list[tuple[int, int]]:
    """Start and end of the words that say that something is no longer there."""
    return [
        match.span()
        for match in _GONE.finditer(text)
        if not _STILL.search(text[max(0, match.start() - 60) : match.start()])
        and not _CHANGING.match(text[match.end() : match.end() + 40])
    ]


def gone_clauses(text: str) -> list[tuple[int, int]]:
    """The clauses of what is no longer there; short clauses without a verb before or after it are part of its list."""
    words, parts = gone_words(text), clauses(text)
    if not words:
        return []
    gone = [any(start <= first < end for first, _ in words) for start, end in parts]
    listed = [
        len(text[start:end].split()) <= _LONGEST_ITEM and not _OWN.search(text[start:end]) for start, end in parts
    ]
    for positions in (range(1, len(parts)), range(len(parts) - 2, -1, -1)):
        step = 1 if positions.step < 0 else -1
        for position in positions:
            near = position + step
            start, end = parts[near]
            leads = text[start:end].strip(" .").lower().startswith(_LEADS)
            if gone[near] and listed[position] and (leads if step < 0 else not leads):
                gone[position] = True
    return [part for part, is_gone in zip(parts, gone, strict=True) if is_gone]


def is_doubted(text: str) -> bool:
    """Whether something in the text is said to be uncertain."""
    return _DOUBT.search(PLACEHOLDER.sub(" ", text)) is not None


def denials(text: str) -> int:
    """How many words of the text deny something; "not excluded" denies nothing."""
    return len(NEGATION.findall(_DOUBT.sub(" ", text)))
