"""Words around a name that show that it is one: titles, roles, labels of signatures, relatives, people who are informed."""

import re
from dataclasses import dataclass

from refrad.privacy.word_patterns import any_of

__all__ = ["AFTER_NAME", "BEFORE_NAME", "CODES", "Context"]

# Between words of one line, and from one line to the next.
_BLANK = r"[ \t]{0,3}"
_BREAK = r"(?:[ \t]{0,3}\x01?\n){0,3}[ \t]{0,3}"
_COLON = rf"{_BLANK}[:|]{_BREAK}"
_GO_ON = rf"(?:{_COLON}|{_BLANK}[ \t\n]{_BLANK})"
_STATEMENT = r"(?:^|[\n\x01.])[ \t]{0,3}"  # its beginning

_DEGREE = any_of(r"med habil rer nat dent vet univ phil h\.?_?c dipl mag ing dr\.?_?in dr prof doz pd priv")
_DEGREES = rf"(?:{_BLANK}-?{_DEGREE}\b{_BLANK}\.?){{0,6}}"
_TITLE = any_of(r"(?:univ\.?-?_?)?prof(?:essor(?:in)?)? priv\.?-?_?doz dres drs dr\._?in dr doctor doktor")
# "MR ABDOMEN" and "MS" are no people: such a title has its stop, or is written as a word.
_SHORT_TITLE = r"(?:(?i:mrs?|ms|hrn?|frl|mx|mme|fam)[ ]?\.|(?:Mr|Mrs|Mx)\b)"
_COLLEAGUE = any_of("schwester pfleger familie kolleg(?:e|en|in|innen) miss nurse sister")
_STAFF = any_of("OA OÄ CÄ FA FÄ AA AÄ LOA LOÄ MTRA MTR MTA MFA DGKP DGKS")
_STAFF_OR_FINDING = any_of(r"CA PD Fr\.")  # carcinoma, progressive disease, fracture as well
_PHYSICIAN = any_of(
    "(?:(?:ober|chef|fach|assistenz|stations?|haus|dienst|amts|beleg|konsiliar|not)-?)?(?:arzt(?:es|e)?|ärzt(?:in|e|en))"
)
_ROLE = any_of(
    """radiolog(?:e|in|ist) operateur(?:in)? chirurg(?:in)? internist(?:in)? anästhesist(?:in)? (?:uro|neuro|kardio|onko|gynäko|dermato|pulmo)log(?:e|in)
    orthopäd(?:e|in) untersucher(?:in)? befunder(?:in)? zuweiser(?:in)? überweiser(?:in)?
    einweiser(?:in)? anforderer attending resident fellow registrar consultant surgeon technologist sonographer
    transcriptionist typist dictator pcp
    (?:referring|ordering|attending|requesting|treating|reading|reporting)_(?:physician|doctor|provider|radiologist|clinician)"""
)
_SIGNATURE = any_of(
    """visum signum handzeichen kürzel diktat unterschrift signature name nachname vorname familienname (?:elektronisch_)?signiert erstbefund(?:er)?
    zweitbefund(?:er)? vidierende[rn]? ansprechpartner(?:in)? kontaktperson"""
)
_DONE = any_of(
    """geschrieben diktiert verfasst erstellt befundet vidiert freigegeben unterschrieben validiert gegengezeichnet durchgeführt
    begleitet veranlasst angefordert zugewiesen überwiesen befundung freigabe schreibkraft untersuchung"""
)
_DONE_EN = any_of(
    """dictated (?:electronically_)?signed read reported reviewed approved interpreted verified transcribed referred typed
    performed requested finali[sz]ed"""
)
_SIGNED_EN = any_of("dictated (?:electronically_)?signed transcribed typed")
_RELATIVE = any_of(
    """tochter sohn(?:es)? söhne ehefrau ehemann(?:s|es)? ehegatte gattin gatte mutter vater bruder enkel(?:in|sohn|tochter)?
    nichte neffe tante onkel cousine? (?:schwieger|stief|groß)(?:tochter|sohn|mutter|vater|eltern)
    lebensgefährt(?:e|in|en) lebenspartner(?:in)? betreuer(?:in)? angehörige[rn]? nachbar(?:in)? schwägerin schwager
    verlobte[rn]? wife husband son daughter mother father brother sister niece nephew aunt uncle spouse partner guardian
    carer caregiver grand(?:son|daughter|mother|father) next_of_kin friend neighbou?r"""
)
_TOLD = any_of(
    """besprochen besprechung abgesprochen diskutiert erörtert kommuniziert mitgeteilt mitteilung demonstriert übermittelt
    übermittlung rückruf anfrage wunsch
     angaben vorgestellt weitergegeben weiterleitung durchgegeben übergabe rücksprache absprache telefonat telefoniert gespräch
    benachrichtigt benachrichtigung meldung gemeldet konsil kontakt anruf information verständigung"""
)
_TOLD_EN = any_of(
    """discussed reviewed communicated conveyed relayed reported spoke spoken talked conversation discussion telephoned
    called given d/w notification"""
)
_BY_PHONE = any_of(
    """telefonisch fernmündlich persönlich mündlich sofort direkt kurz vorab by_(?:tele)?phone verbally directly personally
    in_person results? findings? and back"""
)
_IN_PERSON = any_of("telefonisch fernmündlich persönlich mündlich")
_AGREED = any_of(
    """besprochen abgesprochen diskutiert erörtert demonstriert informiert verständigt benachrichtigt befundet vidiert diktiert
    weitergegeben übermittelt mitgeteilt bestätigt durchgegeben telefoniert informed notified aware contacted paged called"""
)
_MEANWHILE = any_of(
    """wurde ist sind am_telefon telefonisch persönlich bereits mündlich sofort umgehend darüber hierüber was is were has_been
    have_been"""
)
_SIGNED_AS = any_of(
    r"""(?:(?:leitende|geschäftsführende|stellv(?:ertretende|\.)?|ltd\.)[rn]?_)?(?:ober|chef|fach|assistenz|stations?|konsiliar)-?(?:arzt|ärztin)\b
    ärztin\b arzt\b ärztliche[rn]?_(?:direktor|leiter)(?:in)?\b radiologe\b radiologin\b radiologie\b radiology\b
    (?-i:DO)\b weiterbildungsassistent(?:in)?\b klinikdirektor(?:in)?\b direktor(?:in)?\b sekretärin\b m\._?d\. md\b d\._?o\. r\._?n\. rn\b
    ph\.?_?d\b frcr\b facr\b frcp\b mbbs\b mrcp\b rt\(r\) mtr?a\b
    (?:consultant|attending|staff|resident|board[ -]certified|chief)?_?(?:neuro)?radiologist\b consultant\b registrar\b
    attending\b transcriptionist\b"""
)
_BORN = any_of(
    r"geb(?:oren|\.)?\b \(_?(?:geb|\*_?(?:\d|\[DATE\])) \*_?(?:am_)?\[DATE\] \*_?\d born\b dob\b \((?:dob|born) d\.o\.b geburtsdatum"
)
_GREETING = any_of("grüßen? gruß hochachtungsvoll regards sincerely faithfully truly respectfully")
_DICTATION = any_of(
    """visum signum handzeichen kürzel diktat(?:zeichen)? dikt unser_zeichen (?:dictated|transcribed|typed)_by transcriptionist
    initials diktiert geschrieben dictated transcribed typed schreibkraft sekretariat"""
)


@dataclass(frozen=True)
class Context:
    """Words beside a name, and how strongly they show that it is one.

    Args:
        pattern: before a name it ends where the name begins; after a name it begins where the name ends.
        strength: "title": any word but a verb or a term of medicine is a name; "label": any unknown word; "talk": any unknown
            word but an abbreviation; "finding": the same, but no eponym, as a disease may stand there; "pair": first name
            and surname. "born" and "told" are those after a name.
        goes_on: other names follow after "und" and a comma, and not only after a slash.
    """

    pattern: re.Pattern[str]
    strength: str
    goes_on: bool = False


def _context(pattern: str, strength: str, *, goes_on: bool = False) -> Context:
    return Context(re.compile(_over_wrapped_lines(pattern), re.VERBOSE | re.IGNORECASE), strength, goes_on)


def _as_written(pattern: str, strength: str, *, goes_on: bool = False) -> Context:
    """A context of which the case counts."""
    return Context(re.compile(_over_wrapped_lines(pattern), re.VERBOSE), strength, goes_on)


def _over_wrapped_lines(pattern: str) -> str:
    """The pattern with each blank also as the break of a line that goes on in the next; other lines end with U+0001."""
    return pattern.replace("[ ]", r"[ \n]")


BEFORE_NAME = (
    # Dr. med. Anna, Prof Anna, Drs. Anna und; Mr. Anna, Frau Dr. Anna; Kollegin Anna
    _context(rf"\b(?:dres|drs)\b{_BLANK}\.?{_DEGREES}{_BREAK}", "title", goes_on=True),
    _context(rf"\b{_TITLE}\b{_BLANK}\.{_DEGREES}{_BREAK}", "title"),
    _as_written(rf"\b(?:Dr|dr|Prof|prof|Doctor|Doktor|Professor|Professorin)[ \n]{{1,2}}{_DEGREES}{_BLANK}", "title"),
    _as_written(r"\bDR[ ]", "label"),
    _as_written(r"\b(?:mrs?|ms)\.[ ]", "title"),
    _as_written(rf"\b{_SHORT_TITLE}{_BLANK}{_DEGREES}{_BLANK}", "label"),
    _context(rf"\b(?:herrn?|frau)\b[ \t\n]{{1,3}}(?:(?:und|and|u\.)[ ])?{_DEGREES}{_BLANK}", "title"),
    _context(rf"\b{_COLLEAGUE}[ ]{_DEGREES}{_BLANK}", "label", goes_on=True),
    # OA Anna; FA für Radiologie: Anna; Oberärztin, newline, Anna; Zuweiser Anna
    _as_written(rf"\b{_STAFF}\b\.?(?:{_COLON}|{_BREAK}){_DEGREES}{_BLANK}", "talk", goes_on=True),
    _as_written(rf"\b{_STAFF_OR_FINDING}{_BREAK}{_DEGREES}{_BLANK}", "finding"),
    _context(
        rf"\b(?:FA|FÄ|{_PHYSICIAN})[ ]f(?:ü|ue)r[ ](?:[\w-]{{1,30}}[ ]){{0,3}}?[\w-]{{1,30}}(?:{_COLON}|[ ])",
        "label",
        goes_on=True,
    ),
    _context(rf"\b(?:{_PHYSICIAN}|{_ROLE})\b(?:{_COLON}|[ ]|,[ ]|{_BLANK}\x01?\n)", "talk", goes_on=True),
    # Visum: Anna; befundet von Anna; gez. Anna; i.A. Anna; I, Anna, have
    _context(
        rf"\b(?:(?:{_SIGNATURE}|{_DONE})(?:[ ](?:von|durch))?|{_SIGNED_EN}|{_DONE_EN}[ ]by)(?:{_COLON}|,{_BREAK})",
        "label",
        goes_on=True,
    ),
    _context(
        rf"\b(?:{_DONE}[ ](?:von|durch)|(?:{_DONE_EN}|report|scan|study|examination)[ ]by){_GO_ON}{_DEGREES}{_BLANK}",
        "talk",
        goes_on=True,
    ),
    _context(rf"\bgez(?:\.|eichnet)?{_BLANK}:?{_BREAK}", "label", goes_on=True),
    _as_written(
        rf"{_STATEMENT}(?:i\.[ ]?[AV]\.|ppa\.|p\.[ ]?p\.|f\.[ ]?d\.[ ]?R\.|[Ii]m[ ]Auftrag:?)[ ]{{1,3}}", "label"
    ),
    _context(
        r"\b(?:laut|nachname|vorname|(?:op|operation|eingriff)[ ]durch|surgery[ ]by|(?:contact|page)(?=[ ](?-i:[A-Z])))[ ]",
        "talk",
    ),
    _as_written(rf"{_STATEMENT}I,[ ]", "label"),
    # Patient: Anna; Patientin Anna; Tochter (Anna
    _context(rf"\b(?:patient(?:in|en)?|pat\.|pt\.?|patient[ ]name){_COLON}", "finding"),
    _as_written(r"\b(?:Patient(?:in|en)?|Pat\.|PAT\.|patient(?=[ ][A-Z][a-z]))[ \n]{1,2}", "finding"),
    _context(rf"\b{_RELATIVE}\b(?:{_COLON}|,?[ ](?:ist[ ])?\(?)", "finding", goes_on=True),
    # besprochen mit Anna; telefonisch an Anna; discussed by phone with Anna; informed Anna
    _context(
        rf"\b{_TOLD}(?:[ ]{_BY_PHONE}){{0,2}}[ ](?:mit|an|von|durch|bei)[ ](?:dem|der|den)?[ ]?", "talk", goes_on=True
    ),
    _context(rf"\b{_IN_PERSON}(?:e[nr]?)?[ ](?:mit|an|durch|von)[ ]", "talk", goes_on=True),
    _context(
        rf"\b{_TOLD_EN}(?:[ ]the[ ](?:case|results?|findings?))?(?:[ ]{_BY_PHONE}){{0,2}}[ ](?:with|to|by|from)[ ]",
        "talk",
        goes_on=True,
    ),
    _context(
        rf"\b(?:informed|notified|paged|contacted|messaged|emailed|alerted)(?:[ ]{_BY_PHONE}){{0,2}}[ ]",
        "talk",
        goes_on=True,
    ),
    # Mit freundlichen Grüßen, newline, Anna; Vielen Dank für die Zuweisung, newline, Anna Beispiel
    _context(rf"\b{_GREETING}\b[ ]?[,.!]?{_BREAK}{_DEGREES}{_BLANK}", "label", goes_on=True),
    _context(r"\b(?:vielen|besten|herzlichen|thank|thanks)\b[^\n\x01]{1,80}[\x01\n]{1,2}[ \t\n\x01]{0,4}", "pair"),
)
AFTER_NAME = (
    _context(rf"[ \t,(/–-]{{0,8}}(?:\x01?\n[ \t]{{0,3}}){{0,2}}\b{_SIGNED_AS}", "pair"),
    _context(rf",?{_BLANK}\x01?\n?{_BLANK}{_BORN}", "born"),
    _context(rf"(?:[ ]\[DATE\])?[ ](?:{_MEANWHILE}[ ]){{0,3}}{_AGREED}\b", "told"),
)

_MARK = r"[^\W\d_]{1,4}"
# Marks of who dictated and who wrote, which are no words: "Visum: HK/ut", a line "hk/ut", "D: HK T: ut".
CODES = re.compile(
    rf"""(?i:\b{_DICTATION}\b\.?{_BLANK}:{_BREAK})(?P<go>{_MARK}(?:[ ]?[/-][ ]?{_MARK}){{0,3}}\b(?![.-]?[^\W\d_]))
    | (?i:\b{_DICTATION}\b\.?[ ])(?P<joined>{_MARK}(?:[/-]{_MARK}){{1,3}}\b(?![.-]?[^\W\d_]))
    | (?:^|(?<=\n))[ \t]{{0,3}}(?P<line>[^\W\d_]{{2,4}}[/:][^\W\d_]{{2,4}})[ \t.]{{0,3}}(?=[\x01\n]|$)
    | \b[DT]:[ ]?(?P<typed>[A-Za-z]{{2,4}})\b(?=[ ,;/]{{1,3}}[DT]:|[ ]?[\x01\n]|$)""",
    re.VERBOSE,
)
