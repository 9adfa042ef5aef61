"""The files of the dataset: those that its croissant.json names, and no others.

    for row in read_rows(list_dataset(Path("results/shards"))):  # refrad.dataset.shard_io

A folder may hold more: shards of deliveries that left the config, of an earlier number of shards, or of an earlier release.
"""

import hashlib
import json
import logging
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from refrad.core.checksums import TableError, damaged
from refrad.core.files import digest_bytes
from refrad.dataset.shard_io import count_rows

__all__ = [
    "CARD",
    "CROISSANT",
    "DataFile",
    "data_digest",
    "dataset_root",
    "delivery_of",
    "describe_file",
    "describe_for_loaders",
    "digest_sha256",
    "list_dataset",
    "read_file_list",
    "remake_card",
    "shard_folder",
    "stray_files",
    "unnamed_files",
]

CARD = "README.md"
CROISSANT = "croissant.json"
DEPTH = 3  # folders between the list and a file: data, the delivery, the shard
NO_DELIVERY = "no delivery"  # of files that the project did not write

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataFile:
    """A file of the dataset: path relative to its root, SHA-256, size in bytes and number of rows."""

    path: str
    sha256: str
    size: int
    rows: int


class ListedFile(NamedTuple):
    """What the list says of a file: size in bytes, and SHA-256."""

    size: int
    sha256: str


def describe_file(path: Path, root: Path) -> DataFile:
    """A Parquet file of the dataset whose card is in `root`."""
    relative = Path(os.path.relpath(path, root)).as_posix()
    return DataFile(relative, digest_sha256(path), path.stat().st_size, count_rows(path))


def digest_sha256(path: Path) -> str:
    """SHA-256 of a file's content, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_digest(files: Iterable[DataFile]) -> str:
    """32 hexadecimal digits that represent the content of a dataset: other rows in any file, other digits."""
    return digest_bytes(*(f"{file.path} {file.sha256}".encode() for file in sorted(files, key=lambda file: file.path)))


def describe_for_loaders(files: Mapping[str, Sequence[DataFile]]) -> dict[str, Any]:
    """The keys of the card's front matter from which `datasets` loads: the files of each split, and the digest of all.

    `datasets` keeps what it has loaded, under a digest of these keys alone: without a digest of the data there it would load
    the rows of yesterday, or of another dataset in a folder of the same name. It refuses splits and files without rows.

    Args:
        files: split to its files.
    """
    filled = {split: [file for file in of_split if file.rows] for split, of_split in files.items()}
    loaded = {split: of_split for split, of_split in filled.items() if of_split} or files
    data_files = [{"split": split, "path": [file.path for file in of_split]} for split, of_split in loaded.items()]
    digest = data_digest(file for of_split in files.values() for file in of_split)
    return {
        "configs": [{"config_name": "default", "data_files": data_files}],
        "dataset_info": {"config_name": "default", "description": f"data {digest}"},
    }


def dataset_root(folder: Path) -> Path | None:
    """The folder with the card and the list of files, of a folder in a dataset; None if there is none."""
    folder = folder.absolute()
    candidates = (folder, *folder.parents[:DEPTH])
    return next((path for path in candidates if all((path / name).is_file() for name in (CARD, CROISSANT))), None)


def list_dataset(images: Path) -> list[Path]:
    """The files of a dataset, in the order of its list; files beside them are left out, with a warning.

    Args:
        images: folder of the dataset, or a folder or a Parquet file in it.

    Raises:
        FileNotFoundError: if there is no list, or it names no file there.
        TableError: if a named file is missing or has another size.
    """
    if images.is_file():
        return [images]
    folder, root = images.absolute(), dataset_root(images)
    if root is None:
        raise FileNotFoundError(
            f"{images}: no {CARD} and {CROISSANT} here, which name the files of the dataset: `snakemake card` writes them"
        )
    named = read_file_list(root / CROISSANT)
    files = [path for path in named if path.is_relative_to(folder)]
    if not files:
        raise FileNotFoundError(f"{images}: no file of the dataset is here; {root / CROISSANT} names its files")
    for path in files:
        other_size = path.is_file() and path.stat().st_size != named[path].size
        fault = "is missing" if not path.is_file() else "has another size" if other_size else ""
        if fault:
            raise TableError(
                f"{path} {fault}, and {CROISSANT} names it: run {remake_card(root)}, which makes what is missing,"
                " checks all files and names them anew"
            )
    if count := Counter(delivery_of(path, root) for path in unnamed_files(root, named)):
        names = ", ".join(f"{number} of {name}" for name, number in sorted(count.items()))
        log.warning(
            "left out: Parquet files that are in %s and not in %s, as of deliveries that left the config: %s; `%s` moves"
            " them out of the folder",
            root,
            CROISSANT,
            names,
            remake_card(root),
        )
    return [images / path.relative_to(folder) for path in files]


def read_file_list(croissant: Path) -> dict[Path, ListedFile]:
    """The files that a list names, below its folder, with what it says of them.

    Raises:
        TableError: if the list is damaged.
    """
    try:
        entries = json.loads(croissant.read_text(encoding="utf-8"))["distribution"]
        files = [entry for entry in entries if "sha256" in entry]
        return {
            croissant.parent / file["contentUrl"]: ListedFile(int(file["contentSize"].split()[0]), file["sha256"])
            for file in files
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged(croissant) from None


def unnamed_files(root: Path, named: Iterable[Path]) -> list[Path]:
    """The shards in the folder of a dataset, or where earlier releases put them, that are not among `named`.

    What a killed job left begins with a dot and is no shard.
    """
    files = {path.resolve() for path in named}
    shards = (*(root / "data").rglob("[!.]*.parquet"), *root.glob("*/*/images.parquet"))
    return sorted(path for path in shards if path.resolve() not in files)


def stray_files(root: Path) -> list[Path]:
    """The shards in the folder of a dataset that its list does not name; none without a sound list."""
    try:
        return unnamed_files(root, read_file_list(root / CROISSANT))
    except (FileNotFoundError, TableError):
        return []


def delivery_of(path: Path, root: Path) -> str:
    """Name of the delivery of a file: its folder in the folder data or metrics, or in that of the dataset in earlier releases."""
    match path.relative_to(root).parts:
        case ("data" | "metrics", name, _, _, *_):
            return name
        case (name, _, _) if name != "data":
            return name
    return NO_DELIVERY


def shard_folder(path: Path) -> Path:
    """<delivery>/<shard> of a file <delivery>/<shard>/<split>.parquet of the dataset; the same in the folders of all stages."""
    return Path(path.parent.parent.name, path.parent.name)


def remake_card(root: Path) -> str:
    """The command that writes card and list again, and moves other files out: with --force, since it may have nothing to do."""
    card = root / CARD
    inside = card.is_relative_to(Path.cwd())  # Snakemake knows its files by their paths from the folder of the project
    return f"snakemake --force {card.relative_to(Path.cwd()) if inside else card}"
