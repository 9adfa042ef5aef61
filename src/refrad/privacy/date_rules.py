"""Dates and ages in reports."""

import re

from refrad.privacy.word_patterns import any_of

__all__ = ["AGES", "DATES"]

_YEAR = r"(?:19|20)\d{2}"
_SHORT_YEAR = r"(?:['’]\d{2}|[0-4]\d)"
_DAY = r"(?:0?[1-9]|[12]\d|3[01])"
_MONTH = r"(?:0?[1-9]|1[0-2])"
_TH = r"(?:st|nd|rd|th)"
_NAME_DE = any_of(
    r"""januar jänner jan februar feb märz mär mrz april apr mai juni juli august aug september sept sep oktober okt
    november nov dezember dez"""
)
# "may", "march" and their like are words as well: alone they are months in capitals only.
_CAPITAL_EN = r"(?-i:January|February|March|April|May|June|July|August|September|October|November|December)"
_SHORT_EN = r"(?-i:Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec|MAY)"
_NAME_EN = any_of(
    r"""january jan february feb march mar april apr may june jun july jul august aug september sept sep october oct
    november nov december dec"""
)
_NAME = rf"(?:{_NAME_DE}|{_NAME_EN})\b\.?"
_HOLIDAY = any_of(
    r"""ostern ostersonntag ostermontag karfreitag pfingsten pfingstsonntag pfingstmontag weihnachten weihnachts(?:feier)?tag
    heiligabend silvester neujahr fasching karneval rosenmontag fastnacht himmelfahrt fronleichnam allerheiligen nikolaus
    muttertag easter christmas thanksgiving halloween new_year(?:'s)?(?:_(?:eve|day))? labou?r_day memorial_day
    independence_day hanukkah ramadan good_friday boxing_day"""
)
_SEASON = any_of(r"sommer herbst winter frühjahr frühling spätsommer spätherbst summer autumn spring fall")
_QUARTER = r"(?:(?:[1-4]\.[ ])?quartal|q[1-4]|kw[ ]?\d{1,2})"
_UNIT = "[ ]?" + any_of(
    r"mm cm ml mg mcg g\b kg he\b hu\b i\.?e µ l\b % ° ms\b s\b min\b x\b × hz kev kv mgy gy\b mas punkte points"
)
_SINCE = any_of(r"seit zuletzt aus vom bis ab since from until dated")
_EXAM = any_of(
    r"""ed op erstdiagnose operation (?:vor)?aufnahmen? (?:vor)?untersuchung(?:en)? kontrolle ct mrt mri rö pet(?:[-/]ct)?
    angio sono cta mra biopsie vu stand (?<![\w-])[\w-]{0,20}(?:therapie|ektomie|tomie|resektion|plastik|bestrahlung|implantation|surgery)
    vergleich_(?:mit|zu) unfall sturz"""
)
_ON = any_of(
    r"am ab seit vom v\. von bis zum den dem der on since from until dated zuletzt op ct mrt mri rö pet kontrolle ed"
)
_BEFORE_HOLIDAY = any_of(r"seit an am zu zwischen vor nach über bis since on at before after over until")
_STATUS_POST = any_of(r"z\._?n\.? st\._?p\. zustand_nach status_post s/p")
_AROUND = any_of(r"im seit anfang mitte ende bis ab vom letzten in since early late mid until last this")
# Parts of a whole, such as lymph nodes, are no months.
_COUNTED = "[ ]" + any_of(r"lymph lk nodes? stanz biops cores? punkt points? fäll befallen posit rippen segment")
# Words after which a number of four digits is no year: of images, of technique, of laboratories.
_NO_YEAR = any_of(
    r"""bild(?:er)? serien? series images? ima img schicht(?:en)? slices? frames? tr te ti dlp b score wert value agatston nr no
    nummer number volumen volume ca etwa about von_insgesamt protokoll imeron leukozyten thrombozyten psa afp cea crp ck hcg
    d-dimere"""
)
# Classifications and guidelines are named by their year.
_EDITION = any_of(
    r"""who tnm uicc ajcc figo rads kriterien criteria klassifikation classification leitlinien? guidelines? version v
    edition fleischner mcdonald bosniak i?recist lugano atlanta baveno milan sendai fukuoka eular acr esur aast rano isup iaslc"""
)

# Each match is a date, or only its group `go`; a match of which the group is missing stays.
DATES = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        # 3.4.-7.4.2021, 3.4.2021, 3. 4. 21, 17 8 2022
        rf"(?<![\d.,]){_DAY}\.[ ]?{_MONTH}\.(?=[ ]?(?:-|–|bis(?:[ ]zum)?|und|u\.)[ ]?{_DAY}\.[ ]?{_MONTH}\.)",
        rf"""(?<![\d.,/])(?:\d{{1,2}}\.?[ ]?(?:-|–|bis|und)[ ]?)?\d{{1,2}}\.[ ]?{_MONTH}\.[ ]?(?:{_YEAR}|\d{{2}})
        (?!\d|[.,]\d|{_UNIT})""",
        rf"\b\d{{1,2}}[. ][ ]?\d{{1,2}}[. ][ ]?{_YEAR}(?!\d|[.,]\d|{_UNIT})",
        # 2021-04-03, 2021/4/3, 20210403; 3/14/2022, 03-02-1950
        rf"(?<![\w.-]){_YEAR}[-/.]{_MONTH}[-/.]{_DAY}(?:T[\d:.]{{1,15}})?(?!\d)",
        r"(?<![\w.-])(?:19[2-9]|20[0-4])\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?![\w.-])",
        rf"(?<![\d/.-])(?:{_DAY}/{_DAY}/(?:{_YEAR}|\d{{2}})|{_DAY}-{_DAY}-{_YEAR})(?![\d/-])",
        rf"\b{_YEAR}-{_NAME}-{_DAY}\b|(?<![\w./-])(?:{_MONTH}-{_DAY}|{_DAY}-{_MONTH})-(?:0\d|1[3-9]|[2-4]\d)(?![\w/-])",
        # 03-Apr-2023, 12.Jan. 2022; 3. Mai 2021, 3rd of May 2021, May 3rd, 2021, Mai 2021
        rf"\b{_DAY}[-/. ]{{1,2}}{_NAME}[-/. ]{{1,2}}(?:{_YEAR}|\d{{2}})(?!\d|[.,]\d|{_UNIT})",
        rf"\b(?:{_DAY}(?:\.|{_TH})?[ ](?:of[ ])?)?{_NAME}[ ,'’-]{{1,2}}(?:{_DAY}{_TH}?,?[ ])?{_YEAR}\b",
        # 3. Mai; May 3rd, May 3, 3rd of May
        rf"(?<![\d.,]){_DAY}\.[ ]?{_NAME_DE}\b(?!-)\.?",
        rf"\b{_NAME_EN}\.?[ ]{_DAY}{_TH}\b|\b{_CAPITAL_EN}[ ]{_DAY}\b(?![.,]\d|{_UNIT})|\b{_DAY}{_TH}[ ](?:of[ ])?{_NAME_EN}\b",
        # Mai 22, April '19
        rf"(?<![\w-])(?:{_NAME_DE}|{_CAPITAL_EN}|{_SHORT_EN})\.?[ ]{_SHORT_YEAR}\b(?![.,/]\d|{_UNIT})",
        # Ende Mai, since March
        rf"\b{_AROUND}[ -](?:monat[ ])?(?P<go>{_NAME_DE}|{_CAPITAL_EN})\b(?![-\w])",
        # Ostern 2019, seit Weihnachten; Sommer 2018, summer of 2018
        rf"""\b(?:{_HOLIDAY}|{_SEASON}|{_QUARTER})\b[ /,]{{1,2}}(?:(?:des|im|of)[ ])?(?:jahres?[ ])?(?:{_YEAR}(?:/\d{{2}})?|{_SHORT_YEAR})
        \b(?![.,/]\d|{_UNIT})""",
        rf"\b{_BEFORE_HOLIDAY}[ ](?P<go>{_HOLIDAY}(?:[ ](?:und|bis|and)[ ]{_HOLIDAY})?)\b(?![-\w]|[ ]tree)",
        # 5/2021; 05/21, 12/08; seit 11/21, MRT 10/22; in 11/21; Z.n. Resektion 4/17
        rf"(?<![\d/.,]){_MONTH}[/.]{_YEAR}(?!\d)",
        r"(?<![\d/.,\w-])(?:0[1-9]/\d{2}|1[0-2]/0\d)(?![\d/]|[ ]?(?:mm|cm))",
        rf"\b(?:{_SINCE}|{_EXAM}(?:[ ][\w-]{{2,20}}){{0,2}}?)[ :(]{{1,3}}(?P<go>{_MONTH}/\d{{2}})(?![\d/]|{_COUNTED}|{_UNIT})",
        rf"\[DATE\][ ]?(?:,|-|–|und|bis|and|to)[ ]?(?P<go>{_MONTH}/\d{{2}})(?![\d/]|{_COUNTED}|{_UNIT})",
        rf"\b(?:seit|ed|op|zuletzt)[ ](?P<go>{_MONTH}\.(?:0\d|1[3-9]|2\d))(?![\d.,/]\d|{_UNIT})",
        rf"\b(?:performed|done|obtained|acquired|surgery|operated|admitted|fell|examination|study|scan)[ ]on[ ](?P<go>{_MONTH}/{_DAY})(?![\d/])",
        rf"\bin[ ](?P<go>{_MONTH}/(?:0\d|1[3-9]|[2-4]\d))(?![\d/]|{_COUNTED})",
        rf"""\b{_STATUS_POST}[^\n\x01;,()\d]{{1,80}}[ ]
        (?P<go>{_MONTH}/(?:0\d|1[3-9]|[2-4]\d))(?![\d/])""",
        # am 3.4., (3.4.)
        rf"\b{_ON}[ ](?P<go>{_DAY}\.[ ]?{_MONTH}\.)(?!\d)|\((?P<go2>{_DAY}\.[ ]?{_MONTH}\.)\)",
        # a year
        rf"""(?:\b{_NO_YEAR}|(?<![\w-])[\w-]{{0,20}}{_EDITION})\b[ .:=#(]{{0,3}}v?{_YEAR}\b
        |(?<![\d/.,\w+-])(?P<go>(?:{_YEAR}[ ]?(?:-|–|/)[ ]?)?{_YEAR}(?:[/–-]\d{{2}}\b)?)\b(?![.,/]\d|{_UNIT})""",
        r"(?<![\w\d])['’]\d{2}\b(?![\w'’])",
        r"\b\d{1,2}[:.]\d{2}[ ]?(?:uhr|h\b|a\.?m\b|p\.?m\b)",
    )
)

_OVER_89 = r"(?:9\d|1[0-3]\d)"
_DIGIT_DE = any_of(r"ein zwei drei vier fünf sechs sieben acht neun")
_DIGIT_EN = any_of(r"one two three four five six seven eight nine")
_AGED = any_of(r"im_alter_von alter age[ds]? age_of lebensalter")
_PERSON = any_of(r"patient(?:in)? pat\. herr frau dame woman man female male \[NAME\]")
_OLD = any_of(
    r"""jähr j\. jahre?n?\b(?!_lang) lj\b years?\b yrs?\b y[./]?o\b y\._?o\. yo[mf]?\b -y\b
    \._?(?:lebensjahr|lj\b|geburtstag) th_(?:birthday|year)"""
)

# Ages of 90 and more, as group `go`.
AGES = tuple(
    re.compile(pattern, re.VERBOSE | re.IGNORECASE)
    for pattern in (
        rf"(?<![\d.,/-])(?P<go>{_OVER_89})(?=[ ]?[-–]?[ ]?{_OLD})",
        rf"\b{_AGED}[ ]?:?[ ](?:ca\.[ ]|about[ ])?(?P<go>{_OVER_89})(?![\d.,/]{{0,8}}\d|{_UNIT})",
        rf"""\b{_PERSON}[ ]?\(?,?[ ]?\(?(?P<go>{_OVER_89})
        (?=[ ]?[),]|[ ]?[mwf]\b)""",
        rf"(?<![\d.,/-])(?P<go>{_OVER_89})(?=[ ]?(?-i:[MF])\b(?:[ ](?:with|presenting|who|status|s/p)|,))",
        rf"""\b(?P<go>(?:{_DIGIT_DE}und)?neunzig|(?:ein)?hundert(?:(?:und)?{_DIGIT_DE})?)(?=[ -]?(?:jährig|jaehrig)|[ ]jahre)
        |\b(?P<go2>ninety(?:[- ]{_DIGIT_EN})?|(?:one[- ])?hundred(?:[- ](?:and[- ])?{_DIGIT_EN})?)(?=[- ]years?[- ]old)""",
    )
)
