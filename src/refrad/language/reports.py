"""Radiology reports, German and English: reading the table, sections, language, sentences."""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Report", "detect_language", "read_csv", "read_reports", "sections_of", "sentences_of"]

COLUMNS = ("report_id", "patient_id", "accession_number", "study_uid", "language", "text")
SECTIONS = ("findings", "impression", "indication", "question", "technique")

# Heading to section; None for parts that no section takes. Compared in lower case.
HEADINGS: dict[str, str | None] = {
    **dict.fromkeys(
        "befund|befunde|befundbeschreibung|beschreibung|bildbefund|finding|findings|report|body|interpretation".split(
            "|"
        ),
        "findings",
    ),
    **dict.fromkeys(
        "beurteilung|zusammenfassung|fazit|schlussfolgerung|zusammenfassende beurteilung|impression|impressions|conclusion"
        "|conclusions|summary|opinion|assessment".split("|"),
        "impression",
    ),
    **dict.fromkeys(
        "klinische angaben|klinische angabe|klinische information|klinische informationen|klinik|anamnese|indikation"
        "|rechtfertigende indikation|klinik und fragestellung|clinical information|clinical history|clinical data"
        "|clinical details|clinical indication|clinical|history|indication|indications".split("|"),
        "indication",
    ),
    **dict.fromkeys(
        "fragestellung|fragestellungen|klinische fragestellung|frage|question|clinical question|reason for exam"
        "|reason for examination|reason for study|reason".split("|"),
        "question",
    ),
    **dict.fromkeys(
        "technik|untersuchungstechnik|methode|methodik|untersuchung|durchführung|protokoll|technique|procedure|protocol"
        "|exam|examination|study".split("|"),
        "technique",
    ),
    **dict.fromkeys(
        "vergleich|voruntersuchung|voruntersuchungen|vergleichsuntersuchung|comparison|comparisons|prior studies|empfehlung"
        "|empfehlungen|recommendation|recommendations|anmerkung|hinweis|note|addendum|nachtrag".split("|")
    ),
}
_WITH_COLON = re.compile(r"^[\s*#]*([^\W\d_][\w ,/]{2,40}?)\s*[*]*:[*]*\s*", re.MULTILINE)
_CLOSING = re.compile(
    r"^\s*(?:mit (?:freundlichen|kollegialen|besten) grüßen|(?:mit )?freundliche grüße|mfg\b|vidiert|elektronisch signiert"
    r"|electronically signed|dictated by|signed by|kind regards|sincerely)",
    re.IGNORECASE,
)

_GERMAN = set(
    "der die das und ist im in mit kein keine keinen nicht ohne des dem den ein eine einer von zur zum am an auf bei sich"
    " es sind beidseits links rechts unauffällig nachweis".split(" ")
)
_ENGLISH = set(
    "the of and is no with in there are a an to for on at from without was were not or left right bilateral normal evidence"
    " unremarkable seen within has".split(" ")
)

# No sentence ends behind these.
_ABBREVIATIONS = set(
    "ca z.n z.b v.a st.p b.b d.h u.a i.v i.d.r o.g s.o s.u vs etc bzw bez bezügl inkl incl exkl evtl ggf ggü max min mind"
    " insb insbes lt gem geringgr mäßiggr hochgr mittelgr rel ausgepr li re bds bd lks rts dext sin dr prof med priv doz dipl"
    " hr fr frl nr no abb fig tab se ser serie im ima img bild s seq sequ z str tel v vv a aa m mm n nn r rr art proc lig gl"
    " os sup inf ant post lat med dors ventr kaud kran prox dist asc desc transv sigm com int ext lk lwk bwk hwk th segm"
    " op ed dd di a.e e.g i.e approx mr mrs ms st sts pat path histol klin radiol neurol path std tgl u.u n.n o.n jan feb apr"
    " jun jul aug sep sept okt oct nov dez dec mo fa oa ca u.ä u.s.w usw".split(" ")
)
# Abbreviations that close sentences as well; one ends there if an opening word follows.
_MAY_CLOSE = {
    "bds",
    "bd",
    "li",
    "re",
    "lks",
    "rts",
    "dext",
    "sin",
    "o.b",
    "o.p.b",
    "etc",
    "usw",
    "asc",
    "desc",
    "sigm",
    "u.ä",
}
_OPENING = set(
    "der die das den dem des ein eine es im in am an bei beim keine kein keinen keiner auf ansonsten sonst soweit nach zudem"
    " weiterhin hier dort unauffällige unauffälliger normale regelrechte regelrechter links rechts beidseits insgesamt auch"
    " the there no a an this these in on normal unremarkable".split(" ")
)
# "3. Rippe", "4. LWK", "II. Grades": a number with a dot before one of these is an ordinal.
_ORDINAL_NOUN = re.compile(
    r"(?:\w*rippe|[HBLS]WK|\w*wirbel|ventrikel|segment|grad|lebens|monat|tag|woche|schwangerschafts|mittelhand|metata|metaka|strahl"
    r"|finger|zehe|jan|feb|mär|apr|mai|jun|jul|aug|sep|okt|nov|dez|quartal|hirnnerv|dekade|postop|intercostal|interkostal|icr)",
    re.IGNORECASE,
)
_LEADS_ORDINAL = {
    "der",
    "die",
    "das",
    "den",
    "dem",
    "des",
    "am",
    "vom",
    "zum",
    "zur",
    "bis",
    "und",
    "im",
    "ab",
    "seit",
    "-",
    "–",
    ",",
}
_BULLET = re.compile(r"^\s*(?:[-–•*·]|\(?\d{1,2}[.)]\)?|[a-z]\))\s+")
_STOP = re.compile(r"[.!?]+(?=\s|$)")


@dataclass(frozen=True)
class Report:
    """One row of the reports table; empty strings where the table has nothing."""

    report_id: str
    patient_id: str
    accession_number: str
    study_uid: str
    language: str
    text: str


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
    return [{(key or "").strip().lower(): (value or "").strip() for key, value in row.items() if key} for row in reader]


def read_reports(path: Path) -> list[Report]:
    """The reports table.

    Raises:
        ValueError: if report_id or text is no column, or none of study_uid, accession_number and patient_id.
    """
    rows = read_csv(path)
    if not rows:
        return []
    missing = [name for name in ("report_id", "text") if name not in rows[0]]
    if missing or not {"study_uid", "accession_number", "patient_id"} & set(rows[0]):
        wanted = " and ".join(missing) or "study_uid, accession_number or patient_id"
        raise ValueError(f"{path.name}: has no column {wanted}; columns are {', '.join(COLUMNS)}")
    return [Report(**{name: row.get(name, "") for name in COLUMNS}) for row in rows]


def detect_language(text: str) -> str:
    """ "de" or "en", by which language's small words are more frequent; German if neither is."""
    words = re.findall(r"[^\W\d_]+", text.lower())
    german = sum(word in _GERMAN for word in words) + 2 * len(re.findall(r"[äöüß]", text.lower()))
    return "en" if sum(word in _ENGLISH for word in words) > german else "de"


def sections_of(text: str) -> list[tuple[str, str]]:
    """Sections in the order of the report as (section, text); a text without any heading is findings.

    A heading stands at the beginning of a line, with a colon, or alone on its line. Letterheads and signatures are left out.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u00a0", " ")
    parts: list[tuple[str | None, list[str]]] = [("", [])]
    for line in text.split("\n"):
        if _CLOSING.match(line):
            parts.append((None, []))
            continue
        known, rest = _heading(line)
        if known is not None:
            parts.append((HEADINGS[known], [rest] if rest else []))
        else:
            parts[-1][1].append(line)
    named = [(section, "\n".join(lines).strip()) for section, lines in parts if section]
    if not named:
        named = [("findings", "\n".join(parts[0][1]).strip())]
    return [(section, body) for section, body in named if body]


def _heading(line: str) -> tuple[str | None, str]:
    """The known heading that a line begins with, and the rest of the line."""
    alone = line.strip(" \t*#:").lower()
    if alone in HEADINGS:
        return alone, ""
    found = _WITH_COLON.match(line)
    if found and found[1].strip().lower() in HEADINGS:
        return found[1].strip().lower(), line[found.end() :].strip()
    return None, ""


def sentences_of(text: str) -> list[str]:
    """Sentences, verbatim but for white space and list marks; abbreviations, decimals, dates and ordinals do not end one."""
    return [sentence for block in _blocks(text) for sentence in _split(block) if re.search(r"\w", sentence)]


def _blocks(text: str) -> Iterator[str]:
    """Lines that belong together: a line continues the one before if that is long and ends in the middle of a sentence."""
    block = ""
    for line in text.split("\n"):
        bare = " ".join(_BULLET.sub("", line).split())
        continues = block and bare and not _BULLET.match(line) and block[-1] not in ".!?:;"
        if continues and (bare[0].islower() or len(block) > 60):
            block += " " + bare
            continue
        if block:
            yield block
        block = bare
    if block:
        yield block


def _split(block: str) -> Iterator[str]:
    start = 0
    for stop in _STOP.finditer(block):
        if stop.group().startswith(".") and not _ends(block, stop.start(), stop.end()):
            continue
        yield block[start : stop.end()].strip()
        start = stop.end()
    if rest := block[start:].strip():
        yield rest


def _ends(block: str, dot: int, end: int) -> bool:
    """Whether the dot at `dot` ends a sentence."""
    behind = block[end:].lstrip()
    if not behind:
        return True
    before = block[:dot].split(" ")
    word = before[-1].lstrip("([\"'").lower()
    following = behind.split(" ")[0].strip("()[].,:;\"'").lower()
    if behind[0].islower():
        return False
    if word in _MAY_CLOSE:
        return following in _OPENING
    if word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha()) or re.fullmatch(r"(?:[a-zäöü]\.)+[a-zäöü]", word):
        return False
    if re.fullmatch(r"\d{1,2}|[ivx]{1,4}", word):
        leads = before[-2].lower() if len(before) > 1 else ""
        listed = leads.endswith((",", "-", "–", ".")) and re.search(r"\d", leads)
        return not (_ORDINAL_NOUN.match(behind) or leads in _LEADS_ORDINAL or not leads or listed)
    return not behind[0].isdigit() or not re.fullmatch(r"\d+", word)
