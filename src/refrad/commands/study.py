"""Rater study of LLMScore: export blinded pairs for human raters, read their ratings, compute agreement and correlation."""

import csv
import html
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from refrad.core.files import atomic, write_json
from refrad.core.installation import resolve_shipped
from refrad.core.tables import read_frame
from refrad.dataset.accepted_terms import accepted_pages
from refrad.evaluation.metrics.agreement import krippendorff_alpha, pearson_r
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.formats.spreadsheets import write_sheet

__all__ = ["Agreement", "RaterStatistic", "agreement", "export", "read"]

KEY = "key.csv"
COLUMNS = ("item", "question", "reference", "answer", "rating")
LOW, HIGH = 1, 5
RESAMPLES = 2000


class RaterStatistic(TypedDict):
    """A statistic over `pairs` pairs with its 95 % interval [low, high]."""

    value: float
    pairs: int
    interval: list[float]


class Agreement(TypedDict):
    """Agreement of raters, and their correlation with a judge; `without_llm_score` is the number of pairs that lack either."""

    alpha_between_raters: RaterStatistic
    r_against_llm_score: NotRequired[RaterStatistic]
    without_llm_score: NotRequired[int]


def export(
    *,
    predictions: Path,
    truth: Path,
    out: Path,
    pairs: int = 200,
    raters: int = 3,
    seed: int = 0,
    page: Path = Path("workflow/report/study.html"),
    accept_terms: list[str] | None = None,
) -> None:
    """Write PAIRS answers with their references for human raters into the folder OUT: rater-1.csv, rater-1.html, ...

    The pairs are drawn from the answers to open questions and captions. Raters see neither the model nor a score; each gets a
    separate random order. key.csv maps the items to the ids and stays with the study's organiser. Rate in the CSV, or in the
    page, which works offline and saves the same CSV. --accept-terms is as of `refrad export`, since the files hold sentences of reports.

    Raises:
        ValueError: if there are fewer than PAIRS answers, OUT holds a study already, or terms are not accepted.
    """
    if (out / KEY).exists():
        raise ValueError(f"{out}: holds a study already; its key would be lost")
    questions = read_records(truth, TruthRecord)
    answers = read_records(predictions, PredictionRecord, questions)
    candidates = [
        true
        for true in questions.values()
        if true.task != "locate" and not true.closed and (true.answer or "").strip() and true.id in answers
    ]
    if len(candidates) < pairs:
        raise ValueError(f"only {len(candidates)} answers to open questions and captions, not {pairs}: lower --pairs")
    pages = accepted_pages({true.public_set for true in candidates}, ["images", "reports"], accept_terms or [])
    drawn = random.Random(seed).sample(candidates, pairs)
    numbers = random.Random(seed + 1).sample(
        range(1, 10 * pairs), pairs
    )  # numbers that do not reveal the order of the files
    items = {
        number: (true.question or "", true.answer or "", answers[true.id].answer or "")
        for number, true in zip(numbers, drawn, strict=True)
    }
    template = resolve_shipped(page).read_text(encoding="utf-8")
    for rater in range(1, raters + 1):
        order = sorted(items)
        random.Random(seed * 1000 + rater).shuffle(order)
        rows = [(number, *items[number], "") for number in order]
        write_sheet(out / f"rater-{rater}.csv", COLUMNS, rows)
        with atomic(out / f"rater-{rater}.html") as temporary:
            temporary.write_text(_page(template, rater, rows), encoding="utf-8")
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    write_sheet(out / KEY, ("item", "id"), [(number, true.id) for number, true in zip(numbers, drawn, strict=True)])
    print(f"{pairs} pairs for {raters} raters in {out}; keep {KEY} from them")


def read(*, folder: Path, scores: Path | None = None, out: Path | None = None) -> None:
    """Read the rated CSV files (rater*.csv) in FOLDER: alpha between raters, and r of their mean against LLMScore.

    SCORES is the scores.parquet of stage evaluate, or the JSON lines of a judge with id and llm_score. Empty ratings
    are missing; all others must be whole numbers from 1 to 5. OUT is a JSON file for the numbers.

    Raises:
        ValueError: naming file and item, if a rating is not a whole number from 1 to 5, or an item is not of this study.
    """
    key = {int(row["item"]): row["id"] for row in _read_csv(folder / KEY)}
    files = sorted(path for path in folder.glob("rater*.csv"))
    rated = {path.stem: _ratings(path, key) for path in files}
    rated = {name: ratings_of for name, ratings_of in rated.items() if ratings_of}
    if len(rated) < 2:
        raise ValueError(f"{folder}: {len(rated)} rated files; agreement needs two, named rater-....csv")
    columns = {number: column for column, number in enumerate(key)}
    ratings = np.full((len(rated), len(key)), np.nan)
    for row, ratings_of in enumerate(rated.values()):
        for number, rating in ratings_of.items():
            ratings[row, columns[number]] = rating
    judged = None
    if scores is not None:
        score_of = _llm_scores(scores)
        judged = np.array([score_of.get(name, np.nan) for name in key.values()])
    result = agreement(ratings, judged)
    print(f"{len(key)} pairs, raters: " + ", ".join(f"{name} ({len(values)} rated)" for name, values in rated.items()))
    for name, value in result.items():
        if isinstance(value, Mapping):
            low, high = value["interval"]
            print(f"{name.replace('_', ' ')}: {value['value']:.3f} ({low:.3f} to {high:.3f}), {value['pairs']} pairs")
    if out is not None:
        write_json(out, result)


def agreement(ratings: NDArray[np.float64], judged: NDArray[np.float64] | None) -> Agreement:
    """Krippendorff's ordinal alpha between the raters, and Pearson's r of their mean with a judge, with 95 % intervals.

    The intervals draw pairs (percentile bootstrap, B = 2,000).

    Args:
        ratings: float [raters, pairs], NaN where a rater did not rate.
        judged: LLMScore of each pair, float [pairs], NaN where it failed; None without a judge.
    """
    rng = np.random.default_rng(0)
    draws = rng.integers(0, ratings.shape[1], (RESAMPLES, ratings.shape[1]))
    rated_twice = (~np.isnan(ratings)).sum(0) >= 2
    result: Agreement = {
        "alpha_between_raters": {
            "value": krippendorff_alpha(ratings),
            "pairs": int(rated_twice.sum()),
            "interval": _interval([krippendorff_alpha(ratings[:, draw]) for draw in draws if rated_twice[draw].any()]),
        }
    }
    if judged is not None:
        counts = (~np.isnan(ratings)).sum(0)
        mean = np.where(counts > 0, np.nansum(ratings, axis=0) / np.maximum(counts, 1), np.nan)
        paired = ~np.isnan(mean) & ~np.isnan(judged)
        result["r_against_llm_score"] = {
            "value": pearson_r(mean, judged),
            "pairs": int(paired.sum()),
            "interval": _interval([pearson_r(mean[draw], judged[draw]) for draw in draws]),
        }
        result["without_llm_score"] = int((~paired).sum())
    return result


def _interval(values: Sequence[float]) -> list[float]:
    estimates = np.asarray(values)
    estimates = estimates[~np.isnan(estimates)]
    return np.quantile(estimates, [0.025, 0.975]).tolist() if len(estimates) else [float("nan")] * 2


def _page(template: str, rater: int, rows: Sequence[Sequence[Any]]) -> str:
    """The rating page: a form with a button that saves the CSV, in one file."""
    parts = []
    for number, question, reference, answer, _ in rows:
        choices = "".join(
            f'<label><input type="radio" name="{number}" value="{score}">{score}</label>'
            for score in range(LOW, HIGH + 1)
        )
        texts = "".join(
            f"<dt>{name}</dt><dd>{html.escape(str(text)) or '(nothing)'}</dd>"
            for name, text in (("Question", question), ("Reference", reference), ("Answer", answer))
        )
        parts.append(f'<fieldset data-item="{number}"><dl>{texts}</dl><div class="choices">{choices}</div></fieldset>')
    return template.replace("{{items}}", "\n".join(parts)).replace("{{rater}}", str(rater))


def _read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV with commas or, as from German spreadsheets, semicolons."""
    if not path.is_file():
        raise ValueError(f"{path}: not found; --folder is the folder that `refrad study export` wrote")
    with path.open(encoding="utf-8-sig", newline="") as file:
        header = file.readline()
        file.seek(0)
        return list(csv.DictReader(file, delimiter=";" if header.count(";") > header.count(",") else ","))


def _ratings(path: Path, key: Mapping[int, str]) -> dict[int, float]:
    ratings = {}
    for row in _read_csv(path):
        if not (row.get("item") or "").strip().isdigit() or int(row["item"]) not in key:
            raise ValueError(f"{path}: a row whose item is not of this study")
        text = (row.get("rating") or "").strip()
        if not text:
            continue
        if text not in {str(score) for score in range(LOW, HIGH + 1)}:
            raise ValueError(f"{path}, item {row['item']}: a rating is a whole number from {LOW} to {HIGH}, or empty")
        ratings[int(row["item"])] = float(text)
    return ratings


def _llm_scores(path: Path) -> dict[str, float]:
    if path.suffix == ".parquet":
        frame = read_frame(path).filter(metric="llm_score")
        return dict(frame.select("id", "value").iter_rows())
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    return {str(row["id"]): float("nan") if row["llm_score"] is None else float(row["llm_score"]) for row in rows}
