import csv
import re
from pathlib import Path

import pytest

from refrad.language.assertions import assert_spans
from refrad.language.mention_finder import find_mentions

FILE = Path(__file__).parent / "data" / "assertions.txt"
LINES = [line for line in FILE.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]


@pytest.mark.parametrize(
    ("language", "assertion", "sentence"), [tuple(part.strip() for part in line.split("|")) for line in LINES]
)
def test_assertion_of_a_mention_by_its_sentence(lexicon, language, assertion, sentence):
    found = [one.assertion for one in find_mentions(sentence, language, lexicon)]
    assert assertion in (found if assertion == "absent" else found[:1])


def test_negation_agrees_with_the_negex_sentences(shared, lexicon):
    """Findings of discharge and radiology reports, affirmed or negated; F1 of "negated"."""
    right = extra = missed = 0
    with (shared / "negation" / "negex_gold_sentences.tsv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            sentence, concept = (" ".join(row[name].split()) for name in ("Sentence", "Concept"))
            place = re.search(re.escape(concept), sentence, re.IGNORECASE)
            if place is None:
                continue
            found = assert_spans(sentence, [place.span()], lexicon.words["en"].assertions) == ["negated"]
            wanted = row["Negation"] == "Negated"
            right, extra, missed = right + (found and wanted), extra + (found > wanted), missed + (found < wanted)
    assert right > 200 and 2 * right / (2 * right + extra + missed) > 0.92
