"""Headings of German and English reports: words that open a section, titles of examinations, greetings and signatures.

Each function reads one line. Names and dates may be placeholders.
"""

import re

__all__ = [
    "SECTIONS",
    "is_closing",
    "is_mark",
    "is_salutation",
    "is_signature",
    "match_examination",
    "section_of",
]

# The headings of each section; those of "comparison" and "other" open parts that nothing reads. Headings may be joined
# ("Technik und Befund", "Indikation/Fragestellung"): the section that comes first here has them.
HEADINGS = {
    "correction": """korrektur, befundkorrektur, berichtigung, amended report, correction, corrected report, erratum""",
    "addendum": """nachtrag, nachträge, nachbefundung, zusatzbefund, befundergänzung, addendum, addenda, amendment, late entry""",
    "findings": """befund, befunde, befundbericht, befundbeschreibung, befundtext, beschreibung, bildbefund, bildgebung,
        befund im einzelnen, im einzelnen, ergebnis, ergebnisse, finding, findings, imaging findings, report, body,
        interpretation, description, result, results, observations""",
    "impression": """beurteilung, gesamtbeurteilung, zusammenfassung, fazit, schlussfolgerung, wertung, bewertung, befundung,
        diagnose, kommentar, resümee, impression, impressions, conclusion, conclusions, summary, opinion, assessment,
        impression and plan, diagnosis, interpretation summary""",
    "indication": """klinische angaben, klinische angabe, klinische information, klinische informationen, klinische daten, klinik,
        klinischer hintergrund, anamnese, vorgeschichte, indikation, indikationen, rechtfertigende indikation, diagnosen, angaben,
        clinical information, clinical history, clinical data, clinical details, clinical indication, clinical, clinical background,
        clinical context, history, indication, indications, indication for study, indication for exam,
        indication for examination, history of present illness, patient history""",
    "question": """fragestellung, fragestellungen, klinische fragestellung, frage, auftrag, question, questions, clinical question,
        reason for exam, reason for examination, reason for study, reason for the study, reason for this examination,
        reason for test, reason for visit, reason""",
    "technique": """technik, untersuchungstechnik, aufnahmetechnik, technische durchführung, untersuchungsprotokoll, methode, methodik,
        untersuchung, untersuchungen, durchgeführte untersuchung, durchführung, protokoll, kontrastmittel, verfahren, sequenzen,
        dosis, technique, techniques, scan technique, procedure, procedures, protocol, exam, examination, examinations, exam type,
        study, contrast, dose""",
    "comparison": """vergleich, vergleichsuntersuchung, vergleichsuntersuchungen, voruntersuchung, voruntersuchungen, voraufnahme,
        voraufnahmen, vorbefund, vorbefunde, comparison, comparisons, comparison study, prior studies, priors""",
    "other": """empfehlung, empfehlungen, procedere, prozedere, therapievorschlag, plan, recommendation, recommendations, anmerkung,
        anmerkungen, bemerkung, hinweis, note, notes, limitations, critical results, critical result, communication,
        notification, notifications, mitteilung, befundmitteilung, befundübermittlung, telefonische befundmitteilung,
        telefonische mitteilung, wet read, preliminary read, preliminary report""",
}
SECTIONS = tuple(HEADINGS)
MODIFIERS = """
    aktuelle aktueller vorläufige vorläufiger abschließende abschließender zusammenfassende radiologische radiologischer
    schriftlicher endgültiger brief final overall radiological radiologic preliminary imaging
"""
LONGEST = 80  # characters of a heading
MODALITY = r"(?:pet[-/ ]?)?(?:ct|mrt|mri|mr|röntgen|sonographie|sono|cta|mra)"
# Words of the title of an examination, beside its modality.
EXAMINED = """
    thorax abdomen becken hals kopf schädel oberbauch unterbauch hws bws lws ganzkörper knie schulter hüfte hand fuß sprunggelenk
    ellenbogen handgelenk herz leber nieren neurocranium nnh orbita felsenbein wirbelsäule angiographie angio pelvis chest head
    neck brain spine cervical thoracic lumbar knee shoulder hip wrist ankle sinuses orbits kub angiography angiogram scan
    untersuchung gelenk with without contrast nativ kontrast km kontrastmittel mit ohne und and of the der des nach iv i.v
    oral low dose low-dose staging rechts links right left bds
"""
GREETINGS = """
    mfg, mkg, m.f.g, m. f. g, lg, hochachtungsvoll, mit vorzüglicher hochachtung, herzlichst, kind regards, best regards, warm regards,
    kindest regards, regards, sincerely, sincerely yours, yours sincerely, yours truly, yours faithfully, respectfully
"""
THANKS = "vielen dank für, herzlichen dank für, besten dank für, danke für, wir danken, ich danke, wir bedanken uns, thank you for, thanks for"
# What signs a report: on its own, or with a colon, a name, a date or "by" behind it.
SIGNS = """
    gez, gezeichnet, vidiert, visum, unterschrift, signatur, elektronisch signiert, elektronisch freigegeben, elektronisch unterschrieben,
    elektronisch validiert, elektronisch erstellt, digital signiert, maschinell erstellt, freigabe, freigegeben, validiert, diktiert,
    diktat, geschrieben, schreibkraft, schreibdienst, befundet, befunder, befunderin, befundender arzt, untersucher, untersucherin,
    verantwortlicher arzt, verteiler, kopie an, electronically signed, digitally signed, signed, dictated, transcribed, reviewed,
    approved, verified, read, interpreted, finalized, authenticated, reported, attested, attending, resident, fellow, radiologist,
    transcriptionist, technologist, attending physician, attending radiologist, interpreting physician, interpreting radiologist,
    reading physician, reading radiologist, referring physician, ordering physician, job id
"""
STATEMENTS = """
    dieser befund wurde, dieses dokument, der befund wurde elektronisch, befund elektronisch, this report was, this report has been,
    this document, i have personally reviewed, i have reviewed the images, i, the attending, i, the teaching
"""
ROLES = """
    dr prof pd priv doz med habil dipl oberarzt oberärztin chefarzt chefärztin facharzt fachärztin assistenzarzt assistenzärztin
    stationsarzt stationsärztin arzt ärztin oa oä ca cä fa fä aa aä radiologe radiologin neuroradiologe neuroradiologin
    weiterbildungsassistent weiterbildungsassistentin direktor direktorin md do mbbs frcr frcpc phd resident fellow attending
    radiologist consultant physician professor chief
"""
BESIDE_ROLES = """
    leitender leitende ltd ärztlicher ärztliche für der die des in im the of and und abteilung klinik institut radiologie radiology
    neuroradiologie department diagnostische interventionelle nuklearmedizin diagnostic weiterbildung univ m d
"""
SALUTATIONS = "sehr geehrte, liebe kolleg, lieber kolleg, liebe frau, lieber herr, dear"
MARKS = """
    preliminary report, preliminary, preliminary result, wet read, final report, final, final result, end of report, end of impression,
    vorläufiger befund, vorläufig, vorabbefund, endbefund, befundende, ende des befundes, this is a preliminary report, original report
"""


def _listed(words: str) -> frozenset[str]:
    return frozenset(_plain(entry) for entry in words.split(","))


def _plain(text: str) -> str:
    return " ".join(text.lower().replace("ß", "ss").split())


def _either(words: str) -> str:
    return "|".join(re.escape(entry).replace(r"\ ", r"\s") for entry in sorted(_listed(words), key=len, reverse=True))


_SECTION_OF = {entry: section for section, words in HEADINGS.items() for entry in _listed(words)}
_MODIFIERS, _ROLES = frozenset(_plain(MODIFIERS).split()), frozenset(_plain(ROLES).split())
_BESIDE_ROLES, _EXAMINED = frozenset(_plain(BESIDE_ROLES).split()), frozenset(_plain(EXAMINED).split())
_MARKS = _listed(MARKS)

_NUMBER = re.compile(r"^(?:\d{1,2}[.)]|[ivx]{1,4}\.|[a-z]\))\s*")
# "vom 3.4.2021 durch Dr. [NAME]": dates, names and the words that lead to them, to the end.
_TAIL = re.compile(
    r"(?:\s|^)(?:vom|von|dated|from|of|am|on|durch|by|um|at|dr\.?|prof\.?|med\.?|herrn?|frau|pat\.?|uhr|nr\.?|\[[a-z]+\]|[\d#.:/,\s-])+$"
)
_BRACKETS = re.compile(r"\s?\([^()]*\)")
_BEFORE = re.compile(rf"^{MODALITY}[\s-]+")
_MODALITY = re.compile(MODALITY)
_AROUND = re.compile(rf"\s(?:der|des|of the)?\s?{MODALITY}\b(?P<words>.*)$")
_JOINED = re.compile(r"\s?(?:/|&|\+|,|\bund\b|\band\b|\bbzw\b\.?|\bsowie\b)\s?")
# Headings that say by whom and when, whatever it is.
_TAILED = re.compile(
    r"(?P<heading>nachtrag|korrektur|correction|addendum|befundergänzung|amendment|wet read|preliminary read|preliminary report|notification)\s"
    r"(?:vom|zum|zur|durch|am|von|from|to|by|dictated|on|dated|#|\[|\(|\d)"
)
_EXAMINATION = re.compile(
    rf"(?:\d{{1,2}}[.)]\s?)?{MODALITY}\b(?P<words>(?:[^:\n.]|\.(?=v)|(?<=v)\.){{0,60}}?)(?P<date>,?\s(?:(?:vom|am|from|of|on|dated)\s)?(?:\[DATE\]|[\d./-]{{8,10}}))?\s*(?P<colon>:|$)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\s,/&+()]+")
_GREETING = re.compile(
    rf"(?:mit\s)?(?:[a-zäöüß]{{3,20}}(?:,|\sund)?\s){{0,4}}gr(?:ü|u|ue)(?:ß|ss)e?n?\b|(?:{_either(GREETINGS)})(?!\w)",
    re.IGNORECASE,
)
_THANKS = re.compile(rf"(?:{_either(THANKS)})\b", re.IGNORECASE)
_SIGN = re.compile(
    rf"(?:{_either(SIGNS)})\b\.?\s?(?:\bam\s|\bon\s|\band\b.{{0,30}}?)?(?::|\bvon\b|\bdurch\b|\bby\b|\bbut\b|\[|/|\d|Dr\b|Prof\b|$)",
    re.IGNORECASE,
)
_GEZ = re.compile(r"gez(?:\.|eichnet)|(?:dd|dt|d|t|cc)\s?:", re.IGNORECASE)  # "D: [DATE] T: [DATE]"
_STATEMENT = re.compile(rf"(?:{_either(STATEMENTS)})\b", re.IGNORECASE)
_ROLE = re.compile(
    r"(?:FA|FÄ|OA|OÄ|CA|CÄ|AA|AÄ|(?:Fach|Ober|Chef|Assistenz|Stations)[aä]rzt(?:in)?|Radiolog(?:e|in))\b[^:.\n]{0,50}:",
    re.IGNORECASE,
)
_SALUTATION = re.compile(rf"(?:{_either(SALUTATIONS)})", re.IGNORECASE)
# "DR. MUSTER", "Prof. Dr. med. A. Muster": a title and a name.
_TITLED = re.compile(
    r"(?:[OFC][AÄ]\s)?(?i:(?:(?:Prof|PD|Dr)\b\.?\s){1,3}(?:(?:med|habil|rer|nat)\b\.?\s){0,3})(?:[^\W\d_a-z]\.\s?){0,2}"
    r"[^\W\d_a-z][\w'’-]*(?:\s[^\W\d_a-z][\w'’-]*)?"
)
_PLACEHOLDER = re.compile(r"\[[A-Z]+\]")


def section_of(heading: str) -> str | None:
    """The section that a heading opens, without its colon; None if it is none."""
    if len(heading) > LONGEST:
        return None
    plain = _plain(_NUMBER.sub("", heading.lower().strip())).replace("klin. ", "klinische ").rstrip(".: ")
    if plain in _SECTION_OF:
        return _SECTION_OF[plain]
    if heading.rstrip().endswith(":") and (tailed := _TAILED.match(plain)):
        return _SECTION_OF[tailed["heading"]]
    name = _TAIL.sub("", _BRACKETS.sub("", plain)).strip(" ,")
    around = _AROUND.search(name)
    if around and all(word in _EXAMINED or _MODALITY.fullmatch(word) for word in _WORD.findall(around["words"])):
        name = name[: around.start()]
    name = _BEFORE.sub("", name)
    words = name.split()
    while words and words[0] in _MODIFIERS and len(words) > 1:
        words = words[1:]
    name = " ".join(words)
    if name in _SECTION_OF:
        return _SECTION_OF[name]
    parts = _JOINED.split(name)
    if len(parts) > 1 and all(part in _SECTION_OF for part in parts):
        return min((_SECTION_OF[part] for part in parts), key=SECTIONS.index)
    return None


def match_examination(line: str) -> re.Match[str] | None:
    """The title of an examination at the beginning of a line ("MRT Schädel vom [DATE]:"), up to its colon if it has one.

    A title has words of `EXAMINED` only, or a date, or a colon and nothing after it. Group `date` is its date.
    """
    title = _EXAMINATION.match(line)
    if title is None:
        return None
    ends = not line[title.end() :].strip()
    words = [word.strip("-.").lower().replace("ß", "ss") for word in _WORD.findall(title["words"])]
    plain = all(
        part in _EXAMINED or re.fullmatch(MODALITY, part)
        for word in words
        for part in (word.split("-") if word else [])
    )
    if title["colon"]:
        return title if plain or (ends and len(words) <= 8) else None
    return title if ends and (plain or title["date"]) else None


def is_closing(text: str) -> bool:
    """Whether a line begins the end of a report: a greeting, a signature or who dictated it."""
    return any(pattern.match(text) for pattern in (_GREETING, _SIGN, _GEZ, _STATEMENT, _ROLE, _THANKS))


def is_signature(line: str) -> bool:
    """Whether a line holds nothing but names, titles and roles: "Dr. [NAME], Oberarzt der Abteilung"."""
    if _TITLED.fullmatch(line):
        return True
    bare = _PLACEHOLDER.sub(" ", line)
    words = re.findall(r"[^\W\d_]+", bare.lower().replace("ß", "ss"))
    if len(line) > LONGEST or not all(word in _ROLES or word in _BESIDE_ROLES for word in words):
        return False
    return any(word in _ROLES for word in words) or "[NAME]" in line


def is_salutation(line: str) -> bool:
    """Whether a line begins a letter: "Sehr geehrte ...", "Dear ...", thanks for a referral."""
    return bool(_SALUTATION.match(line) or _THANKS.match(line))


def is_mark(line: str) -> bool:
    """Whether a line only says what kind of report this is: "*** PRELIMINARY REPORT ***"."""
    return len(line) <= LONGEST and _plain(line.strip(" \t*#=-_.:!")) in _MARKS
