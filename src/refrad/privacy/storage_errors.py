"""Files for which the storage fails: named in a private file, and so many at most that a failing disk ends the run."""

from pathlib import Path

from refrad.core.private_files import only_for_the_owner

__all__ = ["StorageErrors"]


class StorageErrors:
    """A count of files that could not be read, whose names are written to the private file `path` as they come.

    Args:
        path: of the list; one of an earlier run is removed.
        limit: files of which more end the run.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self._path, self._limit, self.count = path, limit, 0
        path.unlink(missing_ok=True)

    def add(self, name: str) -> None:
        """Count a file of the delivery.

        Raises:
            ValueError: if there are more than the limit.
        """
        self.count += 1
        with only_for_the_owner():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(f"{name}\n")
        if self.count > self._limit:
            raise ValueError(f"the storage failed for {self}: check it, and start again")

    def __str__(self) -> str:
        return f"{self.count} files, which {self._path} names"
