"""Numbers and addresses that identify a person or a document: e-mail, UIDs, telephone, patient, case and order numbers."""

import re

from refrad.privacy.word_patterns import any_of

__all__ = ["ADDRESS", "NUMBERS", "PHONES", "UID", "UNLABELLED_NUMBERS"]

_BREAK = r"(?:[ \t]{0,3}\x01?\n){0,2}[ \t]{0,3}"
_COLON = rf"[ \t]{{0,3}}[:\#|.]?[ \t]{{0,3}}[:\#|]?{_BREAK}"
_NUMBER = any_of(r"id nr no num nummer number kennung zeichen code \#")
_OF_WHOM = any_of(
    r"""pat(?:ienten?)? fall auftrags? unters(?:uchungs)? acc accession aufnahme vers(?:icherten|icherungs)? kv sv rv
    sozialversicherungs krankenversicherungs personal journal befund proben? einsende eingangs histo histologie pathologie
    medical_record record case order account exam encounter visit hospital insurance policy member chart specimen nhs ssn
    social_security invoice rechnungs kranken(?:kassen)? mitglieds ausweis pass steuer arzt lanr bsnr kassen akten referenz
    reference study studien report
    path surgical_pathology probanden vorgangs teilnehmer"""
)
_SHORT_LABEL = any_of(
    r"""mrn svnr kvnr rvnr piz pid id acc accession fallnr fall-id patnr aktenzeichen az unser_zeichen ihr_zeichen our_ref
    your_ref ref zeichen nhs ssn iban"""
)
_PHONE = any_of(
    r"""tel telefon (?:tele)?fax mobil handy durchwahl dect piepser pieper funk phone cell pager ext extension rückruf hotline
    beeper telefonnummer handynummer mobilnummer nebenstelle haustelefon apparat
    whatsapp"""
)
_SPECIMEN = any_of(
    r"histolog\w{0,8} histo patholog\w{0,8} biops\w{1,6} zytolog\w{0,8} präparat einsendung probe e specimen cytolog\w{0,8} journal"
)
# A value has a digit near its beginning, and goes on over single blanks between groups of digits.
_VALUE = (
    r"(?:[A-Z]{1,3}[ ](?=\d))?(?=[^\s\x01]{0,12}\d)[A-Z]{0,5}[\w][\w/.-]{2,30}(?<![.-])(?:[ ]\d{3,6}\b(?![.,/]\d)){0,3}"
)

# Goes before known names, which may be in it.
ADDRESS = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,6} | \b(?:https?://|www\.)[^\s\x01]{1,2000}", re.VERBOSE
)
UID = re.compile(r"\b[012]\.(?:\d{1,40}\.){4,40}\d{1,40}\b")
# Each match is a number, or only its group `go`.
PHONES = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"\b{_PHONE}\b[ .-]{{0,3}}(?:nr|no|nummer|number)?\b\.?(?:[ ](?:unter|at))?{_COLON}[+(]?-?\d[\d ()/.-]{{1,18}}\d",
        r"(?<![\w/.])(?:\+\d{1,3}[ /-]?\(?\d|\(0?\d{2,5}\)[ ]?\d|0\d{2,5}[ ]?[/-][ ]?\d)[\d /-]{3,14}\d\b",
        r"(?<![\w/.,-])0\d{2,5}[ ]\d{3,12}(?:[- ]\d{1,6}){0,4}\b",
        r"(?<![\w/.-])(?:\(\d{3}\)[ ]?|\d{3}[-.])\d{3}[-.]\d{4}\b",
    )
)
NUMBERS = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"\b{_OF_WHOM}[ .-]{{0,3}}{_NUMBER}(?!\w)[.]?{_COLON}(?P<go>{_VALUE})",
        rf"(?<![\w-]){_SHORT_LABEL}\b[.]?{_COLON}(?P<go>{_VALUE})",
        r"\b(?:fall|case|pat\.|patient(?:in)?|auftrag|order|akte|chart|accession|journal)[ ]?[:\#]?[ ]?(?P<go>[A-Z]{0,3}-?\d{5,12})\b",
        rf"\b{_SPECIMEN}\b[ .:-]{{0,3}}(?:nr|no)?\b[ .:\#]{{0,3}}(?P<go>(?:[A-Z]{{1,3}}[ .-]?\d{{2,7}}|\d{{3,7}})[/-]\d{{2,6}})\b",
        r"\b(?:aktenzeichen|az)\b[.:]{0,2}[ ]?(?P<go>\d{1,4}[ ][A-Z]{1,3}[ ]\d{1,6}/\d{2,4})\b",
        # of the German pension insurance, an IBAN, a social security number
        r"(?<![\w.,/-])\d{2}[ ]?\d{6}[ ]?[A-Z][ ]?\d{3}\b",
        r"\b(?-i:[A-Z]{2})\d{2}(?:[ ]?\d{4}){4}(?:[ ]?\d{1,2})?\b",
        r"(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-])",
    )
)
UNLABELLED_NUMBERS = (
    re.compile(
        r"(?<![\w.,/-])\d{7,64}(?![\w.,]{0,30}\d) | \b(?=\w{0,40}\d{4})(?=\w{0,40}[A-Z])[A-Z0-9]{8,64}\b", re.VERBOSE
    ),
)
