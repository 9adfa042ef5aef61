"""Saved states of other trainings: moved aside, never deleted, and taken back when their training is started again."""

import logging
import re
import shutil
from pathlib import Path

from refrad.core.files import atomic
from refrad.core.manifests import SIDECAR, sidecar_of
from refrad.training.state_files import refusing_storage

__all__ = ["ROWS", "claim_folder", "move_aside"]

IDENTITY = "identity"  # file in a folder of states: the training that they are of
ROWS = "rows"  # folder in a folder of states, see `store_rows`: of use to other trainings on the same data

log = logging.getLogger(__name__)


def claim_folder(folder: Path, identity: str) -> None:
    """Make `folder` that of the training with an identity. States of another training in it are moved aside.

    If states of this training lie aside and the folder has none, they are taken back.

    Args:
        folder: of the states of a training; it is made if it is missing.
        identity: text that identifies the training.

    Raises:
        StateFileError: if the storage refuses; nothing is lost then.
    """
    with refusing_storage(folder):
        _claim(folder, identity.encode())
        _log_sizes(folder)


def move_aside(folder: Path, files: list[Path]) -> Path:
    """Move files with their checksums out of `folder`, into a new folder next to it, which is returned."""
    target = _next_aside(folder)
    target.mkdir()
    for file in files:
        for path in (file, sidecar_of(file)):
            if path.exists():
                path.rename(target / path.name)
    return target


def _claim(folder: Path, identity: bytes) -> None:
    for unfinished in [*folder.glob(".*.pt"), *folder.glob(f".*.pt{SIDECAR}")]:  # of a process that was killed
        unfinished.unlink(missing_ok=True)
    if _identity_of(folder) == identity:
        return
    if folder.exists() and any(_is_state(path) for path in folder.iterdir()):
        target = _next_aside(folder)
        folder.rename(target)
        _move_rows(target, folder)
        log.warning(
            "the states in %s are of another training (other options, model or data): moved to %s (%s). To go on from them, "
            "start with the former options and data again; if nobody needs them, delete that folder",
            folder.name,
            target,
            _gigabytes(target),
        )
    for former in reversed(_asides(folder).values()):
        if _identity_of(former) == identity:
            if folder.exists():
                _move_rows(folder, former)
                shutil.rmtree(folder)  # it has no states
            former.rename(folder)
            log.info("the states of this training lay aside in %s: they are taken back", former.name)
            return
    folder.mkdir(parents=True, exist_ok=True)
    with atomic(folder / IDENTITY) as temporary:
        temporary.write_bytes(identity)


def _is_state(path: Path) -> bool:
    return path.name not in (IDENTITY, ROWS) and not path.name.startswith(".")


def _move_rows(source: Path, target: Path) -> None:
    """Move the rows of a training, which are large, from one folder of states to another."""
    if (source / ROWS).exists() and not (target / ROWS).exists():
        target.mkdir(exist_ok=True)
        (source / ROWS).rename(target / ROWS)


def _identity_of(folder: Path) -> bytes | None:
    try:
        return (folder / IDENTITY).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None


def _asides(folder: Path) -> dict[int, Path]:
    """The folders next to `folder` that hold what was moved aside, by number, in order."""
    if not folder.parent.exists():
        return {}
    name = re.compile(rf"{re.escape(folder.stem)}\.aside-(\d+){re.escape(folder.suffix)}")
    numbers = {int(match[1]): path for path in folder.parent.iterdir() if (match := name.fullmatch(path.name))}
    return dict(sorted(numbers.items()))


def _next_aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.stem}.aside-{max(_asides(folder), default=0) + 1}{folder.suffix}")


def _log_sizes(folder: Path) -> None:
    if asides := _asides(folder).values():
        log.warning(
            "%s of former states lie aside, in %s: delete the folders that nobody needs",
            _gigabytes(*asides),
            ", ".join(str(path) for path in asides),
        )


def _gigabytes(*folders: Path) -> str:
    size = sum(path.stat().st_size for folder in folders for path in folder.rglob("*") if path.is_file())
    return f"{size / 1e9:.1f} GB"
