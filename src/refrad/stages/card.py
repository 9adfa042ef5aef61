"""Write the metadata of the dataset: the card, Croissant with the list of files, RO-Crate, and the leakage between the splits."""

import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import date
from pathlib import Path

from refrad.config import CardOptions
from refrad.core.files import atomic, is_temporary, write_json
from refrad.core.types import SPLITS
from refrad.dataset.dataset_card import DatasetInfo, render_card
from refrad.dataset.file_list import DataFile, delivery_of, describe_file, unnamed_files
from refrad.dataset.leakage import find_leakage
from refrad.dataset.metadata import build_croissant, build_ro_crate
from refrad.dataset.shard_io import read_schema, read_source_fingerprints
from refrad.dataset.statistics import summarize
from refrad.dataset.terms import registered_sets, terms_of_columns
from refrad.review.review_words import write_section
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 5

NOT_STATED = "not stated"  # where the stage is run outside of a workflow, which asks for it

logger = logging.getLogger(__name__)


def run(
    *,
    images: list[Path],
    card: Path,
    croissant_file: Path,
    crate: Path,
    leakage: Path,
    former: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    persons: list[Path] | None = None,
    left_out: list[Path] | None = None,
    verdicts: Path | None = None,
    until: int | None = None,
) -> None:
    """Describe all shards in files at the root of their folder. Leaks do not stop the run: the files report them, and exports refuse.

    Args:
        images: the files of the dataset.
        card: the dataset card; its folder is the root of the dataset.
        croissant_file: Croissant, the list of the files with their digests.
        crate: RO-Crate.
        leakage: the leaks between the splits.
        former: folder to which files of former deliveries or shards move, so that the dataset is alone in its own.
        metrics: counts for the report.
        fingerprint: of stage card.
        persons: tables of the patients that may be one person, of all deliveries.
        left_out: tables of what stage shards left out because of verdicts of reviewers.
        verdicts: file of these verdicts, or none.
        until: number of the last verdict to use.
    """
    options = CardOptions.model_validate(fingerprint.options)
    tally = Tally("images")
    with tally.timed("counting"):
        summary = summarize(images)
    title, creator, terms = (text or NOT_STATED for text in (options.title, options.creator, options.terms))
    about = DatasetInfo(title, creator, terms, registered_sets(summary.sources))
    with tally.timed("leakage"):
        leaks = find_leakage(images, options.duplicate_correlation, persons or [])
    with tally.timed("digests"):
        files = [describe_file(path, card.parent) for path in images]
    columns = read_schema(images[0]).names
    column_terms = {name: text for name, text in terms_of_columns(summary, terms).items() if name in columns}
    fingerprints = read_source_fingerprints(images[0])
    if persons:
        fingerprints = {"index": read_fingerprint(persons[0])} | fingerprints
    items = {"caption": summary.total("captions"), "question": summary.total("questions")}
    with tally.timed("review"):
        review = write_section(images, left_out or [], items, verdicts, until)
    today = date.today()
    text = render_card(about, summary, leaks, column_terms, fingerprints, _by_split(files), review)
    with atomic(card) as temporary:
        temporary.write_text(text, encoding="utf-8")
    write_json(croissant_file, build_croissant(about, files, columns, column_terms, today))
    write_json(crate, build_ro_crate(about, files, fingerprints, today))
    write_json(leakage, asdict(leaks) | {"total": leaks.total})
    for name, number in _move_others(card.parent, images, former).items():
        tally.add("files of former deliveries and shards", name, number)
        logger.warning(
            "%d files of %s are not of the dataset and moved to %s, as of deliveries that left the config or have fewer shards;"
            " delete them there, unless a delivery comes back",
            number,
            name,
            former,
        )
    for entry in about.sets:
        images_of_set = summary.sources[entry.name].total()
        tally.add("images of public sets", f"{entry.title} ({entry.describe_terms()})", images_of_set)
    tally.take(leaks.images)
    tally.use(leaks.images)
    for kind in ("patients", "studies", "pictures"):
        tally.add("in more than one split", kind, len(getattr(leaks, kind)))
    tally.add("patients that may be one person", "in more than one split", len(leaks.persons or ()))
    _count(tally, summary.splits)
    tally.write(metrics, fingerprint, [card, croissant_file, crate, leakage])
    logger.info("%d images, %d leaks between splits", leaks.images, leaks.total)


def _by_split(files: Sequence[DataFile]) -> dict[str, list[DataFile]]:
    """Split to its files."""
    return {split: [file for file in files if Path(file.path).stem == split] for split in SPLITS}


def _move_others(root: Path, images: Iterable[Path], former: Path) -> dict[str, int]:
    """Move what is not of the dataset out of its folder, with its path there; number of files by delivery."""
    for path in (root / "data").rglob(".*"):  # what killed jobs left, which some readers take for data
        if is_temporary(path.name):
            path.unlink(missing_ok=True)
    shards = {path.parts[-3:-1] for path in images}
    counts = [path for path in root.glob("metrics/*/*/metrics.json") if path.parts[-3:-1] not in shards]
    earlier = root.glob("*/*/metrics.json")  # of earlier releases, next to a shard
    moved: dict[str, int] = {}
    for path in (*unnamed_files(root, images), *counts, *earlier):
        target = former / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(path, target)
        name = delivery_of(path, root)
        moved[name] = moved.get(name, 0) + 1
        _remove_empty(path.parent, root)
    return moved


def _remove_empty(folder: Path, root: Path) -> None:
    """Remove a folder and those around it up to the root, as far as they are empty."""
    while folder != root and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _count(tally: Tally, splits: Mapping[str, Mapping[str, int]]) -> None:
    for split, counts in splits.items():
        for unit, n in counts.items():
            tally.add(unit, split, n)
