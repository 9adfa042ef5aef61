"""pandera for polars, loaded without pandas: pandera imports that too where it is installed, which is half of a job's start.

Every module that needs pandera imports it from here.
"""

import importlib.abc
import sys
from collections.abc import Sequence
from types import ModuleType

import polars  # noqa: F401 - before pandas is hidden, since it looks for pandas as well

__all__ = ["pa"]


class _Hidden(importlib.abc.MetaPathFinder):
    """Finds no pandas."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        """None for all modules but pandas.

        Raises:
            ModuleNotFoundError: for pandas.
        """
        if name == "pandas":
            raise ModuleNotFoundError("No module named 'pandas'", name=name)


_hidden = _Hidden()
sys.meta_path.insert(0, _hidden)
try:
    import pandera.polars as pa
finally:
    sys.meta_path.remove(_hidden)
