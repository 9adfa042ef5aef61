"""The target `dataset` ends with the card and the report for a few patients, without a model, and says what it made."""

import csv

import pytest

from projects import SMALL_DEMO

pytestmark = pytest.mark.slow


def test_dataset_alone_ends_with_its_card_and_report(project):
    project.configure(SMALL_DEMO | {"demo": {"patients": 3}, "train": {"model": None}})
    results = project.folder / "results"
    run = project.snakemake("dataset")
    assert {path.name for path in results.iterdir()} >= {"shards", "report"} and not (results / "train").exists()
    assert (results / "shards" / "README.md").is_file() and (results / "report" / "gallery.html").is_file()
    message = run.stderr[run.stderr.index("\ndataset: ") :]
    assert "results/report/index.html" in message and "results/train" not in message
    assert "No image is grounded" not in message and "\x1b" not in message
    assert project.planned("dataset") == project.planned() == set()

    # Reports that name no anatomy
    reports = project.folder / "demo" / "demo" / "reports.csv"
    with reports.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with reports.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(row | {"text": "Beurteilung: Regelrecht."} for row in rows)
    run = project.snakemake("dataset")
    message = run.stderr[run.stderr.index("No image is grounded: the dataset is empty.") :]
    assert (
        "The caption names no anatomy of the schema." in message and "look first at results/report/stages/" in message
    )
    assert project.planned("dataset") == set()
