"""NIfTI files below a folder of a public set, and the masks that belong to volumes by their names."""

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl

from refrad.nifti.volume_entry import ENDINGS

__all__ = ["MatchedMasks", "match_masks", "nifti_files", "without_ending_of"]


class MatchedMasks(NamedTuple):
    """Masks by volume.

    Attributes:
        masks: name of a volume to its mask, a file or folder inside of the folder of masks.
        ambiguous: number of the volumes of which several files or folders could be the mask; they have none.
    """

    masks: dict[str, str]
    ambiguous: int


def nifti_files(folder: Path) -> Iterator[str]:
    """The paths of the NIfTI files below a folder, inside of it, in order; hidden files and folders are passed over.

    Links to folders are followed, as large sets are often spread over disks. Each folder is listed once, also in a loop of links.
    """
    visited = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        status = Path(parent).stat()
        if (status.st_dev, status.st_ino) in visited:
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        inside = Path(parent).relative_to(folder).as_posix()
        for name in sorted(files):
            if name.endswith(ENDINGS) and not name.startswith("."):
                yield name if inside == "." else f"{inside}/{name}"


def without_ending_of(column: str) -> pl.Expr:
    """The names of NIfTI files, without folders and ending, of a column of paths."""
    return pl.col(column).str.replace(r"^.*/", "").str.replace(r"\.nii(\.gz)?$", "")


def match_masks(folder: Path, pattern: str, volumes: Sequence[str], near: Collection[str] = ()) -> MatchedMasks:
    """The masks of volumes, wherever they are below a folder.

    A mask is a file whose name has that of the volume in it, or a folder of that name with a file for each class. Of several, that
    below a folder with one of the names `near` is taken.

    Args:
        folder: of the masks.
        pattern: regular expression of the name of a volume, which takes all of a longer name that it can.
        volumes: names.
        near: names of folders, such as those that hold the volumes.
    """
    files = pl.DataFrame({"path": list(nifti_files(folder))}, schema={"path": pl.String})
    parents = pl.col("path").str.split("/").list.slice(0, pl.col("path").str.count_matches("/"))
    named = files.with_columns(
        file=pl.col("path").str.split("/").list.last().str.extract(f"({pattern})"),
        folder=parents.list.last().str.extract(f"^({pattern})$"),
        of_folder=parents.list.join("/"),
    ).with_columns(
        volume=pl.coalesce("file", "folder"),
        mask=pl.when(pl.col("file").is_not_null()).then("path").otherwise("of_folder"),
    )
    named = named.filter(pl.col("volume").is_in(list(volumes))).unique(["volume", "mask"], maintain_order=True)
    candidates: dict[str, list[str]] = defaultdict(list)
    for volume, mask in named.select("volume", "mask").iter_rows():
        candidates[volume].append(mask)
    masks, ambiguous = {}, 0
    for volume, paths in candidates.items():
        nearest = [path for path in paths if set(near) & set(path.split("/")[:-1])] or paths
        if len(nearest) > 1:
            ambiguous += 1
        else:
            masks[volume] = nearest[0]
    return MatchedMasks(masks, ambiguous)
