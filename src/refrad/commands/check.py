"""The command `refrad check`: is what a site has stored still what was written?"""

import logging
import platform
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from refrad.config import load_config
from refrad.core.checksums import has_checksums, remedy, verify
from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.entries import DamagedEntryError
from refrad.core.progress import log_progress
from refrad.core.tables import TableError, read_table
from refrad.dicom.volume_store import read_volume
from refrad.llm.salvage import check_database, read_handed
from refrad.segmentation.labels import load_labels
from refrad.workflow.site import Site

__all__ = ["main"]

log = logging.getLogger(__name__)

Check = Callable[[], str | None]
"""The line about a damaged file, or None if it is sound."""


def main(config: list[Path], *, workers: int = 4) -> None:
    """Verify the tables, shards, volumes, masks and model answers of a site; one line for each damaged file, and its remedy.

    Nothing is changed.

    Args:
        config: config files, later ones over earlier ones.
        workers: files that are read at once.

    Raises:
        ValueError: if a file is damaged or missing.
    """
    site = Site(load_config(config))
    results, private = Path(site.folder("results")), Path(site.config.privacy.folder)
    tables = sorted([*results.rglob("[!.]*.parquet"), *private.rglob("[!.]*.parquet")])
    bad = _run([partial(_check_table, path) for path in tables], "tables", workers)
    named: dict[Path, Check] = {}
    for path in tables:
        if path.name in ("volumes.parquet", "masks.parquet"):
            named |= dict(_entries(path, site))
    bad += _run(list(named.values()), "volumes and masks", workers)
    answers = Path(site.store("llm"))
    files = [partial(_check_answers, path) for path in sorted((answers / "answers").glob("[!.]*.json.gz"))]
    databases = sorted(answers.glob(f"replies-{platform.node()}.sqlite"))  # those of other machines may be in use there
    bad += _run([*files, *(partial(_check_database, path) for path in databases)], "files of answers", workers)
    stored = {path for stage in ("volumes", "masks") for path in Path(site.store(stage)).rglob("[!.]*.nii.gz")}
    count = len(tables) + len(named) + len(files) + len(databases)
    print(f"{len(tables)} tables, {len(named)} volumes and masks, {len(files) + len(databases)} files of answers")
    print(
        f"{len(stored - named.keys())} entries of the stores are in no table: of other runs, or left from earlier ones"
    )
    if bad:
        raise ValueError(f"{bad} of {count} files are damaged or missing")
    print("all are sound")


def _run(checks: list[Check], name: str, workers: int) -> int:
    """Print the lines of the damaged files, and return their number."""
    bad = 0
    with ThreadPoolExecutor(workers) as pool:
        for line in log_progress(pool.map(lambda check: check(), checks), log, name, len(checks)):
            if line:
                print(line)
                bad += 1
    return bad


def _check_table(path: Path) -> str | None:
    try:
        if not has_checksums(path):
            return f"{path} has no checksums, as tables of earlier releases: {remedy(path)}"
        verify(path)
    except TableError as error:
        return str(error)
    return None


def _entries(table: Path, site: Site) -> Iterator[tuple[Path, Check]]:
    """The entries that a sound table names, with their checks."""
    try:
        if table.name == "volumes.parquet":
            rows = read_table(table, VolumeTable).select("file", "digest").drop_nulls().rows()
            store, read = Path(site.store("volumes")), read_volume
            for file, _ in rows:
                yield store / file, partial(_check_entry, store / file, table, partial(read, store / file))
        else:
            rows = read_table(table, MaskTable).select("file", "digest").drop_nulls().rows()
            store = Path(site.store("masks"))
            for file, digest in rows:
                yield (
                    store / file,
                    partial(_check_entry, store / file, table, partial(load_labels, store / file, digest)),
                )
    except TableError:
        return  # named already


def _check_entry(path: Path, table: Path, read: Callable[[], object]) -> str | None:
    try:
        read()
    except DamagedEntryError:
        return f"{path} is damaged: delete it and run again with --forcerun {table}"
    except FileNotFoundError:
        return f"{path} is missing: run again with --forcerun {table}"
    return None


def _check_answers(path: Path) -> str | None:
    try:
        read_handed(path)
    except ValueError:
        return f"{path} is damaged: the next job moves it aside and requests its answers again"
    return None


def _check_database(path: Path) -> str | None:
    return (
        None
        if check_database(path)
        else f"{path} is damaged: the next job keeps its sound answers and requests the others again"
    )
