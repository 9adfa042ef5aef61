"""The command `refrad check`: is what a site has stored still what was written?"""

import logging
import platform
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from refrad.config import load_config
from refrad.core.checksums import has_checksums, remedy, verify
from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.entries import DamagedEntryError
from refrad.core.manifests import MANIFEST, SIDECAR, changed_files, is_sound
from refrad.core.progress import log_progress
from refrad.core.tables import TableError, read_table
from refrad.dataset.file_list import CARD, CROISSANT, digest_sha256, read_file_list, stray_files
from refrad.dicom.volume_store import read_volume
from refrad.evaluation.answer_cache import count_damaged
from refrad.llm.salvage import check_database, read_handed
from refrad.segmentation.labels import load_labels
from refrad.workflow.site import Site

__all__ = ["main"]

log = logging.getLogger(__name__)

TRAINED = ("train", "adapt")  # stages whose output is a folder


class _Fault(NamedTuple):
    """A file that is damaged or missing, or (`unchecked`) of an earlier release that wrote no checksums.

    line: about it, with the remedy. remake: what snakemake --force makes again.
    """

    line: str
    remake: Path | None = None
    unchecked: bool = False


_Check = Callable[[], list[_Fault]]


def main(config: list[Path], *, workers: int = 4) -> None:
    """Verify the tables, shards, volumes, masks, checkpoints and model answers of a site; a line and a remedy for each damaged file.

    Nothing is changed.

    Args:
        config: config files, later ones over earlier ones.
        workers: files that are read at once.

    Raises:
        ValueError: if a file is damaged or missing.
    """
    site = Site(load_config(config), downloads=False)
    results, private = Path(site.folder("results")), Path(site.config.privacy.folder)
    former = Path(site.former)
    stored = [*results.rglob("[!.]*.parquet"), *private.rglob("[!.]*.parquet")]
    strays = stray_files(results / "shards")
    tables = sorted(path for path in stored if not path.is_relative_to(former) and path not in strays)
    faults = _run([partial(_check_table, path) for path in tables], "tables", workers)
    named: dict[Path, _Check] = {}
    for path in tables:
        if path.name in ("volumes.parquet", "masks.parquet"):
            named |= dict(_entries(path, site))
    faults += _run(list(named.values()), "volumes and masks", workers)
    counts, pages = _checks_of_jobs(results, former)
    faults += _run(counts, "files of counts", workers)
    listed = _checks_of_list(results / "shards", {fault.remake for fault in faults}, strays)
    faults += _run(listed, "files of the list", workers)
    folders, states = _checks_of_trainings(results)
    faults += _run([*folders, *states], "checkpoints", workers)
    answers = _checks_of_answers(site)
    faults += _run(answers, "files of answers", workers)
    entries = {path for stage in ("volumes", "masks") for path in Path(site.store(stage)).rglob("[!.]*.nii.gz")}
    numbers = {
        "tables": len(tables),
        "volumes and masks": len(named),
        "files of counts": len(counts) - pages,
        "folders of pages": pages,
        "checkpoints": len(folders),
        "saved states": len(states),
        "files of answers": len(answers),
    }
    print(", ".join(f"{number} {name}" for name, number in numbers.items() if number))
    unnamed = len(entries - named.keys())
    print(f"{unnamed} entries of the stores are in no table: of other runs, or left from earlier ones")
    if number := sum(path.is_relative_to(former) for path in stored):
        print(
            f"{number} tables in {former} have left the dataset and are not checked: delete them, unless one comes back"
        )
    _conclude(faults, sum(numbers.values()))


def _conclude(faults: Iterable[_Fault], count: int) -> None:
    """Print how many of the files could not be checked, and the remedy of all faults together.

    Raises:
        ValueError: if there are faults.
    """
    unchecked = [fault for fault in faults if fault.unchecked]
    if unchecked:
        print(f"{len(unchecked)} files are of an earlier release, without checksums: not checked")
    bad = [fault for fault in faults if not fault.unchecked]
    if not bad:
        print("all others are sound" if unchecked else "all are sound")
        return
    remake = sorted({str(fault.remake) for fault in bad if fault.remake})
    if len(remake) > 1:
        print(f"once these files are deleted, one run makes all again: snakemake --force {' '.join(remake)}")
    raise ValueError(f"{len(bad)} of {count} files are damaged or missing")


def _run(checks: list[_Check], name: str, workers: int) -> list[_Fault]:
    """All faults; the lines of files that could be checked are printed."""
    faults = []
    with ThreadPoolExecutor(workers) as pool:
        for of_file in log_progress(pool.map(lambda check: check(), checks), log, name, len(checks)):
            faults += of_file
            for fault in of_file:
                if not fault.unchecked:
                    print(fault.line)
    return faults


# Tables and the entries that they name


def _check_table(path: Path) -> list[_Fault]:
    try:
        if not has_checksums(path):
            return [_Fault(f"{path} has no checksums, as tables of earlier releases: {remedy(path)}", path)]
        verify(path)
    except TableError as error:
        return [_Fault(str(error), path)]
    return []


def _entries(table: Path, site: Site) -> Iterator[tuple[Path, _Check]]:
    """The entries that a sound table names, with their checks."""
    try:
        if table.name == "volumes.parquet":
            rows = read_table(table, VolumeTable).select("file", "digest").drop_nulls().rows()
            store = Path(site.store("volumes"))
            for file, _ in rows:
                yield store / file, partial(_check_entry, store / file, table, partial(read_volume, store / file))
        else:
            rows = read_table(table, MaskTable).select("file", "digest").drop_nulls().rows()
            store = Path(site.store("masks"))
            for file, digest in rows:
                read = partial(load_labels, store / file, digest)
                yield store / file, partial(_check_entry, store / file, table, read)
    except TableError:
        return  # named already


def _check_entry(path: Path, table: Path, read: Callable[[], object]) -> list[_Fault]:
    try:
        read()
    except DamagedEntryError:
        return [_Fault(f"{path} is damaged: delete it and run snakemake --force {table}", table)]
    except FileNotFoundError:
        return [_Fault(f"{path} is missing: run snakemake --force {table}", table)]
    return []


# Files of jobs


def _checks_of_jobs(results: Path, former: Path) -> tuple[list[_Check], int]:
    """The checks of metrics with the files that they name, and of folders of pages; and the number of the latter."""
    written = [path for path in sorted(results.rglob("*metrics.json")) if not path.name.startswith(".")]
    metrics = [path for path in written if not path.is_relative_to(former)]
    pages = [path for path in (results / "report" / MANIFEST, results / "status" / MANIFEST) if path.exists()]
    checks: list[_Check] = [partial(_check_counts, path) for path in metrics]
    return [*checks, *(partial(_check_pages, path, path.parent / "index.html") for path in pages)], len(pages)


def _check_counts(path: Path) -> list[_Fault]:
    """Metrics, and the files that they name; damaged tables are left out, since they are named already."""
    changed = changed_files(path)
    if changed is None:
        return [_Fault(f"{path} has no checksum", unchecked=True)]
    faults = []
    for file in changed:
        if not file.exists():
            faults.append(_Fault(f"{file} is missing: run snakemake --force {file}", file))
        elif file.suffix != ".parquet":
            faults.append(_Fault(f"{file} is damaged: {remedy(file)}", file))
        elif not _check_table(file):
            faults.append(_Fault(f"{file} is not the table that its job wrote: {remedy(file)}", file))
    return faults


def _checks_of_list(root: Path, named: Collection[Path | None], strays: Iterable[Path]) -> list[_Check]:
    """The checks of the files of the dataset against its list, without those that are `named` already; and its strays."""
    croissant, card = root / CROISSANT, root / CARD
    if not croissant.exists() or croissant in named:
        return []
    try:
        files = read_file_list(croissant)
    except TableError as error:
        return [partial(list, [_Fault(str(error), croissant)])]
    checks = [partial(_check_listed, path, card, file.sha256) for path, file in files.items() if path not in named]
    moves_out = f"is not in {CROISSANT}: run snakemake --force {card}, which moves it out"
    return [*checks, *(partial(list, [_Fault(f"{path} {moves_out}", card)]) for path in strays)]


def _check_listed(path: Path, card: Path, sha256: str) -> list[_Fault]:
    if not path.exists():
        return [_Fault(f"{path} is missing: run snakemake --force {path}", path)]
    if digest_sha256(path) == sha256:
        return []
    return [_Fault(f"{path} is sound, but not the file that {CROISSANT} lists: run snakemake --force {card}", card)]


def _check_pages(manifest: Path, page: Path) -> list[_Fault]:
    """A folder of pages; `page` is one of them."""
    names = ", ".join(sorted(path.name for path in changed_files(manifest) or []))
    if not names:
        return []
    if page.parent.name == "status":
        return [_Fault(f"{page.parent} is damaged ({names}): refrad status writes it again")]
    return [_Fault(f"{page.parent} is damaged ({names}): run snakemake --force {page}", page)]


# Trainings


def _checks_of_trainings(results: Path) -> tuple[list[_Check], list[_Check]]:
    """The checks of all checkpoints, and of the saved states of unfinished trainings."""
    accounts = [path for stage in TRAINED for path in sorted((results / stage).glob("[!.]*/"))]
    folders = [path for path in accounts if path.suffix != ".work"]
    states = [path for stage in TRAINED for path in sorted((results / stage).glob("*.work/[!.]*.pt"))]
    return [partial(_check_folder, path) for path in folders], [partial(_check_state, path) for path in states]


def _check_folder(folder: Path) -> list[_Fault]:
    changed = changed_files(folder / MANIFEST)
    if changed is None:
        return [_Fault(f"{folder} has no manifest", unchecked=True)]
    if not changed:
        return []
    names = ", ".join(sorted(path.name for path in changed))
    if not changed_files(folder / MANIFEST, prose=False):
        return [_Fault(f"{folder} is whole, but for {names}: restore it, unless somebody has edited it")]
    return [_Fault(f"{folder} is damaged ({names}): {remedy(folder)}", folder)]


def _check_state(path: Path) -> list[_Fault]:
    sound = is_sound(path)
    if sound:
        return []
    if sound is None:
        return [_Fault(f"{path} has no {SIDECAR}", unchecked=True)]
    return [_Fault(f"{path} is damaged: the training goes back to a state before it when it goes on")]


# Answers


def _checks_of_answers(site: Site) -> list[_Check]:
    """The checks of the answers of language models, and of trained models in evaluations."""
    llm = Path(site.store("llm"))
    handed = sorted((llm / "answers").glob("[!.]*.json.gz"))
    databases = sorted(llm.glob(f"replies-{platform.node()}.sqlite"))  # those of other machines may be in use there
    caches = sorted(Path(site.store("answers")).glob("[!.]*.jsonl"))
    return [
        *(partial(_check_handed, path) for path in handed),
        *(partial(_check_database, path) for path in databases),
        *(partial(_check_cache, path) for path in caches),
    ]


def _check_handed(path: Path) -> list[_Fault]:
    try:
        read_handed(path)
    except ValueError:
        return [_Fault(f"{path} is damaged: the next job moves it aside and requests its answers again")]
    return []


def _check_database(path: Path) -> list[_Fault]:
    sound = check_database(path)
    if sound is None:
        return [_Fault(f"{path} has no checksums", unchecked=True)]
    if sound:
        return []
    return [_Fault(f"{path} is damaged: the next job keeps its sound answers and requests the others again")]


def _check_cache(path: Path) -> list[_Fault]:
    damaged, unchecked = count_damaged(path)
    if damaged:
        return [_Fault(f"{path} is damaged: the next evaluation generates {damaged} of its answers again")]
    return [_Fault(f"{path} has answers without checksums", unchecked=True)] if unchecked else []
