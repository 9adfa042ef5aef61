"""Places in a delivery's folder of masks, found as programs find files that ignore the case of letters."""

import posixpath
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath

from refrad.segmentation.label_files import is_failing_storage

__all__ = ["MaskFolder"]


class MaskFolder:
    """The files and folders in a folder of masks. Each is looked for once: a table may name the same folders in 50,000 rows."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._top = folder.resolve().as_posix() + "/"
        self._places: dict[tuple[str, ...], Path | None] = {(): folder}
        self._listed: dict[Path, dict[str, Path]] = {}

    def find(self, cell: str) -> Path | None:
        """The file or folder that a cell of a table names; None if it is not there, or the path leaves the folder."""
        cell = cell.removeprefix(self._top)
        if PureWindowsPath(cell).drive or PureWindowsPath(cell).root:
            return None
        for name in dict.fromkeys((cell, cell.replace("\\", "/"))):
            parts = PurePosixPath(posixpath.normpath(name)).parts
            if ".." in parts:
                return None
            if path := self._at(parts):
                return path
        return None

    def _at(self, parts: tuple[str, ...]) -> Path | None:
        if parts not in self._places:
            parent = self._at(parts[:-1])
            self._places[parts] = self._child(parent, parts[-1]) if parent else None
        return self._places[parts]

    def _child(self, folder: Path, name: str) -> Path | None:
        if _is_there(folder / name):
            return folder / name
        child = self._entries(folder).get(_folded(name))
        return child if child and _is_there(child) else None

    def _entries(self, folder: Path) -> dict[str, Path]:
        """The files and folders in a folder by folded name, those excepted that share it."""
        if folder not in self._listed:
            by_name: dict[str, list[Path]] = defaultdict(list)
            try:
                for entry in folder.iterdir():
                    by_name[_folded(entry.name)].append(entry)
            except OSError:
                by_name.clear()
            self._listed[folder] = {name: entries[0] for name, entries in by_name.items() if len(entries) == 1}
        return self._listed[folder]


def _is_there(path: Path) -> bool:
    """Whether there is a file or folder, perhaps one for which the storage fails; no other kind is opened."""
    try:
        return path.is_file() or path.is_dir()
    except OSError as error:
        return is_failing_storage(error)
    except ValueError:  # no name of a file at all
        return False


def _folded(name: str) -> str:
    """A name as programs compare it that ignore the case of letters and how accents are stored."""
    return unicodedata.normalize("NFC", name).casefold()
