"""Sentences of hard kinds (sides, lists of denials, resections, ribs, roots ...) with all that they mention."""

import json
from pathlib import Path

import pytest

from refrad.language.mention_finder import find_mentions

CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "mention_cases.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("case", CASES, ids=[f"{case['kind']}-{number}" for number, case in enumerate(CASES)])
def test_sentence_has_its_mentions_and_no_others(lexicon, case):
    mentions = find_mentions(case["sentence"], case["language"], lexicon)
    named = [
        {"text": mention.text, "classes": list(mention.classes), "assertion": mention.assertion} for mention in mentions
    ]
    assert named == case["entities"]
