"""Print how well identifiers are removed from labelled letters: recall per type, and other words removed.

Two formats of labels are read: text files with {{NAME:Jane Smith}} around each identifier, and plain text files with a
table (tab-separated: letter, start, end, type, whose) with code-point offsets, `whose` being "patient" or "other".
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from functools import partial
from pathlib import Path

from refrad.anatomy.lexicon import Lexicon, load_lexicon
from refrad.core.installation import resolve_shipped
from refrad.language.captions import CAPTIONED
from refrad.language.lexicon_matcher import is_anatomy
from refrad.language.report_scrubbing import scrub_report
from refrad.language.sections import split_sections
from refrad.privacy.known_identifiers import Identifiers
from refrad.privacy.scrubbing import PLACEHOLDERS

__all__ = ["Letter", "ScrubCounts", "count_scrubbed", "main", "read_labelled", "read_marked"]

READ = (*CAPTIONED, "indication", "question")  # sections that get into the table of captions

_MARK = re.compile(r"\{\{([A-Z]+):(.*?)\}\}")
_WORD = re.compile(r"\[[A-Z]+\]|[^\W_]+")


@dataclass(frozen=True)
class Letter:
    """A text and its identifiers as (type, start, end); `names` are those that its headers would have."""

    text: str
    labels: Sequence[tuple[str, int, int]]
    names: frozenset[str] = frozenset()


@dataclass
class ScrubCounts:
    """Labels by type, those removed as a whole, those left where stage captions reads, and words outside labels.

    Words are counted as all, removed, and removed ones that are anatomy.
    """

    labels: Counter[str] = field(default_factory=Counter)
    gone: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)
    words: int = 0
    words_gone: int = 0
    anatomy_gone: int = 0


def count_scrubbed(letters: Iterable[Letter], lexicon: Lexicon, *, headers: bool) -> ScrubCounts:
    """Scrub the letters as stage captions does and compare; with `headers` the patient's names are known, as they are where DICOM has them."""
    anatomy = partial(is_anatomy, lexicon=lexicon)
    outcome = ScrubCounts()
    for letter in letters:
        identifiers = _identifiers(letter.names) if headers else Identifiers()
        clean, _ = scrub_report(letter.text, identifiers, lexicon)
        words = list(_WORD.finditer(letter.text))
        written = [word[0] for word in words]
        left = _surviving(written, _WORD.findall(clean))
        used = " ".join(body for section, body in split_sections(clean) if section in READ)
        read = _surviving(written, _WORD.findall(used))
        inside: set[int] = set()
        for kind, start, end in letter.labels:
            labelled = {index for index, word in enumerate(words) if word.start() < end and word.end() > start}
            inside |= labelled
            outcome.labels[kind] += 1
            telling = {index for index in labelled if len(written[index]) > 1}
            outcome.gone[kind] += not telling & left
            outcome.read[kind] += bool(telling & left & read)
        for index, word in enumerate(words):
            if index not in inside:
                outcome.words += 1
                outcome.words_gone += index not in left
                outcome.anatomy_gone += index not in left and anatomy(word[0])
    return outcome


def read_marked(path: Path) -> Letter:
    """A letter with {{TYPE:identifier}} in it."""
    text, labels, end = "", [], 0
    marked = path.read_text(encoding="utf-8")
    for mark in _MARK.finditer(marked):
        text += marked[end : mark.start()]
        labels.append((mark[1], len(text), len(text) + len(mark[2])))
        text += mark[2]
        end = mark.end()
    return Letter(text + marked[end:], labels)


def read_labelled(folder: Path, table: Path) -> Iterator[Letter]:
    """The letters of a folder that the table labels."""
    rows = defaultdict(list)
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            rows[row["letter"]].append(row)
    for name, labels in rows.items():
        text = (folder / f"{name}.txt").read_text(encoding="utf-8")
        spans = [(row["type"], int(row["start"]), int(row["end"])) for row in labels]
        own = [row for row in labels if row["whose"] == "patient" and row["type"] == "NAME"]
        yield Letter(text, spans, frozenset(text[int(row["start"]) : int(row["end"])] for row in own))


def main(letters: Path, *, labels: Path | None = None, lexicon: Path = Path("workflow/anatomy/lexicon.yaml")) -> None:
    """Print how well identifiers are removed: from marked text files (LETTERS is one, or a folder), or from the letters that LABELS labels.

    Each number is printed twice where the patient's names are labelled: by the rules alone, and with the names known.
    """
    words = load_lexicon(resolve_shipped(lexicon))
    if labels is not None:
        texts = list(read_labelled(letters, labels))
    else:
        texts = [read_marked(path) for path in (sorted(letters.glob("*.txt")) if letters.is_dir() else [letters])]
    for headers in (False, True) if any(letter.names for letter in texts) else (False,):
        outcome = count_scrubbed(texts, words, headers=headers)
        print("rules and the patient's names" if headers else "rules alone")
        for kind in PLACEHOLDERS:
            if total := outcome.labels[kind]:
                gone, read = outcome.gone[kind], outcome.read[kind]
                left = f"; {read} of {total - gone} left are in parts that become captions" if gone < total else ""
                print(f"  {kind:<6} recall {gone / total:.3f}  ({gone} of {total}{left})")
        share = outcome.words_gone / max(outcome.words, 1)
        print(
            f"  gone beside them: {outcome.words_gone} of {outcome.words} words ({share:.2%}), {outcome.anatomy_gone} of anatomy"
        )


def _identifiers(names: Iterable[str]) -> Identifiers:
    return Identifiers(names=frozenset(names))


def _surviving(before: Sequence[str], after: Sequence[str]) -> set[int]:
    """The positions in `before` of words that are in `after` as well, in order."""
    blocks = SequenceMatcher(None, before, after, autojunk=False).get_matching_blocks()
    return {index for block in blocks for index in range(block.a, block.a + block.size)}
