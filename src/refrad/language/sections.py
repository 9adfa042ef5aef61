"""Radiology reports, German and English: their sections and their language."""

import re
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["Part", "detect_language", "split_parts", "split_sections"]

# The headings of each section; those of "other" open parts that no section takes. Headings may be joined
# ("Technik und Befund", "Indikation/Fragestellung"): the section that comes first here has them.
HEADINGS = {
    "findings": """befund, befunde, befundbericht, befundbeschreibung, befundtext, beschreibung, bildbefund, radiologischer befund,
        befund im einzelnen, im einzelnen, finding, findings, imaging findings, radiological findings, report, body,
        interpretation, description, result, results, observations""",
    "impression": """beurteilung, gesamtbeurteilung, zusammenfassung, fazit, schlussfolgerung, zusammenfassende beurteilung,
        zusammenfassende befundung, abschließende beurteilung, diagnose, radiologische diagnose, kommentar, impression, impressions,
        conclusion, conclusions, summary, opinion, assessment, overall impression, final impression, impression and plan,
        diagnosis, interpretation summary""",
    "indication": """klinische angaben, klinische angabe, klinische information, klinische informationen, klinische daten, klinik,
        klinischer hintergrund, anamnese, vorgeschichte, indikation, indikationen, rechtfertigende indikation, diagnosen, angaben,
        clinical information, clinical history, clinical data, clinical details, clinical indication, clinical, clinical background,
        clinical context, history, brief history, indication, indications, indication for study, indication for exam,
        indication for examination, history of present illness, patient history""",
    "question": """fragestellung, fragestellungen, klinische fragestellung, frage, auftrag, question, questions, clinical question,
        reason for exam, reason for examination, reason for study, reason for the study, reason for this examination,
        reason for test, reason for visit, reason""",
    "technique": """technik, untersuchungstechnik, aufnahmetechnik, technische durchführung, untersuchungsprotokoll, methode, methodik,
        untersuchung, untersuchungen, durchgeführte untersuchung, durchführung, protokoll, kontrastmittel, verfahren, sequenzen,
        dosis, technique, techniques, scan technique, procedure, procedures, protocol, exam, examination, examinations, exam type,
        study, contrast, dose""",
    "other": """vergleich, vergleichsuntersuchung, vergleichsuntersuchungen, voruntersuchung, voruntersuchungen, voraufnahmen,
        vorbefunde, comparison, comparisons, comparison study, prior studies, priors, empfehlung, empfehlungen, procedere, prozedere,
        therapievorschlag, plan, recommendation, recommendations, anmerkung, anmerkungen, bemerkung, hinweis, note, notes, addendum,
        addenda, nachtrag, nachbefundung, limitations, critical results, communication""",
}
SECTIONS = tuple(HEADINGS)
SECTION_OF = {" ".join(word.split()): section for section, words in HEADINGS.items() for word in words.split(",")}
# Headings that also open a section inside a line, in reports that lost their line breaks.
INSIDE_A_LINE = """befund, befunde, beurteilung, zusammenfassung, klinische angaben, klinische fragestellung, fragestellung, indikation,
    rechtfertigende indikation, technik, untersuchungstechnik, empfehlung, voruntersuchung, findings, impression, conclusion, clinical history,
    clinical information, clinical, indication, reason for exam, reason for examination, technique, comparison, recommendation"""

_WITH_COLON = re.compile(r"[\s*#>_=-]*((?:\d{1,2}[.)]\s*)?[^\W\d_][\w ,./&+()\[\]-]{2,60}?)\s*[*_]*:[*_]*[^\S\n]*")
_MARKUP = " \t*#:>_=-–"
_NUMBER = re.compile(r"^(?:\d{1,2}[.)]|[ivx]{1,4}\.|[a-z]\))\s*")
_MODALITY = r"(?:pet[-/ ]?)?(?:ct|mrt|mri|mr|röntgen|sonographie|sono|cta|mra)"
_AROUND = re.compile(
    rf"^{_MODALITY}[\s-]+|\s*\(.*\)$|\s(?:vom|from|dated)\s.*$|\s(?:der|des|of the)?\s?{_MODALITY}\b.*$"
)
_JOINED = re.compile(r"\s*(?:/|&|\+|,|\bund\b|\band\b|\bbzw\b\.?|\bsowie\b)\s*")
_REGION = re.compile(r"\s*(?:CTA?|MRT|MRI|MRA?|PET[-/]CT)\b[^:\n]{0,60}:\s*$")
_CLOSING = re.compile(
    r"\s*(?:mit (?:freundlichen|kollegialen|besten|herzlichen) grüßen|mit (?:freundlichen|kollegialen|besten) gruessen"
    r"|(?:mit )?(?:freundliche|kollegiale|beste) grüße|mfg\b|m\.\s?f\.\s?g\b|vidiert|elektronisch (?:signiert|freigegeben|unterschrieben)"
    r"|dieser befund wurde elektronisch|electronically signed|dictated (?:by|but)|signed\b|kind regards|best regards|sincerely)",
    re.IGNORECASE,
)


def _inside_a_line() -> re.Pattern[str]:
    words = [" ".join(word.split()) for word in INSIDE_A_LINE.split(",")]
    titled = "|".join(word[0].upper() + word[1:] for word in sorted(words, key=len, reverse=True))
    capitals = "|".join(word.upper() for word in sorted(words, key=len, reverse=True))
    return re.compile(
        rf"(?:(?<=[.!?;)]\s)|(?<=\s\s))(?P<titled>{titled}|{capitals})\s?:|(?<=[.,;])(?P<close>{capitals})\s?:"
    )


_INSIDE = _inside_a_line()
GERMAN = """
    der die das und ist im in mit kein keine keinen nicht ohne des dem den ein eine einer von zur zum am an auf bei sich
    es sind beidseits links rechts unauffällig nachweis regelrecht regelrechte bekannt nach aus wie auch bis als
"""
ENGLISH = """
    the of and is no with there are a to for on at from without was were not or left right bilateral normal
    evidence unremarkable seen within has this be which
"""
_GERMAN, _ENGLISH = frozenset(GERMAN.split()), frozenset(ENGLISH.split())


class Part(NamedTuple):
    """A piece of a report from start to end (code points), its heading up to `body`.

    Its section is one of SECTIONS, or "letterhead" before the first heading, or "closing" from the greeting on.
    """

    section: str
    start: int
    body: int
    end: int


def detect_language(text: str) -> str:
    """The language, "de" or "en", whose small words are more frequent; German if neither is."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    german = sum(word in _GERMAN for word in words) + 2 * len(re.findall(r"[äöüß]", text.lower()))
    return "en" if sum(word in _ENGLISH for word in words) > german else "de"


def split_parts(text: str) -> list[Part]:
    """All of a report, cut at its headings: the parts follow each other from the first character to the last.

    A heading begins a line and has a colon, is alone on its line, or follows a sentence and has a colon.
    """
    marks = [("letterhead", 0, 0)]
    for section, start, body in _headings(text):
        if start == 0:
            marks.clear()
        marks.append((section, start, body))
    ends = [start for _, start, _ in marks[1:]] + [len(text)]
    return [Part(section, start, body, end) for (section, start, body), end in zip(marks, ends, strict=True)]


def split_sections(text: str) -> list[tuple[str, str]]:
    """Sections in the order of the report as (section, text), without headings.

    Text before the first heading is findings where no heading opens findings, else a letterhead, which is left out like
    signatures and other parts. Without a heading for findings, the headings of examinations ("CT ABDOMEN:") open them.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    parts = split_parts(text)
    if all(part.section != "findings" for part in parts):
        parts = [piece for part in parts for piece in _split_by_region(part, text)]
    if all(part.section != "findings" for part in parts):
        parts = [part._replace(section="findings") if part.section == "letterhead" else part for part in parts]
    named = [(part.section, text[part.body : part.end].strip()) for part in parts if part.section in SECTIONS[:-1]]
    return [(section, body) for section, body in named if body]


def _headings(text: str) -> Iterator[tuple[str, int, int]]:
    """Section, start and end of each heading; a greeting is the heading of the closing."""
    for line in re.finditer(r"[^\n]+", text):
        start, end = line.span()
        if _CLOSING.match(line[0]):
            yield "closing", start, start
            continue
        begin = start
        if section := _section(line[0].strip(_MARKUP)):
            yield section, start, end
            continue
        heading = _WITH_COLON.match(line[0])
        if heading and (section := _section(heading[1])):
            yield section, start, start + heading.end()
            begin = start + heading.end()
        for inside in _INSIDE.finditer(text, begin, end):
            name = inside["titled"] or inside["close"]
            yield SECTION_OF[name.lower()], inside.start(), inside.end()


def _section(heading: str) -> str | None:
    """The section that a heading opens."""
    plain = " ".join(_NUMBER.sub("", heading.lower().strip()).split()).replace("klin. ", "klinische ").rstrip(".")
    for name in (plain, _AROUND.sub("", plain).strip()):
        if name in SECTION_OF:
            return SECTION_OF[name]
        words = _JOINED.split(name)
        if len(words) > 1 and all(word in SECTION_OF for word in words):
            return min((SECTION_OF[word] for word in words), key=SECTIONS.index)
    return None


def _split_by_region(part: Part, text: str) -> Iterator[Part]:
    """A part that is no impression, cut where an examination is named: the text after it is its findings."""
    start, section, body = part.start, part.section, part.body
    if section not in ("impression", "closing"):
        for line in re.finditer(r"[^\n]+", text[part.body : part.end]):
            if _REGION.match(line[0]):
                region = part.body + line.start()
                if region > start:
                    yield Part(section, start, body, region)
                start, section, body = region, "findings", part.body + line.end()
    yield Part(section, start, body, part.end)
