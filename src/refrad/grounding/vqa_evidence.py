"""Whether the evidence that a model gives for a pair bears the pair out."""

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from refrad.anatomy.lexicon import Lexicon, normalise
from refrad.statements.certainty import NEGATION, denials, is_doubted
from refrad.statements.change_words import is_small_word
from refrad.statements.sentence_content import Content, StatedTerm, read_content

__all__ = ["asks_about_report", "check_evidence", "locate_evidence"]

FEWEST_WORDS = 2  # of evidence
STEM, ENDING = 4, 4  # letters at the beginning that make two words the same, and most letters after them

_WORD = re.compile(r"[^\W\d_]+")
# Words of a question, or of an answer, that need not stand in the evidence.
_ASKING = re.compile(
    r"is|are|does|do|did|can|what|which|where|how|why|who|whose|many|much|large|big|wide|long|thick|size|side|sides"
    r"|seen|see|shown?|shows?|visible|present|there|here|any|kind|type"
    r"|image|images|picture|scan|ct|mr|mri|slice|patient|following|structure|structures|organ|organs|located?"
    r"|location|lie|lies|found|find|finding|findings|have|has|contain\w*"
    r"|measur\w*|diameter|evidence|signs?|one|ones|it|its|describ\w*|abnormal\w*|appear\w*|look\w*|part|within"
    r"|around|yes|no|not|neither|none|body|region|area|about|detected|affected|involved|be|by|or"
    r"|ist|sind|gibt|es|liegt|liegen|vor|wo|wie|was|welche\w*|woran|wodurch|warum|viele|groß|breit|lang|dick|größe"
    r"|seite\w*|zu|sehen|sieht|man|zeig\w*|sichtbar\w*|erkennbar\w*|darstell\w*|stellt|dar|vorhanden\w*"
    r"|bild\w*|aufnahme|schicht|patient\w*|struktur\w*|organ\w*|lage|befindet|befinden|finde[nt]\w*|hat|haben"
    r"|enthält|misst|durchmesser|nachweis\w*|hinweis\w*|zeichen|auf|für|irgend\w*|ein\w*|beim|davon|diese\w*"
    r"|auffällig\w*|art|teil|betroffen\w*|bereich|region|ja|nein|kein\w*|nicht|weder|noch|keins|beträgt|werden|wird"
    r"|worden|kann|lässt|im|am|oder|of",
    re.IGNORECASE,
)
_ABOUT_REPORT = re.compile(
    r"\b(?:reports?|reported|radiologists?|sentences?|captions?|texts?|describe[sd]?|description|mentioned"
    r"|mentions?|states?|stated|noted|documented|according to"
    r"|befund(?:e[sn]?)?|bericht\w*|befundbericht\w*|s[aä]tz(?:e[sn]?|en)?|text(?:e[sn]?)?|radiolog(?:e|en|in)"
    r"|beschr[ei]\w*|erwähn\w*|genannt\w*|laut|dokumentiert\w*)\b",
    re.IGNORECASE,
)


def asks_about_report(text: str) -> bool:
    """Whether a question is about what was written, not about the image."""
    return _ABOUT_REPORT.search(text) is not None


def locate_evidence(evidence: str, captions: Iterable[str]) -> tuple[str, int, int] | None:
    """The caption of the evidence and its place there, at whole words and of at least two words; None if there is none."""
    words = evidence.strip().strip(".,;: ")
    if len(_WORD.findall(words)) + len(re.findall(r"\d+", words)) < FEWEST_WORDS or not _WORD.search(words):
        return None
    pattern = re.compile(rf"(?<!\w){re.escape(words)}(?!\w)")
    for caption in captions:
        if match := pattern.search(caption):
            return caption, *match.span()
    return None


def check_evidence(
    question: str, answer: str, is_yes: bool | None, evidence: tuple[str, int, int], language: str, lexicon: Lexicon
) -> bool:
    """Whether evidence bears out an answer.

    Args:
        question: The question.
        answer: Its answer; of no account where it is yes or no.
        is_yes: Whether the answer is yes, or None where it is neither yes nor no.
        evidence: The caption, and start and end of the evidence in it.
        language: Of all of them.
        lexicon: The words of the classes.
    """
    caption, start, end = evidence
    source = _Evidence(read_content(caption, language, lexicon), start, end)
    query = read_content(question, language, lexicon)
    if is_yes is None:
        return _bears_out(query, read_content(answer, language, lexicon), source)
    return _agrees(query, source) if is_yes else _contradicts(query, source)


class _Evidence:
    """The content of a caption, and that of its clauses that the evidence is from, with what the first clause takes over."""

    def __init__(self, content: Content, start: int, end: int) -> None:
        self.content = content
        first, last = _statement(content, start, end)
        self.text = content.text[first:last]
        self.cited = content.text[start:end]
        self.sides = {side for position, side in content.sides if first <= position < last}
        self.cited_sides = {side for position, side in content.sides if start <= position < end}
        self.measures = [measure for measure in content.measures if first <= measure.start < last]
        self.cited_measures = [measure for measure in content.measures if start <= measure.start < end]
        self.terms = [term for term in content.terms if first <= term.start < last]
        self.cited_terms = [term for term in content.terms if term.start < end and term.end > start]
        self.classes = {
            name
            for mention in content.mentions
            if mention.start < last and mention.end > first
            for name in mention.classes
        }
        self.cited_classes = {
            name
            for mention in content.mentions
            if mention.start < end and mention.end > start
            for name in mention.classes
        }
        self.stems = _stems(_WORD.findall(self.text))
        self.cited_stems = _stems(_WORD.findall(self.cited))


def _statement(content: Content, start: int, end: int) -> tuple[int, int]:
    """The clauses around the evidence. A clause without a finding belongs to the one before: "Zyste, 18 mm groß"."""
    text = content.text
    bounds = [0, *(match.start() for match in re.finditer(r",(?!\d)|;|\.\s|:", text)), len(text)]
    merged: list[tuple[int, int]] = []
    for first, last in pairwise(bounds):
        stated = any(first <= term.start < last and term.kind == "finding" for term in content.terms)
        named = any(first <= mention.start < last for mention in content.mentions)
        sided = any(first <= position < last for position, _ in content.sides)
        if merged and not stated and not named and not sided:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    touched = [part for part in merged if part[0] < end and part[1] > start]
    return min(first for first, _ in touched), max(last for _, last in touched)


def _bears_out(query: Content, answer: Content, source: _Evidence) -> bool:
    """Whether the evidence has the words, side, sizes and assertion of an answer, and does not contradict its question."""
    if {measure.size for measure in answer.measures} - {measure.size for measure in source.cited_measures}:
        return False
    if not _spread(_sides(answer)) <= _spread(source.cited_sides or source.sides):
        return False
    if any(not _stands(term, source.cited_terms) for term in answer.terms if term.kind != "change"):
        return False
    for word in _content_words(answer):
        if not _stems([word]) & source.cited_stems and not _is_named(word, answer, source.cited_classes):
            return False
    if not answer.terms and _denies(answer.text) != _denies(source.cited) and _denies(answer.text):
        return False
    if is_doubted(answer.text) and not is_doubted(source.text):
        return False
    return _fits(query, source, skip=answer)


def _fits(query: Content, source: _Evidence, skip: Content) -> bool:
    """Whether the premises of an open question hold for the evidence: sides, classes, findings; choices in it aside."""
    sides = _sides(query)
    one_sided = len(_spread(sides)) == 1
    if one_sided and source.sides and not _spread(sides) <= _spread(source.sides):
        return False
    classes = {name for mention in query.mentions for name in mention.classes}
    if classes and source.classes and not classes & source.classes:
        return False
    findings = [term for term in query.terms if term.kind in ("finding", "look") and not _stands(term, skip.terms)]
    return all(any(term.names & match.names for match in source.terms) for term in findings)


def _agrees(query: Content, source: _Evidence) -> bool:
    """Whether the evidence says what a question asks."""
    if _compare(query, source) != "same":
        return False
    for word in _content_words(query):
        if (
            not _stems([word]) & source.stems
            and not _is_named(word, query, source.classes)
            and not _is_term(word, query)
        ):
            return False
    return bool(query.terms) or _denies(query.text) == _denies(source.text)


def _contradicts(query: Content, source: _Evidence) -> bool:
    """Whether the evidence denies what a question asks, or says another side, size, place or degree of it."""
    return _compare(query, source) == "other"


def _compare(query: Content, source: _Evidence) -> str:
    """One of "same", "other", "unknown": what the evidence says of the matter of a question."""
    findings = [term for term in query.terms if term.kind in ("finding", "look")]
    normal = any(term.kind == "state" for term in source.terms)
    asks_normal = any(term.kind == "state" for term in query.terms)
    classes = {name for mention in query.mentions for name in mention.classes}
    elsewhere = bool(classes and source.classes and not classes & source.classes)
    absent = any(
        mention.assertion == "absent" and set(mention.classes) & classes for mention in source.content.mentions
    )
    if absent and not any("removal" in term.names for term in findings):
        return "other"
    outcome = "same"
    for term in findings:
        matches = [match for match in source.terms if match.kind == term.kind and match.names & term.names]
        if not matches:
            rivals = [match for match in source.terms if match.kind == term.kind and match.assertion == "present"]
            if absent and "removal" in term.names:
                continue
            contradicted = (normal and not elsewhere) or (term.kind == "look" and rivals and not elsewhere)
            return "other" if contradicted else "unknown"
        if term.assertion not in {match.assertion for match in matches}:
            if "uncertain" in {term.assertion, *(match.assertion for match in matches)}:
                return "unknown"
            outcome = "other"
    unnamed = not findings and not asks_normal and not query.measures
    if unnamed and _denies(source.text) != _denies(query.text) and not absent:
        words = _content_words(query)
        outcome = "other" if words and all(_stems([word]) & source.stems for word in words) else "unknown"
    sides, said_sides = _spread(_sides(query)), _spread(source.sides)
    if sides and said_sides and not sides <= said_sides:
        outcome = "other" if outcome == "same" and (findings or classes) else outcome
    if elsewhere and outcome == "same":
        outcome = "other" if findings else "unknown"
    if asks_normal and not findings:
        ill = [term for term in source.terms if term.kind in ("finding", "look") and term.assertion == "present"]
        outcome = "same" if normal and not ill and not elsewhere else "other" if ill and not elsewhere else "unknown"
    elif query.measures or any(term.kind in ("degree", "place") for term in query.terms):
        outcome = _compare_details(query, source, outcome)
    if is_doubted(query.text) != is_doubted(source.text) and outcome == "same":
        return "unknown"
    return outcome


def _compare_details(query: Content, source: _Evidence, outcome: str) -> str:
    """The outcome after sizes, degrees and places."""
    if query.measures:
        if not source.measures:
            return "unknown"
        if {measure.size for measure in query.measures} - {measure.size for measure in source.measures}:
            outcome = "other"
    for kind in ("degree", "place"):
        for term in query.terms:
            if term.kind != kind or any(term.names & match.names for match in source.terms if match.kind == kind):
                continue
            rivals = any(match.kind == kind for match in source.terms)
            outcome = "other" if rivals or outcome == "other" else "unknown"
    return outcome


def _stands(term: StatedTerm, terms: Sequence[StatedTerm]) -> bool:
    """Whether a term stands among others, as certain or denied as there."""
    certain = term.kind in ("finding", "look")
    return any(
        match.kind == term.kind and match.names & term.names and (not certain or match.assertion == term.assertion)
        for match in terms
    )


def _content_words(content: Content) -> list[str]:
    """The words that say something: no small words, sides, or words of asking."""
    sides = {position for position, _ in content.sides}
    measured = [(measure.start, measure.end) for measure in content.measures]
    return [
        match.group()
        for match in _WORD.finditer(content.text)
        if match.start() not in sides
        and not any(start <= match.start() < end for start, end in measured)
        and not is_small_word(match.group())
        and not _ASKING.fullmatch(match.group())
        and not NEGATION.fullmatch(match.group())
        and not is_doubted(match.group())
        and len(match.group()) > 1
    ]


def _is_named(word: str, content: Content, classes: set[str]) -> bool:
    """Whether a word belongs to a mention whose classes are among some."""
    return len(word) >= STEM and any(
        word in _WORD.findall(mention.text) and set(mention.classes) & classes for mention in content.mentions
    )


def _is_term(word: str, content: Content) -> bool:
    """Whether a word is one of the terms, which are compared by themselves."""
    return any(word in _WORD.findall(content.text[term.start : term.end]) for term in content.terms)


def _denies(text: str) -> bool:
    return denials(text) > 0


def _sides(content: Content) -> set[str]:
    return {side for _, side in content.sides}


def _spread(sides: Iterable[str]) -> set[str]:
    return {part for side in sides for part in (("left", "right") if side == "both" else (side,))}


def _stems(words: Iterable[str]) -> set[str]:
    stems = set()
    for word in words:
        plain = normalise(word)
        stems |= {plain[:length] for length in range(max(STEM, len(plain) - ENDING), len(plain))} | {plain}
    return stems
