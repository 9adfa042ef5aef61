"""Names of this project for the fault cases of ../shared/cases/faults: functions of its adapter.py under the same names.

adapter.py executes this file in its own namespace after its own functions; `FILES`, `FIXED`, `ROLES`, `HEADER`, `caught`, `workflow` and `_config` are its.
"""

# ruff: noqa: F821

import json
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any


@cache
def _fingerprint(stage: str, changes: str) -> str:
    from refrad.workflow.fingerprint import compose

    options = _config()[stage] | FIXED.get(stage, {}) | json.loads(changes)
    return compose(stage, options, {role: FILES[role] for role in ROLES.get(stage, ())}).text


def call(arguments, seconds=60):
    """Run `refrad ...` in this process; stage captions also reads the class schema, and stage vqa the mentions.

    Stage shards writes a file for each split; the cases read all rows in one.
    """
    from refrad.cli import main

    flags = [str(argument) for argument in arguments]
    if flags[0] == "shards":
        at = flags.index("--images")
        images = Path(flags[at + 1])
        splits = {split: images.with_name(f"{split}.parquet") for split in ("train", "validation", "test")}
        flags[at : at + 2] = [word for split, path in splits.items() for word in (f"--{split}", str(path))]
        flags += ["--left-out", str(images.with_name("left_out.parquet"))]
        flags += ["--card", str(images.with_name("README.md")), "--croissant", str(images.with_name("croissant.json"))]
        outcome = caught(lambda: main(flags), seconds)
        if outcome.status == 0:
            _join([*splits.values()], images)
        return outcome
    if flags[0] == "card" and "--former" not in flags:
        flags += ["--former", str(Path(flags[flags.index("--card") + 1]).parent / "former")]
    if flags[0] == "captions" and "--schema" not in flags:
        flags += ["--schema", str(FILES["schema"])]
    if flags[0] == "vqa" and "--mentions" not in flags:
        flags += ["--mentions", flags[flags.index("--captions") + 1].replace("captions.parquet", "mentions.parquet")]
    if flags[0] == "grounded" and "--copies" not in flags:
        flags += ["--copies", str(_no_copies())]
    return caught(lambda: main(flags), seconds)


def _join(files: list[Path], whole: Path) -> None:
    """One file with the rows of all files of the dataset."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from refrad.dataset.shard_io import write_rows

    tables = [pq.read_table(path) for path in files]
    write_rows(whole, pa.concat_tables(tables).to_pylist(), tables[0].schema)


_workflow = workflow


def workflow(folder: Path, config: Path, target: str, dry: bool = False, seconds: float = 120) -> Any:
    """As the adapter's, with what the config of a site must say of its dataset and its segmenter."""
    import yaml

    weights = Path(folder) / "weights"
    weights.mkdir(exist_ok=True)
    site = {
        "card": {"title": "CT", "creator": "A hospital", "terms": "Internal use only"},
        "train": {"name": "site"},
        "masks": {"weights": str(weights)},
    }
    whole = Path(folder) / "whole.yaml"
    whole.write_text(yaml.safe_dump(site | yaml.safe_load(Path(config).read_text(encoding="utf-8"))))
    return _workflow(folder, whole, target, dry, seconds)


@cache
def _no_copies() -> Path:
    """A table of stage copies without rows: the copied pictures are the card's to find."""
    from refrad.core.contracts import CopyTable
    from refrad.core.tables import frame_of, write_table
    from refrad.workflow.fingerprint import Fingerprint

    path = Path(tempfile.mkdtemp()) / "copies.parquet"
    write_table(path, frame_of([], CopyTable), CopyTable, Fingerprint("copies", 1, {}, {}))
    return path


@cache
def text_functions() -> dict[str, Callable[[str], Any]]:
    """The public functions that read text which people wrote, each as a function of that text alone."""
    from refrad.anatomy import lexicon as anatomy
    from refrad.evaluation.metrics import text as measures
    from refrad.language import (
        comparison_rules,
        levels,
        lexicon_matcher,
        mention_finder,
        references,
        ribs,
        sections,
        sentences,
    )
    from refrad.model import box_tokens
    from refrad.privacy import known_identifiers, scrubbing
    from refrad.statements import change_words, rewriting_checks, translation_checks

    words = anatomy.load_lexicon(FILES["lexicon"])
    is_anatomy = partial(lexicon_matcher.is_anatomy, lexicon=words)
    is_organ = partial(lexicon_matcher.is_anatomy, lexicon=words, exactly=True)
    known, unknown = known_identifiers.collect_identifiers([HEADER]), known_identifiers.Identifiers()
    return {
        "scrub, known names": lambda text: scrubbing.scrub(text, known, is_anatomy, is_organ),
        "scrub": lambda text: scrubbing.scrub(text, unknown, is_anatomy, is_organ),
        "take_references": lambda text: references.take_references(text),
        "take_references, series": lambda text: references.take_references(text, {1, 2, 3}),
        "sections_of": sections.split_sections,
        "parts_of": sections.split_parts,
        "detect_language": sections.detect_language,
        "sentences_of": sentences.split_sentences,
        "cut_comparisons, de": lambda text: comparison_rules.cut_comparisons(text, "de"),
        "cut_comparisons, en": lambda text: comparison_rules.cut_comparisons(text, "en"),
        "find_ribs": ribs.find_ribs,
        "find_levels": lambda text: levels.find_levels(text, "de"),
        "numbers_of": levels.parse_numbers,
        "tokenize": lexicon_matcher.tokenize,
        "find_mentions, de": lambda text: mention_finder.find_mentions(text, "de", words),
        "find_mentions, en": lambda text: mention_finder.find_mentions(text, "en", words),
        "normalise": anatomy.normalise,
        "problem_of_rewriting": lambda text: rewriting_checks.check_rewriting(text, text, "de", words),
        "problem_of_translation": lambda text: translation_checks.check_translation(text, text, "de", "en", words),
        "names_other_examination": change_words.find_comparison,
        "parse_detection": lambda text: box_tokens.parse_detection(text, "yxyx"),
        "parse_segmentation": box_tokens.parse_segmentation,
        "measures": measures.measures,
        "words": measures.words,
        "f1": lambda text: measures.f1(text, text),
    }
