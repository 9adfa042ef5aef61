"""LLMScore: what a language model is asked about an answer, and how its verdict is read. Whoever asks it is elsewhere."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

__all__ = ["Judge", "llm_scores", "load_judge", "parse_score"]

FENCE = re.compile(r"```(?:json)?|```")
# A whole number that stands by itself, and what it is out of, if that is said.
ALONE = r"(?<![\w.,/-])(\d{1,3})(?:[.,]0+)?(?!\w|[.,]\d|\s*[-–]\s*\d)(?:\s*(?:/|out of|von)\s*(\d+))?"
NAMED = re.compile(
    r"(?:score|rating|grade|verdict|bewertung|note)\W{0,12}?(?:(?:is|of|ist)\b\W{0,6})?" + ALONE, re.IGNORECASE
)
OPENING = re.compile(r"\A\W*" + ALONE + r"\s*(?:$|[.:;,(\-–\n])")


@dataclass(frozen=True)
class Judge:
    """The prompt of an LLM judge: the scale from `low` to `high`, the instruction, worked examples, and the question's wording."""

    low: int
    high: int
    system: str
    user: str
    examples: tuple[Mapping[str, Any], ...]

    def messages(self, question: str, candidate: str, reference: str) -> list[dict[str, str]]:
        """The chat for one answer: system, the examples with their verdicts, and the answer to judge."""
        chat = [{"role": "system", "content": self.system}]
        for one in self.examples:
            chat.append({"role": "user", "content": self._asked(one["question"], one["candidate"], one["reference"])})
            verdict = {"score": one["score"], "reason": one["reason"]}
            chat.append({"role": "assistant", "content": json.dumps(verdict, ensure_ascii=False)})
        return [*chat, {"role": "user", "content": self._asked(question, candidate, reference)}]

    def _asked(self, question: str, candidate: str, reference: str) -> str:
        return self.user.format(question=question, candidate=candidate, reference=reference)


def load_judge(path: Path) -> Judge:
    """Read a judge's prompt file.

    Raises:
        ValueError: in one line, if a key is missing or unknown, or an example's score is off the scale.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    keys = {"low", "high", "system", "user", "examples"}
    if not isinstance(content, dict) or set(content) != keys:
        raise ValueError(f"{path}: a judge's prompt has exactly the keys {', '.join(sorted(keys))}")
    judge = Judge(**(content | {"examples": tuple(content["examples"])}))
    for one in judge.examples:
        if set(one) != {"question", "candidate", "reference", "score", "reason"}:
            raise ValueError(f"{path}: an example has question, candidate, reference, score and reason")
        if not judge.low <= one["score"] <= judge.high:
            raise ValueError(f"{path}: an example's score {one['score']} is not between {judge.low} and {judge.high}")
    return judge


def parse_score(reply: str | None, low: int = 1, high: int = 5) -> int | None:
    """The score in a judge's reply, or None where none can be read for certain; never a guess.

    Read are JSON with a "score" (also fenced, or with text around it), "4", "**3**", "4/5", "Score: 4", "I give a score of 4",
    and a number that opens the reply ("4 - nearly right"). None come of a number off the scale or with a fraction, of
    different scores in one reply, and of an empty one.
    """
    text = FENCE.sub(" ", reply or "").strip()
    found = _json_scores(text)
    if not found:
        # The scale itself ("1-5", "from 1 to 5") is no score.
        plain = re.sub(rf"\(?\b{low}\s*(?:-|–|to|bis)\s*{high}\b\)?", " ", re.sub(r"[*_`\"']", "", text))
        named = NAMED.findall(plain) or OPENING.findall(plain)
        found = {int(number) if out_of in ("", str(high)) else -1 for number, out_of in named}
    if len(found) != 1:
        return None
    (score,) = found
    return score if low <= score <= high else None


def _json_scores(text: str) -> set[int]:
    found: set[int] = set()
    for match in re.finditer(r"\{[^{}]*\}", text):
        try:
            value = json.loads(match[0], strict=False)
        except json.JSONDecodeError:
            continue
        scores = [value[key] for key in value if key.lower() in {"score", "rating"}]
        for score in scores:
            score = parse_score(score) if isinstance(score, str) else score
            found.add(int(score) if isinstance(score, int | float) and score == int(score) else -1)
    return found


def llm_scores(replies: Sequence[str | None], judge: Judge) -> NDArray[np.float64]:
    """(score - low) / (high - low) of each reply, float [replies]; NaN where it failed, to be counted and left out of means."""
    scores = [parse_score(reply, judge.low, judge.high) for reply in replies]
    span = judge.high - judge.low
    return np.array([np.nan if score is None else (score - judge.low) / span for score in scores], np.float64)
