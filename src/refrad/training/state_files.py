"""Files of a training's saved states: written with a checksum, and told torn ones from those that cannot be read now."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from refrad.core.checksums import TableError
from refrad.core.files import atomic
from refrad.core.manifests import is_sound, read_sealed, sidecar_of, write_sidecar

__all__ = [
    "StateFileError",
    "TornFileError",
    "is_lack_of_memory",
    "read_file",
    "refusing_storage",
    "remove_file",
    "verify_file",
    "write_file",
]

RESTORE = "restore it from a backup, or move it elsewhere to go back to the state before it"


class StateFileError(ValueError):
    """A saved file cannot be used, and is not provably torn: nothing may be removed. The message is one line with the remedy."""


class TornFileError(ValueError):
    """A saved file is not what was written: its size or checksum differs from those beside it."""


def write_file(path: Path, value: Any) -> None:
    """Write a file, after its checksum: torch verifies none when it reads. Both are on the disk when the call returns."""
    with atomic(path) as temporary:
        torch.save(value, temporary)
        write_sidecar(path, temporary)


@contextlib.contextmanager
def refusing_storage(folder: Path) -> Iterator[None]:
    """Make an OSError of the block a StateFileError about a folder of saved states."""
    try:
        yield
    except OSError as error:
        raise StateFileError(
            f"{folder.name}: {error.strerror or type(error).__name__}; all saved states are kept: repair the storage or its "
            "permissions, and start again"
        ) from None


def verify_file(path: Path) -> bool:
    """Whether a file has a checksum, which is then right; False without one, as in earlier releases.

    Raises:
        TornFileError: if size or checksum differ.
        StateFileError: if that cannot be decided.
    """
    try:
        sound = is_sound(path)
        if sound is False:
            read_sealed(sidecar_of(path))
    except TableError:
        raise _unusable(path, f"{sidecar_of(path).name}, its checksum, is damaged", RESTORE) from None
    except Exception as error:
        raise _refused(path, error) from None
    if sound is False:
        raise TornFileError(f"{path.name} is damaged")
    return bool(sound)


def read_file(path: Path, mapped: bool = False) -> Any:
    """The content of a file that `write_file` wrote, on the CPU.

    Args:
        path: of the file.
        mapped: whether tensors are read from the file when they are used, so that they take no memory of this process.

    Raises:
        TornFileError: if it is damaged.
        StateFileError: if it cannot be read for any other reason.
    """
    has_checksum = verify_file(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except Exception as error:  # torch raises what its allocator, its unpickler and its zip reader raise
        if has_checksum or isinstance(error, OSError) or is_lack_of_memory(error):
            raise _refused(path, error) from None
        raise _unusable(path, f"{type(error).__name__}, and it has no checksum", RESTORE) from None


def remove_file(path: Path) -> None:
    """Remove a file with its checksum."""
    path.unlink(missing_ok=True)
    sidecar_of(path).unlink(missing_ok=True)


def _refused(path: Path, error: Exception) -> StateFileError:
    """The error for a file that the machine or the software refuses to read."""
    if is_lack_of_memory(error):
        return _unusable(path, "out of memory", "free memory, or give the job more")
    if isinstance(error, OSError):
        return _unusable(path, error.strerror or type(error).__name__, "repair the storage or its permissions")
    reason = f"{type(error).__name__}, though its checksum is right"
    return _unusable(path, reason, "use the versions of torch and RefRad that wrote it")


def _unusable(path: Path, reason: str, remedy: str) -> StateFileError:
    name = f"{path.parent.name}/{path.name}"
    return StateFileError(f"{name} cannot be read ({reason}); all saved states are kept: {remedy}, and start again")


def is_lack_of_memory(error: Exception) -> bool:
    """Whether an error means that memory is short; torch's allocator raises RuntimeError."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and ("allocate" in str(error) or "out of memory" in str(error).lower())
