"""Faults and flags of label volumes, before a run."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from refrad.anatomy.schema import Schema, load_schema
from refrad.core.sandbox import Limits, run_sandboxed
from refrad.reporting.wording import REASONS
from refrad.segmentation.base import UnsegmentableError
from refrad.segmentation.label_files import DeliveredLabels, class_of_file, files_of_mask, read_labels
from refrad.segmentation.mask_folder import MaskFolder
from refrad.segmentation.mask_table import MISSING, TABLE, read_rows
from refrad.segmentation.plausibility import Flag, find_flags, load_norms
from refrad.segmentation.precomputed import native_ids

__all__ = ["main"]


class NamedMask(NamedTuple):
    """A mask, and its name in the printed lines."""

    name: str
    path: Path


def main(
    masks: list[Path],
    *,
    task: str,
    schema: Path,
    norms: Path,
    table: Path | None = None,
    memory_gb: float = 24.0,
    minutes: float = 60.0,
) -> None:
    """Print what is wrong with label volumes of --task total or total_mr: faults of files, and implausible anatomy.

    A mask is a NIfTI file with native ids, a folder with one file for each class, or a folder with masks.csv, of which all masks are
    read. Stage masks also checks whether a mask fits its volume. On masks that are known to be correct, each flag is a false positive:
    count them before flags quarantine volumes.

    Args:
        masks: files and folders.
        task: the task whose ids or class names the masks have.
        schema: the class schema.
        norms: the plausibility norms.
        table: the table of the masks of one folder, if it is not masks.csv in the folder.
        memory_gb: limit in GiB for reading a mask.
        minutes: limit for reading a mask.

    Raises:
        ValueError: if a table cannot be understood, or one is given for several folders.
    """
    if table and (len(masks) != 1 or not masks[0].is_dir()):
        raise ValueError(f"{table.name} is the table of one folder of masks: name that folder")
    anatomy, bounds = load_schema(schema), load_norms(norms)
    ids = native_ids(task)
    organs = flagged_masks = flag_count = count = unusable = 0
    named = [mask for path in masks for mask in _masks_of(path, table)]
    for mask, result in run_sandboxed(partial(_read, ids=ids), named, Limits.of_gib(memory_gb, 60 * minutes)):
        count += 1
        if not isinstance(result, DeliveredLabels):
            unusable += 1
            print(f"{mask.name}: cannot be used: {REASONS[result or 'mask_beyond_limits']}")
            continue
        for note, number in result.notes.items():
            if number:
                print(f"{mask.name}: {number} {note}{_unknown(mask.path, ids) if mask.path.is_dir() else ''}")
        classes = anatomy.native_lut(task)[result.labels]
        flags = find_flags(classes, result.affine, anatomy, bounds)
        organs += int(np.count_nonzero(np.unique(classes)))
        flagged_masks, flag_count = flagged_masks + bool(flags), flag_count + len(flags)
        for flag in flags:
            print(f"{mask.name}: {_sentence(flag, anatomy)}")
    faults = f", {unusable} cannot be used" if unusable else ""
    print(f"{count} masks, {flagged_masks} of them with a flag{faults}; {organs} organs, {flag_count} flags")


def _masks_of(path: Path, table: Path | None) -> Iterator[NamedMask]:
    """The masks of a file or folder; faults of the rows of its table are printed."""
    if table is None and not (path / TABLE).is_file():
        yield NamedMask(path.name, path)
        return
    table = table or path / TABLE
    folder, masks = MaskFolder(path), dict[Path, None]()
    for row in read_rows(table):
        problem = row.problem
        if row.mask and not problem:
            mask = folder.find(row.mask)
            masks |= {mask: None} if mask else {}
            problem = "" if mask else MISSING
        if problem:
            print(f"{table.name}: line {row.line}: {problem}")
    for mask in masks:
        yield NamedMask(mask.relative_to(path).as_posix(), mask)


def _read(mask: NamedMask, ids: dict[str, int]) -> DeliveredLabels | str:
    """The labels of a mask, or the reason why it cannot be used."""
    try:
        return read_labels(mask.path, ids)
    except UnsegmentableError as reason:
        return str(reason)


def _unknown(folder: Path, ids: dict[str, int]) -> str:
    """The names of the files that are no class of the task, in brackets."""
    names = [name for name in map(class_of_file, files_of_mask(folder)) if name not in ids]
    return f" ({', '.join(names)})" if names else ""


def _sentence(flag: Flag, anatomy: Schema) -> str:
    name = anatomy.by_id[flag.class_id].english if flag.class_id else "the volume"
    value = "" if flag.value is None else f": {flag.value:.1f}, plausible {flag.low:.1f} to {flag.high:.1f}"
    return f"{flag.flag} of {name}{value}"
