"""Radiology reports, German and English: reading the table, sections, language."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Report", "detect_language", "read_csv", "read_reports", "sections_of"]

COLUMNS = ("report_id", "patient_id", "accession_number", "study_uid", "dicom", "language", "text")
TIES = {"study_uid", "accession_number", "patient_id", "dicom"}  # any of these columns finds the study

# The headings of each section; those of the last group open parts that no section takes.
HEADINGS: dict[str | None, str] = {
    "findings": """befund, befunde, befundbeschreibung, beschreibung, bildbefund, finding, findings, report, body,
        interpretation""",
    "impression": """beurteilung, zusammenfassung, fazit, schlussfolgerung, zusammenfassende beurteilung, impression,
        impressions, conclusion, conclusions, summary, opinion, assessment""",
    "indication": """klinische angaben, klinische angabe, klinische information, klinische informationen, klinik,
        anamnese, indikation, rechtfertigende indikation, klinik und fragestellung, clinical information,
        clinical history, clinical data, clinical details, clinical indication, clinical, history, indication,
        indications""",
    "question": """fragestellung, fragestellungen, klinische fragestellung, frage, question, clinical question,
        reason for exam, reason for examination, reason for study, reason""",
    "technique": """technik, untersuchungstechnik, methode, methodik, untersuchung, durchführung, protokoll, technique,
        procedure, protocol, exam, examination, study""",
    None: """vergleich, voruntersuchung, voruntersuchungen, vergleichsuntersuchung, comparison, comparisons,
        prior studies, empfehlung, empfehlungen, recommendation, recommendations, anmerkung, hinweis, note, addendum,
        nachtrag""",
}
SECTION_OF = {" ".join(word.split()): section for section, words in HEADINGS.items() for word in words.split(",")}

_WITH_COLON = re.compile(r"[\s*#]*([^\W\d_][\w ,/]{2,40}?)\s*[*]*:[*]*\s*")
_CLOSING = re.compile(
    r"\s*(?:mit (?:freundlichen|kollegialen|besten) grüßen|(?:mit )?freundliche grüße|mfg\b|vidiert"
    r"|elektronisch signiert|electronically signed|dictated by|signed\b|kind regards|sincerely)",
    re.IGNORECASE,
)
GERMAN = """
    der die das und ist im in mit kein keine keinen nicht ohne des dem den ein eine einer von zur zum am an auf bei sich
    es sind beidseits links rechts unauffällig nachweis
"""
ENGLISH = """
    the of and is no with in there are a an to for on at from without was were not or left right bilateral normal
    evidence unremarkable seen within has
"""
_GERMAN, _ENGLISH = frozenset(GERMAN.split()), frozenset(ENGLISH.split())


@dataclass(frozen=True)
class Report:
    """One row of the reports table; empty strings where the table has nothing. `dicom` is a folder inside the delivery."""

    report_id: str
    patient_id: str
    accession_number: str
    study_uid: str
    language: str
    text: str
    dicom: str = ""


def read_csv(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file (comma, semicolon or tab; UTF-8, else Windows-1252), keys and values stripped of white space.

    Raises:
        ValueError: if the file has no header.
    """
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("cp1252", errors="replace")
    header = text.split("\n", 1)[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    if not reader.fieldnames:
        raise ValueError(f"{path.name}: is empty, a header is needed")
    return [{key.strip().lower(): (value or "").strip() for key, value in row.items() if key} for row in reader]


def read_reports(path: Path) -> list[Report]:
    """The reports table.

    Raises:
        ValueError: if report_id or text is no column, or none of study_uid, accession_number, patient_id and dicom.
    """
    rows = read_csv(path)
    if not rows:
        return []
    missing = [name for name in ("report_id", "text") if name not in rows[0]]
    if missing or not TIES & set(rows[0]):
        wanted = " and ".join(missing) or "study_uid, accession_number, patient_id or dicom"
        raise ValueError(f"{path.name}: has no column {wanted}; columns are {', '.join(COLUMNS)}")
    return [Report(**{name: row.get(name, "") for name in COLUMNS}) for row in rows]


def detect_language(text: str) -> str:
    """The language, "de" or "en", whose small words are more frequent; German if neither is."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    german = sum(word in _GERMAN for word in words) + 2 * len(re.findall(r"[äöüß]", text.lower()))
    return "en" if sum(word in _ENGLISH for word in words) > german else "de"


def sections_of(text: str) -> list[tuple[str, str]]:
    """Sections in the order of the report as (section, text).

    A heading begins a line and has a colon, or stands alone on its line. Text before the first heading is findings
    where no heading says so, and a letterhead otherwise, which is left out as signatures are.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    parts: list[tuple[str | None, list[str]]] = [("", [])]
    for line in text.split("\n"):
        if _CLOSING.match(line):
            parts.append((None, []))
            continue
        known, rest = _heading(line)
        if known is not None:
            parts.append((SECTION_OF[known], [rest] if rest else []))
        else:
            parts[-1][1].append(line)
    named = [(section, "\n".join(lines).strip()) for section, lines in parts if section]
    if all(section != "findings" for section, _ in named):
        named.insert(0, ("findings", "\n".join(parts[0][1]).strip()))
    return [(section, body) for section, body in named if body]


def _heading(line: str) -> tuple[str | None, str]:
    """The known heading that a line begins with, and the rest of the line."""
    alone = line.strip(" \t*#:").lower()
    if alone in SECTION_OF:
        return alone, ""
    found = _WITH_COLON.match(line)
    if found and found[1].strip().lower() in SECTION_OF:
        return found[1].strip().lower(), line[found.end() :].strip()
    return None, ""
