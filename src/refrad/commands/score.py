"""`refrad score PREDICTIONS.jsonl --truth TRUTH.jsonl`: scores of the output of any model."""

import gc
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from refrad.core.files import write_json
from refrad.core.garbage import without_garbage_collection
from refrad.core.installation import resolve_shipped, user_cache
from refrad.evaluation.metrics.intervals import RESAMPLES
from refrad.evaluation.metrics.judged_answer import JudgedAnswer
from refrad.evaluation.metrics.paired_scores import ComparisonRow, compare
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import METRICS, score_items
from refrad.evaluation.metrics.summary import SummaryRow, summarise
from refrad.evaluation.metrics.text_metrics import load_text_metrics

__all__ = ["ScoreResult", "main"]

FIRST_CONTACT = 4.0  # seconds in which the judge must be reached
PROJECT_STORE = Path("stores/llm")
Judge = Callable[[Sequence[JudgedAnswer]], NDArray[np.float64]]


class ScoreResult(TypedDict):
    """The JSON file of `refrad score`; `definitions` are those of the metrics in `scores`."""

    counts: Mapping[str, int]
    scores: list[SummaryRow]
    similarity: str
    compared: NotRequired[list[ComparisonRow]]
    definitions: NotRequired[dict[str, str]]


def main(
    predictions: Path,
    *,
    truth: Path,
    against: Path | None = None,
    embedder: Path | None = None,
    out: Path | None = None,
    resamples: int = RESAMPLES,
    interval: str = "percentile",
    judge_endpoint: str | None = None,
    judge_model: str = "",
    prompts: Path = Path("workflow/prompts"),
    store: Path | None = None,
    text_metrics: list[str] | None = None,
    bertscore_model: Path | None = None,
    bertscore_layer: int | None = None,
) -> None:
    """Score PREDICTIONS (JSON lines) against TRUTH: means with 95 % intervals, for each task, language, modality, class, ...

    AGAINST are the predictions of another model on the same truth: the difference is tested in pairs. EMBEDDER is the folder of
    a sentence-transformers model, for G-IoU; without it names must be equal. OUT is a JSON file for all numbers. INTERVAL is
    percentile or bca. JUDGE_ENDPOINT and JUDGE_MODEL name an OpenAI-compatible server and its model, for LLMScore: captions and open
    answers are sent there, and its replies are kept in STORE: by default stores/llm in the folder of a project, elsewhere
    refrad/llm in the user's cache ($XDG_CACHE_HOME or ~/.cache). TEXT_METRICS are further metrics of captions
    and open answers, any of bleu4, rougel and bertscore; BERTSCORE_MODEL is the folder of a transformers encoder for bertscore, and
    BERTSCORE_LAYER the hidden layer of it, by default the last. The format of both files: docs/evaluation.md.

    Raises:
        ValueError: if a file is invalid; the message names the line.
    """
    if interval not in ("percentile", "bca"):
        raise ValueError("--interval must be percentile or bca")
    if resamples < 1:
        raise ValueError("--resamples must be at least 1")
    if out is not None and out.is_dir():
        raise ValueError(f"--out {out} is a folder: name a file, such as {out / 'result.json'}")
    further = load_text_metrics(text_metrics or [], bertscore_model, bertscore_layer)
    similarity = None
    if embedder is not None:
        from refrad.evaluation.metrics.similarity import Embedder

        similarity = Embedder(embedder)
    _check_judge(judge_endpoint, judge_model)
    with without_garbage_collection():
        questions = read_records(truth, TruthRecord)
        answers = [read_records(path, PredictionRecord, questions) for path in (predictions, against) if path]
        gc.freeze()  # the rows stay until all is scored: a search for cycles need not visit them
    with _open_judge(judge_endpoint, judge_model, prompts, store) as judge:
        scored = [score_items(questions, given, similarity, None, judge, further) for given in answers]
    (items, counts), (other_items, _) = scored[0], scored[-1]
    del questions, answers  # they take more memory than their scores
    rows = summarise(items, resamples, interval)  # type: ignore[arg-type]
    result: ScoreResult = {"counts": counts, "scores": rows, "similarity": str(embedder or "equal names")}
    _print_scores(rows, counts)
    if against is not None:
        result["compared"] = compare(items, other_items, resamples)
        _print_differences(result["compared"])
    if out is not None:
        used = {row["metric"] for row in rows}
        result["definitions"] = {name: text for name, text in METRICS.items() if name in used}
        write_json(out, result)


def _check_judge(endpoint: str | None, model: str) -> None:
    if endpoint is None:
        return
    if not endpoint.startswith(("http://", "https://")):
        raise ValueError("--judge-endpoint must be an address such as http://gpu07:8000/v1")
    if not model:
        raise ValueError("--judge-endpoint needs --judge-model, the name of the model on the server")


@contextmanager
def _open_judge(endpoint: str | None, model: str, prompts: Path, store: Path | None) -> Iterator[Judge | None]:
    """LLMScore of answers by a server, None without one; of a server that is lost after its first answers, their scores.

    A project, the folder of a Snakefile, keeps the replies with those of its stages.
    """
    if endpoint is None:
        yield None
        return
    # Imported with a judge alone: half of the time in which the command starts, and 60 MB.
    from refrad.evaluation.metrics.judge import llm_scores, load_scale
    from refrad.llm import ModelError, open_models

    prompts = resolve_shipped(prompts)
    folder = store or (PROJECT_STORE if Path("Snakefile").is_file() else user_cache("llm"))
    role = {"endpoint": endpoint, "model": model}
    options = {"roles": {"score": role}, "store": str(folder), "log": "judge", "prompts": str(prompts)}
    with open_models(json.dumps(options)) as models:
        scale = load_scale(prompts / "score.yaml")
        models.expect_server("score", FIRST_CONTACT)

        def judge(answers: Sequence[JudgedAnswer]) -> NDArray[np.float64]:
            try:
                return llm_scores(answers, models, scale, keep_partial=True)
            except ModelError as error:
                raise ValueError(f"--judge-endpoint, --judge-model: {error}") from None

        yield judge


def _print_scores(rows: Sequence[SummaryRow], counts: Mapping[str, int]) -> None:
    print(", ".join(f"{count} {name}" for name, count in counts.items() if count))
    failed = sum(row["failed"] for row in rows if row["by"] is None)
    if failed:
        print(f"the judge failed on {failed} answers, which have no llm_score")
    totals = {_key(row): row["items"] for row in rows if row["by"] is None}
    for by in dict.fromkeys(row["by"] for row in rows):
        part = [row for row in rows if row["by"] == by]
        if by is not None and all(row["items"] == totals[_key(row)] for row in part):
            continue  # they have the same items as the rows above
        print(f"\n{'all' if by is None else 'by ' + by}")
        labels = [", ".join(filter(None, (row["dataset"], row["value"]))) for row in part]
        width = max(map(len, labels))
        for row, label in zip(part, labels, strict=True):
            print(
                f"  {row['task']:<8}{label:<{width}}{'  ' * bool(width)}{row['metric']:<19}{_interval(row)}  {row['items']} items,"
                f" {row['groups']} groups" + (f", {row['failed']} failed" if row["failed"] else "")
            )


def _key(row: SummaryRow) -> tuple[str | None, str, str]:
    return row["dataset"], row["task"], row["metric"]


def _print_differences(rows: Sequence[ComparisonRow]) -> None:
    print("\ndifference to the other model")
    width = max((len(row["dataset"] or "") for row in rows), default=0)
    for row in rows:
        print(
            f"  {row['task']:<8}{row['dataset'] or '':<{width}}{'  ' * bool(width)}{row['metric']:<19}{row['difference']:+.3f}"
            f" ({row['low']:+.3f} to {row['high']:+.3f}), p = {row['p']:.2g}  {row['items']} items, {row['groups']} groups"
        )


def _interval(row: SummaryRow) -> str:
    if row["mean"] is None:
        return "no items"
    if row["low"] is None:
        return f"{row['mean']:.3f} (one group: no interval)"
    return f"{row['mean']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
