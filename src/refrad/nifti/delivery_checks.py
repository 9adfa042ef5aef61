"""What is wrong with deliveries of NIfTI files, found before a run: tables, patterns and folders. No image is read."""

import re
from collections.abc import Iterator
from pathlib import Path

from refrad.config import Config, ConfigError, VolumeFiles
from refrad.formats.nifti import NiftiError, open_volume_file
from refrad.nifti.bids import is_bids
from refrad.nifti.entry_table import columns_of_table, paths_of_table
from refrad.nifti.volume_entry import COLUMNS, ENDINGS
from refrad.nifti.volume_list import find_volumes
from refrad.sources.study_ids import form_of

__all__ = ["check_volume_files"]


def check_volume_files(config: Config, results: Path) -> None:
    """Check the sections deliveries.volumes against what is on the disk.

    Args:
        config: of the site.
        results: folder of the results. Of a delivery that has an index there, the files of the table are not looked for: once
            they are volumes of the store, a site may have moved them away.

    Raises:
        ConfigError: with a line for each wrong option: its key, what is wrong, and what to do. No path of an image is in it.
    """
    findings = [
        f"config: deliveries.{number}.volumes.{key}: {finding}"
        for number, delivery in enumerate(config.deliveries)
        if delivery.volumes is not None
        for key, finding in _findings(
            delivery.volumes, (results / "index" / delivery.name / "instances.parquet").exists()
        )
    ]
    if findings:
        raise ConfigError("\n".join(findings))


def _findings(files: VolumeFiles, is_indexed: bool) -> Iterator[tuple[str, str]]:
    """Key and finding for each wrong option of a section."""
    folder = Path(files.folder)
    if not folder.is_dir():
        yield "folder", f"is no folder: {files.folder}"
        return
    columns: frozenset[str] | None = None
    if files.table is not None:
        try:
            columns = frozenset(columns_of_table(Path(files.table)))
            if not is_indexed:
                yield from _findings_of_table(Path(files.table), folder)
        except (ValueError, OSError) as error:
            yield "table", str(error)
            return
    elif files.pattern is not None:
        columns = frozenset(re.compile(files.pattern).groupindex)
        unknown = sorted(columns - {*COLUMNS} | columns & {"path"})
        if unknown:
            names = ", ".join(name for name in COLUMNS if name != "path")
            yield "pattern", f"(?P<{unknown[0]}>...) is no column of a table of volumes: these are {names}"
        yield from _findings_of_pattern(files.pattern, folder)
    elif not is_bids(folder):
        yield (
            "folder",
            "is no BIDS dataset (dataset_description.json, or folders sub-*): name a table or a pattern as well",
        )
    if columns is not None and files.modality is None and "modality" not in columns:
        source = "the table has no column" if files.table is not None else "the pattern has no group"
        yield "modality", f"missing, and {source} modality: write CT or MR"


def _findings_of_table(table: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """The finding if no row of a table names a file that is there: its paths begin at another folder."""
    first, count = "", 0
    for path, is_inside in paths_of_table(table, folder):
        if is_inside and _is_there(folder, path):
            return
        first, count = first or path, count + 1
    yield (
        "table",
        f'none of its {count} paths is that of a file in volumes.folder, inside of which they must be; the first has the form "{form_of(first)}"',
    )


def _is_there(folder: Path, path: str) -> bool:
    """Whether a file can be found, in whatever state it is."""
    try:
        with open_volume_file(folder, path):
            return True
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, NiftiError):
        return True


def _findings_of_pattern(pattern: str, folder: Path) -> Iterator[tuple[str, str]]:
    """The finding if a pattern matches no file of a folder, or there are none."""
    expression = re.compile(pattern)
    shortest, count = "", 0
    try:
        for path in find_volumes(folder):
            if expression.fullmatch(path):
                return
            if path.lower().endswith(ENDINGS):
                count += 1
                shortest = min(shortest or path, path, key=len)
    except (FileNotFoundError, OSError) as error:
        yield "folder", str(error)
        return
    if not count:
        yield (
            "folder",
            "holds no NIfTI file (.nii, .nii.gz, also inside of .zip files; links to folders are not followed)",
        )
    else:
        form = form_of(shortest)
        yield "pattern", f'matches the whole path of none of the {count} files; the shortest has the form "{form}"'
