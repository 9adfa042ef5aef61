"""Files that mark a living process: a lease holds as long as a process on any machine that shares the folder renews it.

Ages are taken by the clock of the file system alone, since the clocks of two machines differ.
"""

import contextlib
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Generic, TypedDict, TypeVar

__all__ = ["BEAT", "LEASE", "EndpointRecord", "FailureRecord", "Lease", "StartRecord", "UserRecord"]

BEAT = 5.0  # seconds between renewals
LEASE = 30.0  # seconds after which a lease without renewal has ended


class EndpointRecord(TypedDict):
    """A server that is ready: address, API key, name of its model, its job or process, and time of its start (Unix seconds)."""

    address: str
    key: str
    model: str
    by: str
    started: float


class StartRecord(TypedDict, total=False):
    """A server that starts: the number of its Slurm job; "" or absent where it has none."""

    job: str


class FailureRecord(TypedDict):
    """The reason why a server did not start."""

    why: str


class UserRecord(TypedDict):
    """A process that uses a server; it has no fields."""


C = TypeVar("C")


class Lease(Generic[C]):
    """A file of JSON that only its owner may read: `take` it, `renew` it, `drop` it; others see whether it `holds`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take(self, content: C) -> bool:
        """Make the file, unless it is there: then False. Of several that try at once one succeeds, on NFS too."""
        with _written(self.path, content) as temporary:
            try:
                os.link(temporary, self.path)
            except FileExistsError:
                return False
        return True

    def write(self, content: C) -> None:
        """Make the file, or put another content into it."""
        with _written(self.path, content) as temporary:
            temporary.replace(self.path)

    def read(self) -> C | None:
        """The content, whether or not the lease holds; None if there is no file."""
        try:
            content: C = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return content

    def holds(self) -> bool:
        """Was it renewed lately?"""
        with contextlib.suppress(FileNotFoundError), _written(self.path, {}) as now:
            return now.stat().st_mtime - self.path.stat().st_mtime < LEASE
        return False

    def renew(self) -> None:
        """Count its age from now. A lease that was dropped stays so."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self.path)

    def drop(self) -> None:
        """Remove the file, if it is there."""
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def renewed(self) -> Iterator[None]:
        """Renew it all the while."""
        done = threading.Event()

        def beat() -> None:
            while not done.wait(BEAT):
                self.renew()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def _written(path: Path, content: object) -> Iterator[Path]:
    """A temporary file of this process next to `path`."""
    temporary = path.with_name(f".{os.getpid()}.{socket.gethostname()}.{path.name}")
    try:
        _write(temporary, content)
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _write(path: Path, content: object) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(content, file)
