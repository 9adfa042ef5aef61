"""What a disk has damaged after a run is found by `refrad check` and made again by the command that it prints."""

import os
import shutil
import subprocess
import sys

import pyarrow.parquet as pq
import pytest

from projects import Project

pytestmark = pytest.mark.slow


def check(project):
    environment = os.environ | {"PYTHONPATH": str(project.folder / "src")}
    command = [sys.executable, "-m", "refrad", "check", "config.yaml", "own.yaml"]
    run = subprocess.run(command, cwd=project.folder, env=environment, capture_output=True, text=True)
    return run.returncode, run.stdout.splitlines()


def test_damage_of_stores_and_tables_is_healed(finished, tmp_path):
    project = Project(tmp_path / "copy")
    shutil.copytree(finished.folder, project.folder, symlinks=True)
    assert check(project)[0] == 0
    results, stores = project.folder / "results", project.folder / "stores"
    tables = {path: path.read_bytes() for path in results.rglob("*.parquet")}
    entries = {}
    for stage in ("volumes", "masks"):
        names = pq.read_table(results / stage / "demo" / "0" / f"{stage}.parquet")["file"].drop_null()
        path = stores / stage / names[0].as_py()
        entries[path] = path.read_bytes()
        path.write_bytes(path.read_bytes()[:-9])
    table = results / "structures" / "demo" / "0" / "structures.parquet"
    table.write_bytes(bytes(500))

    status, lines = check(project)
    assert status == 1 and sum("is damaged" in line for line in lines) == 3
    for path in (*entries, table):
        path.unlink()
    targets = lines[-1].split("snakemake ")[1].split()
    assert targets == [
        "--force",
        *(f"results/{stage}/demo/0/{stage}.parquet" for stage in ("masks", "structures", "volumes")),
    ]
    project.snakemake(*targets)

    assert {path: path.read_bytes() for path in (*entries, *tables)} == entries | tables
    assert check(project)[0] == 0
    assert project.planned("all") <= {"report", "model_report"}
