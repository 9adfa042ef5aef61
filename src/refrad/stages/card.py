"""Write the metadata of the dataset: the card, Croissant, RO-Crate, and the leakage between the splits."""

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import asdict
from datetime import date
from pathlib import Path

from refrad.config import CardOptions
from refrad.core.files import atomic, write_json
from refrad.core.types import SPLITS
from refrad.dataset.dataset_card import DatasetInfo, render_card
from refrad.dataset.leakage import find_leakage
from refrad.dataset.metadata import DataFile, build_croissant, build_ro_crate
from refrad.dataset.shard_io import read_schema, read_source_fingerprints
from refrad.dataset.statistics import summarize
from refrad.dataset.terms import terms_of_columns
from refrad.review.review_words import write_section
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 4

NOT_STATED = "not stated"  # where the stage is run outside of a workflow, which asks for it

logger = logging.getLogger(__name__)


def run(
    *,
    images: list[Path],
    card: Path,
    croissant_file: Path,
    crate: Path,
    leakage: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    persons: list[Path] | None = None,
    left_out: list[Path] | None = None,
    verdicts: Path | None = None,
    until: int | None = None,
) -> None:
    """Describe all shards in files next to them. Leaks do not stop the run: the files report them, and exports refuse.

    `persons` are the tables of the patients that may be one person, of all deliveries. `left_out`
    are the tables of what stage shards left out because of `verdicts` of reviewers, of which those up to number `until` count.
    """
    options = CardOptions.model_validate(fingerprint.options)
    about = DatasetInfo(*(text or NOT_STATED for text in (options.title, options.creator, options.terms)))
    tally = Tally("images")
    with tally.timed("counting"):
        summary = summarize(images)
    with tally.timed("leakage"):
        leaks = find_leakage(images, options.duplicate_correlation, persons or [])
    with tally.timed("digests"):
        files = [_data_file(path, card.parent) for path in images]
    columns = read_schema(images[0]).names
    terms = {name: text for name, text in terms_of_columns(summary, about.terms).items() if name in columns}
    fingerprints = read_source_fingerprints(images[0])
    if persons:
        fingerprints = {"index": read_fingerprint(persons[0])} | fingerprints
    items = {"caption": summary.total("captions"), "question": summary.total("questions")}
    with tally.timed("review"):
        review = write_section(images, left_out or [], items, verdicts, until)
    today = date.today()
    text = render_card(about, summary, leaks, terms, fingerprints, _data_files(summary.splits), review)
    with atomic(card) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(croissant_file, build_croissant(about, files, columns, terms, today))
    write_json(crate, build_ro_crate(about, files, fingerprints, today))
    write_json(leakage, asdict(leaks) | {"total": leaks.total})
    tally.take(leaks.images)
    tally.use(leaks.images)
    for kind in ("patients", "studies", "pictures"):
        tally.add("in more than one split", kind, len(getattr(leaks, kind)))
    tally.add("patients that may be one person", "in more than one split", len(leaks.persons or ()))
    _count(tally, summary.splits)
    tally.write(metrics, fingerprint, [card, croissant_file, crate, leakage])
    logger.info("%d images, %d leaks between splits", leaks.images, leaks.total)


def _data_files(splits: Mapping[str, Mapping[str, int]]) -> dict[str, str]:
    """Split to the pattern of its files, of the splits that have images; all where none has."""
    return {split: f"data/*/*/{split}.parquet" for split in SPLITS if not splits or split in splits}


def _count(tally: Tally, splits: Mapping[str, Mapping[str, int]]) -> None:
    for split, counts in splits.items():
        for unit, n in counts.items():
            tally.add(unit, split, n)


def _data_file(path: Path, root: Path) -> DataFile:
    """A file with its digest, by its path relative to the card, which is at the root of the dataset."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return DataFile(Path(os.path.relpath(path, root)).as_posix(), digest, path.stat().st_size)
