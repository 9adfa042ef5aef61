"""The files that RefRad ships with: prompts, class schema, lexicon and rates, in the folder `workflow`."""

import errno
import os
from pathlib import Path

__all__ = ["resolve_shipped", "user_cache"]

WORKFLOW = "workflow"
INSTALLATION = Path(__file__).resolve().parents[3]  # the folder of the Snakefile, of an editable installation


def resolve_shipped(path: Path) -> Path:
    """A file or folder such as workflow/prompts: that of the current folder, else that of the installation.

    A project may have its own copy, which comes first; elsewhere, commands use what RefRad was installed with. A path outside of
    `workflow` is returned as it is.

    Raises:
        FileNotFoundError: if neither has it.
    """
    if path.parts[:1] != (WORKFLOW,) or path.exists():
        return path
    installed = INSTALLATION / path
    if not installed.exists():
        raise FileNotFoundError(errno.ENOENT, "neither here nor in the installation", str(path))
    return installed


def user_cache(name: str) -> Path:
    """The user's folder of this name for what can be made again, below $XDG_CACHE_HOME/refrad or ~/.cache/refrad.

    It is made if it does not exist, and then its owner alone can read it.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "refrad" / name
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
