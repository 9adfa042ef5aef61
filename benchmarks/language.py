"""Mentions by lexicon: the tree over words, against one regular expression after the other.

python benchmarks/language.py [sentences]

Sentences are made from the lexicon's own words, each with numbers of its own. The tree also finds numbered ribs and
levels, sides and assertions; the expressions find words only. They get a hundredth of the sentences. The memory at a tenth and
at the end shows whether it stays flat.
"""

import itertools
import random
import re
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from refrad.anatomy.lexicon import Lexicon, load_lexicon
from refrad.language.mention_finder import find_mentions

LEXICON = Path(__file__).parents[1] / "workflow" / "anatomy" / "lexicon.yaml"
FORMS = {
    "de": (
        "{organ} mit {n} mm großer Zyste.",
        "Kein Nachweis einer Läsion der {organ}, {n} HE.",
        "Rundherd von {n} mm an der {organ} links, V. a. Metastase.",
        "{organ} und {other} beidseits unauffällig, Befund {n}.",
        "Fraktur der {rib}. Rippe rechts, {n} mm disloziert, Bandscheibe L4/5 regelrecht.",
        "Keine freie Flüssigkeit, kein Erguss, Aufnahme Nr. {n}, Textur{n}probe.",
    ),
    "en": (
        "The {organ} measures {n} mm.",
        "No evidence of a lesion of the {organ}, {n} HU.",
        "There is a {n} mm nodule next to the left {organ}, suspicious for metastasis.",
        "The {organ} and {other} are unremarkable, item {n}.",
        "Fracture of the right {rib}th rib, displaced by {n} mm, disc L4/5 is normal.",
        "No free fluid, no effusion, image number {n}.",
    ),
}


def sentences(lexicon: Lexicon, count: int) -> Iterator[tuple[str, str]]:
    """Language and sentence, `count` times."""
    r = random.Random(0)
    words = {
        language: [
            p.strip("*").capitalize() for p, entry in lexicon.words[language].patterns if entry.classes and "." not in p
        ]
        for language in FORMS
    }
    for number, (language, form) in zip(
        range(count), itertools.cycle([(one, form) for one, forms in FORMS.items() for form in forms]), strict=False
    ):
        organ, other = r.choice(words[language]), r.choice(words[language])
        yield language, form.format(organ=organ, other=other, n=number, rib=4 + number % 9)


def expressions(lexicon: Lexicon, language: str) -> list[tuple[re.Pattern[str], tuple[str, ...]]]:
    """Each pattern of the lexicon as an expression of its own."""
    return [
        (re.compile(r"(?<!\w)" + re.escape(pattern).replace(r"\*", r"\w*") + r"(?!\w)", re.IGNORECASE), entry.classes)
        for pattern, entry in lexicon.words[language].patterns
    ]


def memory() -> float:
    """The most memory that the process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(count: int = 100_000) -> None:
    """Print sentences a second of both, their ratio, and how the memory grew."""
    lexicon = load_lexicon(LEXICON)
    for language, sentence in sentences(lexicon, 1000):
        find_mentions(sentence, language, lexicon)
    spent, found, tenth = 0.0, 0, 0.0
    for number, (language, sentence) in enumerate(sentences(lexicon, count)):
        before = time.process_time()
        found += len(find_mentions(sentence, language, lexicon))
        spent += time.process_time() - before
        if number == count // 10:
            tenth = memory()
    end = memory()
    naive = {language: expressions(lexicon, language) for language in FORMS}
    few = max(count // 100, 1)
    start = time.process_time()
    for language, sentence in sentences(lexicon, few):
        for expression, _ in naive[language]:
            expression.search(sentence)
    slow = (time.process_time() - start) / few
    print(
        f"{count:,} sentences, {found:,} mentions: {count / spent:,.0f} sentences/s on one core, one expression after the other"
        f" {1 / slow:,.0f}: {slow * count / spent:.0f}x"
    )
    print(f"memory {tenth:.0f} MB after a tenth, {end:.0f} MB at the end")


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:2]))
