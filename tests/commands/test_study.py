import csv
import json

import numpy as np
import polars as pl
import pytest

from browser import browsing, wait_for
from refrad.cli import main
from refrad.commands.study import agreement
from refrad.evaluation.metrics.agreement import krippendorff_alpha, pearson_r

PAIRS = 30


@pytest.fixture
def files(tmp_path):
    """Forty answers to open questions, a closed one, and a folder for the study."""
    truth = [
        {"id": f"q{n}", "task": "vqa", "kind": "open", "question": f"Where <{n}>?", "answer": f"liver {n}"}
        for n in range(40)
    ]
    truth.append({"id": "closed", "task": "vqa", "kind": "closed", "answer": "yes"})
    given = [{"id": row["id"], "answer": "-20 HU", "raw": "model-x"} for row in truth]
    for name, rows in (("truth", truth), ("predictions", given)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    return tmp_path


def exported(files, root, *more):
    page = str(root / "workflow" / "report" / "study.html")
    arguments = ["--predictions", str(files / "predictions.jsonl"), "--truth", str(files / "truth.jsonl")]
    arguments += ["--out", str(files / "study"), "--pairs", str(PAIRS), "--page", page, *more]
    return main(["study", "export", *arguments])


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def rate(path, ratings, delimiter=","):
    """Fill the ratings in, item to rating, as a spreadsheet would."""
    rows = rows_of(path)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(row | {"rating": ratings.get(int(row["item"]), "")} for row in rows)


def test_raters_get_the_same_pairs_in_separate_orders(files, root):
    assert exported(files, root) == 0
    orders = []
    for rater in (1, 2, 3):
        rows = rows_of(files / "study" / f"rater-{rater}.csv")
        assert set(rows[0]) == {"item", "question", "reference", "answer", "rating"}
        orders.append([row["item"] for row in rows])
        page = (files / "study" / f"rater-{rater}.html").read_text()
        assert page.count("<fieldset") == PAIRS and "Where &lt;" in page
        assert "http" not in page and "model-x" not in page and "q1" not in page
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2]) and orders[0] != orders[1] != orders[2]
    assert "closed" not in {row["id"] for row in rows_of(files / "study" / "key.csv")}


def test_answers_are_no_formulas_for_a_spreadsheet(files, root):
    exported(files, root)
    assert all(row["answer"] == " -20 HU" for row in rows_of(files / "study" / "rater-1.csv"))


def test_study_is_not_overwritten(files, root, capsys):
    assert exported(files, root) == 0 and exported(files, root) == 1
    assert "its key would be lost" in capsys.readouterr().err


def test_study_refuses_more_pairs_than_there_are(files, root, capsys):
    assert exported(files, root, "--pairs", "41") == 1
    assert "only 40 answers" in capsys.readouterr().err


def test_ratings_are_read_as_alpha_and_r(files, root, capsys):
    exported(files, root)
    key = {int(row["item"]): row["id"] for row in rows_of(files / "study" / "key.csv")}
    rng = np.random.default_rng(0)
    first = {item: int(rng.integers(1, 6)) for item in key}
    second = {item: min(5, rating + int(rng.random() < 0.2)) for item, rating in first.items()}
    second.pop(next(iter(key)))  # left empty
    rate(files / "study" / "rater-1.csv", first)
    rate(files / "study" / "rater-2.csv", second, delimiter=";")  # rater 3 never began
    scores = [(name, (first[item] - 1) / 4 if n else float("nan")) for n, (item, name) in enumerate(key.items())]
    frame = pl.DataFrame(scores, schema=["id", "value"], orient="row").with_columns(metric=pl.lit("llm_score"))
    frame.write_parquet(files / "scores.parquet")
    arguments = ["--folder", str(files / "study"), "--scores", str(files / "scores.parquet")]
    assert main(["study", "read", *arguments, "--out", str(files / "result.json")]) == 0
    told, result = capsys.readouterr().out, json.loads((files / "result.json").read_text())
    ratings = np.array([[first[item] for item in key], [second.get(item, np.nan) for item in key]])
    assert result["alpha_between_raters"]["value"] == pytest.approx(krippendorff_alpha(ratings))
    assert result["alpha_between_raters"]["pairs"] == PAIRS - 1 and result["without_llm_score"] == 1
    mean = np.nanmean(ratings, axis=0)[1:]
    expected = pearson_r(mean, [first[item] for item in list(key)[1:]])
    assert result["r_against_llm_score"]["value"] == pytest.approx(expected) and expected > 0.9
    low, high = result["alpha_between_raters"]["interval"]
    assert low < result["alpha_between_raters"]["value"] < high
    assert "rater-1 (30 rated), rater-2 (29 rated)" in told and "rater-3" not in told


@pytest.mark.slow
def test_rating_page_saves_a_file_that_the_command_reads(files, root, tmp_path, capsys):
    """Two raters in a real browser: they click ratings, and the button."""
    exported(files, root)
    items = [int(row["item"]) for row in rows_of(files / "study" / "rater-1.csv")]
    clicked = {item: 1 + number % 5 for number, item in enumerate(items[:-1])}  # the last one is left out
    with browsing(tmp_path / "profile") as browser:
        for rater in (1, 2):
            saved = files / "study" / f"rater-{rater}.csv"
            saved.unlink()
            browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(saved.parent))
            browser.open(saved.with_suffix(".html"))
            for item, rating in clicked.items():
                browser.run(f"""document.querySelector('input[name="{item}"][value="{rating}"]').click()""")
            assert browser.run("document.getElementById('count').textContent") == f"{PAIRS - 1} of {PAIRS} rated"
            assert browser.run("document.querySelectorAll('fieldset.done').length") == PAIRS - 1
            browser.run("document.getElementById('save').click()")
            wait_for(saved.exists)
            found = {int(row["item"]): row["rating"] for row in rows_of(saved)}
            assert found == {item: str(clicked.get(item, "")) for item in found} and set(found) == set(items)
    assert main(["study", "read", "--folder", str(files / "study")]) == 0
    told = capsys.readouterr().out
    assert "rater-1 (29 rated), rater-2 (29 rated)" in told and "alpha between raters: 1.000" in told


@pytest.mark.parametrize("rating", ["6", "3.5", "good"])
def test_ratings_with_an_error_are_named(files, root, capsys, rating):
    exported(files, root)
    for rater in (1, 2):
        path = files / "study" / f"rater-{rater}.csv"
        rate(path, {int(row["item"]): rating for row in rows_of(path)})
    assert main(["study", "read", "--folder", str(files / "study")]) == 1
    assert "a rating is a whole number from 1 to 5" in capsys.readouterr().err


def test_study_needs_two_raters(files, root, capsys):
    exported(files, root)
    assert main(["study", "read", "--folder", str(files / "study")]) == 1
    assert "agreement needs two" in capsys.readouterr().err


def test_agreement_of_equal_raters_is_full():
    ratings = np.array([[1, 2, 3, 4, 5.0]] * 3)
    found = agreement(ratings, ratings[0])
    assert found["alpha_between_raters"]["value"] == 1 and found["r_against_llm_score"]["value"] == pytest.approx(1)
