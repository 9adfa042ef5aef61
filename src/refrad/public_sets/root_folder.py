"""The folder of a public set: the adapter of a name, and whether a folder is the root of that set."""

import difflib
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

from refrad.config.public_sets import PUBLIC_SETS
from refrad.public_sets.base import SetAdapter

__all__ = ["check_root", "load_adapter"]

ABOVE = 4  # folders
BELOW = 200  # folders on each of two levels


def load_adapter(name: str) -> SetAdapter:
    """The adapter of a set.

    Raises:
        ValueError: if there is no such set; names that which resembles it.
    """
    if name not in PUBLIC_SETS:
        nearest = difflib.get_close_matches(name.lower(), PUBLIC_SETS, n=1, cutoff=0.5)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise ValueError(f"no public set is called {name}: {hint}There are {', '.join(PUBLIC_SETS)}")
    return cast(SetAdapter, importlib.import_module(PUBLIC_SETS[name].target))


def check_root(name: str, root: Path) -> None:
    """Refuse a folder that is not the root of a set, with the folder that probably is.

    Raises:
        FileNotFoundError: if it is not.
    """
    marks = load_adapter(name).MARKS
    if not root.is_dir():
        raise FileNotFoundError(f"--root {root}: no such folder")
    if _has(root, marks):
        return
    others = [candidate for candidate in PUBLIC_SETS if candidate != name and _has(root, load_adapter(candidate).MARKS)]
    near = next((folder for folder in _near(root) if _has(folder, marks)), None)
    advice = (
        f": is it {near}?"
        if near
        else f": it looks like {others[0]}"
        if others
        else ": name the folder into which the set was downloaded"
    )
    raise FileNotFoundError(
        f"--root {root}: holds no {PUBLIC_SETS[name].title}, of which it needs {' or '.join(marks)}{advice}"
    )


def _has(folder: Path, marks: Sequence[str]) -> bool:
    return any(next(folder.glob(mark), None) is not None for mark in marks)


def _near(root: Path) -> Iterator[Path]:
    """The folders above, and those one and two levels below."""
    yield from root.absolute().parents[:ABOVE]
    level = [root]
    for _ in range(2):
        level = [path for folder in level for path in sorted(folder.iterdir()) if path.is_dir()][:BELOW]
        yield from level
