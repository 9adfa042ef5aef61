"""A run that died is made fit to start again, and a living one is left alone."""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from refrad.commands.recover import OLD, head_of, leftovers, main
from refrad.core.files import atomic, atomic_folder


@pytest.fixture
def run(tmp_path, root):
    """A folder like that of a run whose head was killed."""
    (tmp_path / "Snakefile").touch()
    for name in ("config.yaml", "workflow"):
        (tmp_path / name).symlink_to(root / name)
    (tmp_path / ".snakemake" / "locks").mkdir(parents=True)
    (tmp_path / ".snakemake" / "locks" / "0.output.lock").touch()
    return tmp_path


@pytest.fixture
def at_run(run, monkeypatch):
    monkeypatch.chdir(run)
    monkeypatch.setenv("PATH", str(run))  # a machine without Slurm
    return run


def test_what_killed_writers_left_is_found_and_nothing_else(tmp_path):
    with atomic(tmp_path / "table.parquet") as one, atomic_folder(tmp_path / "checkpoint") as other:
        one.touch()
        (other / "part").touch()
        (tmp_path / ".hidden.file").touch()
        (tmp_path / "table.1.parquet").touch()
        assert set(leftovers([tmp_path])) == {one, other}
        assert leftovers([tmp_path], OLD) == []


def test_it_unlocks_and_sweeps_but_leaves_results_alone(at_run):
    for name in (
        "results/masks/demo/0/.77.masks.parquet",
        "results/masks/demo/0/masks.parquet",
        "stores/masks/.78.new",
        "stores/masks/.79.old",
    ):
        (at_run / name).parent.mkdir(parents=True, exist_ok=True)
        (at_run / name).touch()
    os.utime(at_run / "stores/masks/.79.old", (time.time() - 2 * OLD,) * 2)
    main()
    assert not (at_run / ".snakemake" / "locks").exists()
    left = sorted(str(path.relative_to(at_run)) for path in (at_run / "results").rglob("*") if path.is_file())
    assert left == ["results/masks/demo/0/masks.parquet"]
    assert [path.name for path in (at_run / "stores/masks").iterdir()] == [".78.new"]  # perhaps of a run that lives


def test_a_living_head_is_not_disturbed(at_run):
    shutil.copy("/bin/sleep", at_run / "snakemake")
    with subprocess.Popen([at_run / "snakemake", "60"], cwd=at_run) as head:
        try:
            while not Path(f"/proc/{head.pid}/cmdline").read_bytes():  # empty for a moment after the start
                time.sleep(0.01)
            assert head_of(at_run) == head.pid
            with pytest.raises(ValueError, match="stop it first"):
                main()
        finally:
            head.kill()
    assert (at_run / ".snakemake" / "locks").exists()


def test_elsewhere_it_refuses(tmp_path):
    with pytest.raises(ValueError, match="no Snakefile"):
        main(folder=tmp_path)
