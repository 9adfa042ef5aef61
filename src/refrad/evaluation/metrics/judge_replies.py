"""The score in a judge's reply: one that is certain, or none.

Judges reply as JSON, as a number with a reason before or after it, or in a sentence, in English or German. Other numbers stand in
replies as well: sizes, grades of a disease, counts of findings, list items. A number is a score if the reply names it as one.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

__all__ = ["parse_score"]

# Thoughts before the answer, in the forms of common models, and where the answer begins after them
THOUGHT = re.compile(r"(?is)<(think(?:ing)?|thought)>.*?</\1>|\[think\].*?\[/think\]|<\|channel>thought.*?<channel\|>")
THOUGHT_END = re.compile(
    r"(?i)\A.*(?:</(?:think(?:ing)?|thought)>|\[/think\]|<\|channel\|>\s*final\b[^<]*<\|message\|>|assistantfinal)",
    re.DOTALL,
)
THOUGHT_START = re.compile(
    r"(?is)(?:<(?:think(?:ing)?|thought)>|\[think\]|<\|channel\|?>\s*(?:analysis|commentary|thought)\b|\Aanalysis(?=[A-Z])).*"
)
TOKEN = re.compile(r"<\|[^<>|]*\|>")
REASON = r"reason|reasoning|rationale|explanation|justification|comment|feedback|begründung"
REASON_TAG = re.compile(rf"(?is)<({REASON})>.*?(?:</\1>|\Z)")
REASON_LINE = re.compile(
    rf"(?im)^\W*(?:{REASON})\s*:.*?(?=\b(?:final |overall )?(?:score|rating|punktzahl|bewertung)\b|$)"
)
TAG = re.compile(r"</?([A-Za-z_ ]{1,20})>")
BOXED = re.compile(r"\\boxed\{\s*(?:\\text\{)?\s*([^{}]*?)\s*\}+")

FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # of Chinese and Japanese keyboards

KEYS = {"score", "rating", "punktzahl", "bewertung", "note", "verdict", "final score", "overall score", "llm score"}
LARGEST_KEYS = {"max", "max score", "maximum", "out of", "of"}
LONGEST = 4000  # characters of a reply after its thoughts; a longer one has no certain score
MOST_OBJECTS = 50  # that are tried in one reply

GAP = (
    r"[ \t]*(?:(?:of|for)[ \t]+(?:the|this)[ \t]+(?:answer|candidate|response)[ \t]+|i[ \t]+would[ \t]+give[ \t]+)?[:=|>→\-–—]*\s*"
    r"(?:\b(?:is|of|ist|von|mit|lautet|would be|wäre|beträgt|to be)\b[ \t:]*)?(?:(?:an?|eine?)[ \t]+)?[(\[{]?[ \t]*"
)
NUMBER = r"(?<![\w.,/+−<>~≈≤≥±-])(\d+)"
LABEL = re.compile(
    r"(?i)(?<![\w-])(?:gesamt|end)?(?:scores?|scoring|ratings?|punktzahl|punktwert|bewertung|wertung|verdict)"
    + GAP
    + NUMBER
)
# Words that also name other things than scores: only at the beginning of a line that says nothing else.
WEAK_LABEL = re.compile(
    r"(?im)^\W*(?:(?:final|overall|my|the|your)[ \t]+)?(?:grade|(?:gesamt|end)?note|points|punkte|urteil|ergebnis|result|answer|antwort|overall"
    r"|total|insgesamt|gesamt)"
    r"[ \t]*[:=|\-–][ \t]*" + NUMBER
)
# Words that may stand before a label; after any other it is the score of something else ("Gleason score 4").
BEFORE_LABEL = {
    *(
        "a",
        "an",
        "the",
        "this",
        "its",
        "my",
        "your",
        "our",
        "final",
        "overall",
        "total",
        "numeric",
        "resulting",
        "assigned",
    ),
    *(
        "given",
        "llm",
        "judge",
        "similarity",
        "correctness",
        "quality",
        "answer",
        "candidate",
        "so",
        "therefore",
        "thus",
    ),
    *("hence", "and", "is", "then", "die", "der", "das", "eine", "einer", "meine", "deine", "finale", "endgültige"),
    *("abschließende", "also", "somit", "daher", "mit", "und", "ist"),
}
QUOTED = re.compile(
    r"(?i)\b(?:reference|report|referenz|befund)\s+(?:\w+\s+)?(?:gives?|has|says|states|reports|names|mentions|gibt|nennt|hat)\b"
)
REJECTED = re.compile(r"(?i)\s*(?:is|would be|ist|wäre)\s+(?:too|not|zu|nicht)\b")  # "a score of 4 is too high"
FILLER = (
    r"(?:(?:it|this|that|the|an?|only|just|solid|strong|candidate|answer|response|text|reply|as|with|at|about"
    r"|eine?[nr]?|die|der|diese[rn]?|antwort|nur|mit|note)[ \t]+){0,5}"
)
SENTENCE = re.compile(
    r"(?i)\b(?:"
    r"(?:(?:i|we)(?:'?d|'?ll| would| will| must| can only| have to)?|(?:ich|wir)(?: würde[n]?)?|would|würde(?: ich)?)[ \t]+(?:\w+ly[ \t]+)?"
    r"(?:rate|give|assign|award|grade|mark|score|vergebe|gebe|bewerte)"
    r"|(?:vergebe|gebe|bewerte|würde)[ \t]+ich"
    r"|(?:deserves|earns|gets|receives|merits|scores|verdient|erhält|bekommt|therefore|hence|thus|daher|deshalb|somit)"
    r"|(?:it|this|that|das|dies|es|answer|candidate|response|antwort)(?:'?s|[ \t]+is|[ \t]+ist|[ \t]+wäre|[ \t]+would[ \t]+be)"
    r"[ \t]+(?:an?|eine?|worth))"
    r"[ \t]+" + FILLER + NUMBER
)
SENTENCE_GERMAN = re.compile(
    r"(?i)\bich würde\b[^\d.!?\n]{0,40}" + NUMBER + r"(?=[^\d.!?\n]{0,20}\b(?:vergeben|geben|bewerten)\b)"
)
OF_POINTS = re.compile(
    r"(?i)" + NUMBER + r"(?=\s*(?:/|out\s+of|of|von)\s*\d+\s*(?:points?|punkten?|stars?|sternen?)\b)"
)
LINE = re.compile(r"(?im)^[ \t]*[(\[:]?[ \t]*(\d+)(?=[^\n]*$)")
OPENING = re.compile(r"\A[\s(\[:]*" + NUMBER)

OUT_OF = re.compile(r"(?i)\s*(?:/|out\s+of|of|von|aus)\s*(?:maximal\s+)?(\d+)")
POINTS = re.compile(r"(?i)\s*(?:points?|punkte?n?|stars?|sternen?)\b(?:\s*(?:/|out\s+of|of|von)\s*(\d+))?")
UNIT = r"(?:mm|cm|dm|m|ml|l|cc|hu|kg|g|mg|years?|jahre?n?|%|°|percent|prozent)(?![a-zäöü])"
SECOND_NUMBER = re.compile(
    r"(?i)\s*(?:[-–—~+]|\bor\b|\boder\b|\bto\b|\bbis\b|\band\b|\bund\b|&)\s*\d|\s*[,;/]\s*\d+(?!\s*[a-zäöü%/])|[ \t]+\d|[½\w+]"
    rf"|\s*[,;(]\s*(?:or|maybe|perhaps|possibly|oder|vielleicht|eventuell)\s+\d|\s*{UNIT}"
)
END = re.compile(r"[ \t]*[)\]}|]*[ \t]*[.!]*[ \t]*(?:\n|\Z)")
REMARK = re.compile(r"[ \t]*\([^()\d\n]*\)[ \t]*[.!]*[ \t]*(?:\n|\Z)")  # "Note: 4 (gut)"
# How a sentence goes on after its score
AFTER_SENTENCE = re.compile(
    r"(?i)\s*(?:[.,;:!)\]]|[-–—]\s|\n|\Z|(?:because|since|as|for|due|but|though|although|here|overall|weil|da|denn|aber)\b)"
)
# How a reply goes on that begins with its score: a reason after a mark, or words that judge. "2 errors" and "3 cm" go on otherwise.
JUDGING = (
    r"(?:right|correct|good|wrong|same|identical|equivalent|perfect|excellent|complete|accurate|acceptable|fair|poor|close|incorrect|incomplete"
    r"|richtig|falsch|gut|gleich|dasselbe|identisch|korrekt|perfekt|vollständig|schlecht|unvollständig)\b"
    r"(?=\s*(?:[.,;:!)\-–]|\n|\Z|(?:in|on|but|and|except|with|to|apart|as|since|because|bis|aber|und|in|mit|außer)\b))"
)
AFTER_OPENING = re.compile(
    r"(?i)\s*(?:[:;,](?!\s*(?:\d|of\b|von\b))|\.(?!\d)|[ \t][-–—][ \t]|[–—]\s|\n|\Z|\((?!\s*(?:of|von|out|\d))[^()\n]*\)\s*(?:[.:;\-–]|\n|\Z)"
    rf"|(?:because|since|although|though|due to|weil|da|denn)\b|(?:(?:nearly|almost|mostly|very|fully|partly|partially|largely|quite|not|completely|entirely"
    rf"|fast|nahezu|weitgehend|sehr|teilweise|überwiegend|halb|ganz|nicht|völlig)\s+)?{JUDGING})"
)
LIST_ITEM = re.compile(r"(?m)(?:^|(?<=[.,;!?] ))[ \t]*(\d+)[ \t]*[.:)\-–]")


def parse_score(reply: str | None, low: int = 1, high: int = 5) -> int | None:
    """The score in a judge's reply, or None if none can be read for certain.

    Read are JSON with a "score" (also fenced, nested, cut off, or with text around it), "4", "**3**", "4/5", "Score: 4", "I give a
    score of 4", "I would rate this a 4", "Ich vergebe 4 Punkte", a number alone in a line, and one that opens the reply ("4 - nearly
    right"); thoughts and reasons in tags are left out. None come of a number off the scale, with a fraction or with a unit, of
    different scores in one reply, of number words, and of a number that the reply does not name as a score.

    Args:
        reply: the text of a language model.
        low: lowest score of the scale.
        high: highest score.
    """
    text = _after_thoughts(reply or "")
    scores = _json_scores(text, high)
    if not scores:
        plain = _plain(text, low, high)
        scores = next(
            filter(None, (find(plain, high) for find in (_labelled, _in_sentences, _in_lines, _opening))), set()
        )
    if len(scores) != 1:
        return None
    (score,) = scores
    return score if low <= score <= high else None


def _after_thoughts(text: str) -> str:
    """A reply without the thoughts of its model; thoughts that are cut off leave nothing."""
    text = text.translate(FULL_WIDTH)
    text = THOUGHT_END.sub("", THOUGHT.sub(" ", text) if len(text) < LONGEST else text)
    if len(text) > LONGEST:
        return ""
    return REASON_TAG.sub("\n", TOKEN.sub(" ", THOUGHT_START.sub("", text))).strip()


def _plain(text: str, low: int, high: int) -> str:
    """A reply without marks of Markdown and LaTeX, and without the scale itself ("1-5", "from 1 to 5"), which is no score."""
    text = BOXED.sub(r" score: \1 ", text)
    text = re.sub(r"\[\[([^\[\]]*)\]\]", r"\1", text)
    text = TAG.sub(lambda tag: f"\n{tag[1]}: " if tag[0][1] != "/" else "\n", text)
    text = (
        re.sub(r"```(?:[a-z]\w*)?|[*`\"„“”$#\ufe0f\u20e3]|(?<!\w)'|'(?!\w)", "", text)
        .replace("_", " ")
        .replace("’", "'")
    )
    scale = rf"\b{low}\s*(?:-|–|—|\.\.+|to|bis|and|und)\s*{high}\b(?!\s*{UNIT})"
    scale_words = (
        r"(?:(?:on|auf)\s+)?(?:(?:the|a|einer|der)\s+)?(?:scale|skala|range)?\s*(?:of|from|von|between|zwischen)?\s*"
    )
    text = re.sub(rf"(?i)[(\[]?{scale_words}{scale}[)\]]?", " ", text)
    text = re.sub(rf"(?i)[(\[]\s*(?:out of|of|von|max\w*\.?:?)\s*{high}\s*[)\]]", " ", text)
    return REASON_LINE.sub("", text).strip()


def _json_scores(text: str, high: int) -> set[int]:
    """The scores in the JSON objects of a reply; -1 for each that is none."""
    decoder, position = json.JSONDecoder(strict=False), 0
    scores: set[int] = set()
    for _ in range(MOST_OBJECTS):
        if (position := text.find("{", position)) < 0:
            break
        try:
            value, position = decoder.raw_decode(text, position)
            scores.update(_scores_in(value, high))
        except (ValueError, RecursionError):
            position += 1
    return scores


def _scores_in(value: Any, high: int) -> Iterator[int]:
    if isinstance(value, list):
        for part in value:
            yield from _scores_in(part, high)
    if not isinstance(value, dict):
        return
    keys = {key: key.strip().lower().replace("_", " ").replace("-", " ") for key in value}
    has_other_scale = any(name in LARGEST_KEYS and value[key] not in (high, str(high)) for key, name in keys.items())
    for key, name in keys.items():
        if isinstance(value[key], dict | list):
            yield from _scores_in(value[key], high)
        elif name in KEYS and not (name in {"verdict", "note"} and isinstance(value[key], str)):
            yield -1 if has_other_scale else _number(value[key], high)


def _number(value: Any, high: int) -> int:
    """A score of a JSON value, -1 if it is none."""
    if isinstance(value, str):
        score = parse_score(value, -(10**6), high) if "{" not in value else None
        return -1 if score is None else score
    is_whole = isinstance(value, int | float) and not isinstance(value, bool) and value in range(high + 1)
    return int(value) if is_whole else -1


def _labelled(text: str, high: int) -> set[int]:
    """The numbers that follow a word for a score."""
    scores = set()
    for match in LABEL.finditer(text):
        line = text[: match.start()].rpartition("\n")[2]
        before = re.search(r"([\w'-]+)[ \t]*\Z", line)
        clause = re.split(r"[,.;:!?]", line)[-1]
        if (before is None or before[1].lower() in BEFORE_LABEL) and not QUOTED.search(clause):
            score, end = _value(match, text, high)
            scores |= set() if REJECTED.match(text, end) else {score}
    for match in WEAK_LABEL.finditer(text):
        score, end = _value(match, text, high)
        if END.match(text, end) or REMARK.match(text, end):
            scores.add(score)
    return scores


def _in_sentences(text: str, high: int) -> set[int]:
    """The numbers of sentences that give a score: "I would rate this a 4", "Ich vergebe 4 Punkte"."""
    scores = set()
    for match in (*SENTENCE.finditer(text), *OF_POINTS.finditer(text)):
        score, end = _value(match, text, high)
        if AFTER_SENTENCE.match(text, end) or score < 0:
            scores.add(score)
    scores |= {
        _value(match, text, high)[0] for match in SENTENCE_GERMAN.finditer(text) if "nicht" not in match[0].lower()
    }
    return scores


def _in_lines(text: str, high: int) -> set[int]:
    """The numbers that are alone in their line."""
    scores = set()
    for match in LINE.finditer(text):
        score, end = _value(match, text, high)
        if END.match(text, end):
            scores.add(score)
    return scores


def _opening(text: str, high: int) -> set[int]:
    """The number that opens the reply, if a reason follows and it is no item of a list."""
    match = OPENING.match(text)
    if match is None:
        return set()
    score, end = _value(match, text, high)
    items = {int(number[:9]) for number in LIST_ITEM.findall(text)}
    is_item = len(items) > 1 or (re.match(r"[.)]\s*\S", text[end:]) is not None and score == 1)
    return {score} if AFTER_OPENING.match(text, end) and not is_item else set()


def _value(match: re.Match[str], text: str, high: int) -> tuple[int, int]:
    """The number of a match, -1 if it is no whole score of this scale; and where the text goes on after it."""
    score, end = (int(match[1]) if len(match[1]) < 4 else -1), match.end(1)
    if (zeros := re.compile(r"[.,]0+(?![\d.,])").match(text, end)) is not None:
        end = zeros.end()
    elif re.compile(r"[.,]\d").match(text, end):
        return -1, end
    if (largest := OUT_OF.match(text, end)) is not None:
        score, end = score if largest[1] == str(high) else -1, largest.end()
    if (points := POINTS.match(text, end)) is not None:
        score, end = score if points[1] in (None, str(high)) else -1, points.end()
    return -1 if SECOND_NUMBER.match(text, end) else score, end
