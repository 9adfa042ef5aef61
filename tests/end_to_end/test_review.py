"""A rejected pair leaves the dataset, its card, exports and audit at the next run, and nothing else runs again."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from projects import Project
from refrad.cli import main
from refrad.core.tables import read_table
from refrad.dataset.shard_io import read_rows
from refrad.review.items import caption_digest
from refrad.review.judgement import ReviewVerdict
from refrad.review.left_out import LeftOutTable
from refrad.review.verdicts import open_verdicts

pytestmark = pytest.mark.slow

BEFORE_REVIEW = ("index", "volumes", "masks", "structures", "captions", "mentions", "copies", "grounded", "vqa")


@pytest.fixture(scope="module")
def reviewed(finished, tmp_path_factory):
    """A copy of a finished run, an image of it, and verdicts that reject its captions."""
    folder = tmp_path_factory.mktemp("review") / "copy"
    shutil.copytree(finished.folder, folder, symlinks=True)
    project = Project(folder)
    path = next(
        path for path in sorted((folder / "results" / "shards" / "data").rglob("*.parquet")) if list(read_rows([path]))
    )
    row = next(iter(read_rows([path])))
    with open_verdicts(folder / "private" / "review" / "verdicts.sqlite") as store:
        for caption in row["captions"]:
            store.add(
                ReviewVerdict(
                    reviewer="A. Reviewer",
                    delivery=path.parent.parent.name,
                    shard=int(path.parent.name),
                    patient=row["patient"],
                    image_id=row["image_id"],
                    item="caption",
                    item_id=caption["caption"],
                    verdict="reject",
                    queue="random",
                    digest=caption_digest(row["image_id"], caption),
                )
            )
    return project, path.relative_to(folder), row


def contents(folder: Path) -> dict[Path, tuple[bytes, int]]:
    """Content and time of the tables of all stages before the shards."""
    results = folder / "results"
    tables = [path for stage in BEFORE_REVIEW for path in sorted((results / stage).rglob("*.parquet"))]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tables}


def test_rejected_pair_is_gone_after_the_next_run(reviewed, monkeypatch):
    project, shard, row = reviewed
    monkeypatch.chdir(project.folder)
    images = {path: path.stat().st_mtime_ns for path in sorted(Path("results/shards/data").rglob("*.parquet"))}
    before = contents(Path())
    count = sum(1 for _ in read_rows(list(images)))
    lines = project.snakemake("all", "--dry-run").stdout.splitlines()
    planned = [line.split()[0] for line in lines if line.strip()]
    assert planned.count("shards_shard") == 1 and "train" in planned
    assert not {name.partition("_")[0] for name in planned} & set(BEFORE_REVIEW)
    command = [sys.executable, "-m", "refrad", "explain", "config.yaml", "own.yaml"]
    environment = os.environ | {"PYTHONPATH": "src"}
    explained = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "shards      runs (1 of 2): the review has another content (missing -> " in explained
    assert "card        runs (again): " in explained and "evaluate" in explained

    project.snakemake("card")
    assert contents(Path()) == before
    again = {path.parent for path, changed in images.items() if path.stat().st_mtime_ns != changed}
    assert again == {shard.parent}
    rows = list(read_rows(sorted(Path("results/shards/data").rglob("*.parquet"))))
    assert len(rows) == count - 1 and row["image_id"] not in {kept["image_id"] for kept in rows}
    left = read_table(Path("results/review", *shard.parts[-3:-1], "left_out.parquet"), LeftOutTable)
    assert set(left["image_id"]) == {row["image_id"]}
    card = Path("results/shards/README.md").read_text()
    assert "| images |" in card and "Precision of captions before the rejected ones left: 0.000" in card
    assert "Reviewer: 1." not in card and "A. Reviewer" not in card and "Reviewers: 1." in card
    assert "card" not in project.planned("card") and not project.planned("card")

    assert main(["export", "coco"]) == 0 and main(["audit", "--count", "100000"]) == 0
    for path in [*Path("results/export").rglob("*.json"), *Path("results/audit").rglob("*")]:
        assert row["image_id"] not in path.read_text(errors="ignore"), path

    with open_verdicts(Path("private/review/verdicts.sqlite")) as store:
        for verdict in store.latest():
            store.add(replace(verdict, verdict="accept", time="", queue="browse"))
    project.snakemake("card")
    assert sum(1 for _ in read_rows(sorted(Path("results/shards/data").rglob("*.parquet")))) == count, "all is back"


def test_accepted_pairs_change_the_card_alone(reviewed, monkeypatch):
    project, _, _ = reviewed
    monkeypatch.chdir(project.folder)
    project.snakemake("card")
    with open_verdicts(Path("private/review/verdicts.sqlite")) as store:
        verdict = store.all()[-1]
        store.add(replace(verdict, reviewer="B. Reviewer", verdict="accept", time="", queue="random"))
    assert project.planned("card") == {"card"}
