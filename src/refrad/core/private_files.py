"""Files and folders that their owner alone can read, whatever the umask is."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = [
    "REMOVALS",
    "REVIEW",
    "UNFINISHED_REMOVAL",
    "close_to_others",
    "only_for_the_owner",
    "refuse_unfinished_removal",
]

# Folders in the private folder, next to those of the deliveries
REMOVALS = "forgotten"
REVIEW = "review"
UNFINISHED_REMOVAL = f"{REMOVALS}/unfinished.json"  # in the private folder, while `refrad forget` removes a patient

OTHERS = 0o077  # the permissions of all but the owner


@contextmanager
def only_for_the_owner() -> Iterator[None]:
    """Files and folders made inside the block can be read and written by their owner alone."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def close_to_others(path: Path) -> None:
    """Take all permissions of others from a file, or from a folder and all that is in it. Targets of links in it stay as they are.

    Raises:
        ValueError: if the permissions cannot be changed; the message names `path` and the remedy.
    """
    for entry in (path, *sorted(path.rglob("*"))):
        with suppress(FileNotFoundError):  # a temporary file of another process
            mode = entry.stat().st_mode
            if mode & OTHERS == 0 or (entry != path and entry.is_symlink()):
                continue
            try:
                entry.chmod(mode & ~OTHERS & 0o7777)
            except OSError as error:
                raise ValueError(
                    f"others can read {path}, and its permissions cannot be changed ({error.strerror}):"
                    f" have its owner run chmod -R go= {path}, or name another in the config"
                ) from None
            if entry.stat().st_mode & OTHERS:
                raise ValueError(
                    f"others can read {path}, as its file system has no permissions: name another in the config"
                )


def refuse_unfinished_removal(private: Path) -> None:
    """Refuse a run while a patient is removed, or if that was cut off: some tables have the patient, others not.

    Raises:
        ValueError: if it is so.
    """
    if (private / UNFINISHED_REMOVAL).exists():
        raise ValueError("a patient is being removed, or the removal was cut off: `refrad forget` ends it")
