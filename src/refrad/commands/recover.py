"""`refrad recover`: make a run that died fit to start again.

When the head process of a run on a cluster is killed, its jobs go on as orphans: a new head knows nothing of them and would
start the same work in addition. The folder also stays locked, and half-written temporary files stay where they are.
"""

import logging
import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from refrad.config import load_config
from refrad.core.files import is_temporary
from refrad.workflow.site import Site

__all__ = ["head_of", "leftovers", "main", "orphans"]

log = logging.getLogger(__name__)

PATIENCE = 120  # seconds for cancelled jobs to end
OLD = 86400  # seconds after which a temporary file of a store, which other runs may share, counts as abandoned


def main(config: list[Path] | None = None, *, folder: Path = Path()) -> None:
    """Cancel the orphaned jobs of the run in `folder`, unlock it and sweep up; then start the same command again.

    `config`: the files given to Snakemake's --configfile, if any.

    Raises:
        ValueError: if a Snakemake still works there, or jobs do not end.
    """
    folder = folder.resolve()
    if not (folder / "Snakefile").exists():
        raise ValueError(f"{folder} holds no Snakefile: start this in the folder in which the run was started")
    if head := head_of(folder):
        raise ValueError(f"process {head} runs Snakemake in this folder: stop it first, or leave it alone")
    cancelled = _cancel(folder)
    swept = _sweep(
        folder, Site(load_config([folder / path for path in config or [Path("config.yaml")]]), downloads=False)
    )
    # Snakemake's own unlock reads the whole workflow first; the locks are plain files without a holder.
    shutil.rmtree(folder / ".snakemake" / "locks", ignore_errors=True)
    log.info("%d orphaned jobs cancelled, %d half-written files removed, the folder is unlocked", cancelled, swept)
    log.info("now start the same command again: finished results and the content of the stores are not computed again")


def head_of(folder: Path) -> int | None:
    """A process on this machine that runs Snakemake in `folder` and is no job of another (these have a --mode); or None."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            here = (process / "cwd").resolve() == folder
            if here and any(_is_snakemake(word) for word in words[:3]) and b"--mode" not in words:
                return int(process.name)
        except OSError:  # it ended, or belongs to another user
            continue
    return None


def _is_snakemake(word: bytes) -> bool:
    return word.rsplit(b"/")[-1] == b"snakemake"


def orphans(folder: Path) -> list[str]:
    """Numbers of this user's Slurm jobs that Snakemake started in `folder`; none where there is no Slurm."""
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%Z|%k"]  # number, working directory, comment
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode != 0:
        raise ValueError(f"squeue does not answer, so it is unknown whether jobs still run: {listed.stderr.strip()}")
    rows = [line.split("|", 2) for line in listed.stdout.splitlines()]
    return [number for number, directory, comment in rows if Path(directory) == folder and comment.startswith("rule_")]


def leftovers(folders: Iterable[Path], older_than: float = 0) -> list[Path]:
    """Temporary files and folders that `refrad.core.files` left there when its process was killed."""
    temporary = [path for folder in folders for path in folder.rglob(".[0-9]*.*") if is_temporary(path.name)]
    return [path for path in temporary if time.time() - path.stat().st_mtime >= older_than]


def _cancel(folder: Path) -> int:
    """Cancel the orphans and wait until none writes any more."""
    numbers = orphans(folder)
    if numbers:
        subprocess.run(["scancel", *numbers], check=True)
    end = time.monotonic() + PATIENCE
    while left := orphans(folder):
        if time.monotonic() > end:
            raise ValueError(
                f"jobs {', '.join(left)} do not end: have them removed by an administrator, then start this again"
            )
        time.sleep(1)
    return len(numbers)


def _sweep(folder: Path, site: Site) -> int:
    """Remove the leftovers; in the stores only old ones, since another run may be writing there."""
    own = [folder / name for name in (site.folder("results"), site.config.privacy.folder, "demo")]
    files = leftovers(own) + leftovers([folder / site.config.stores], OLD)
    for path in files:
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    return len(files)
