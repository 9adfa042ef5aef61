"""Names of the scoring command for the cases of scores, whose runner replaces its functions of the same name by these."""

from pathlib import Path
from typing import Any


def evaluate(predictions: Path, truth: Path, out: Path, more: list[str]) -> int:
    """Exit status of the scoring command; numbers go to `out`, messages to stdout and stderr."""
    from refrad.cli import main

    arguments = ["evaluate", str(predictions), "--truth", str(truth), "--out", str(out)]
    return main([*arguments, *([] if "--resamples" in more else ["--resamples", "100"]), *more])


def score_of(reply: str | None) -> int | None:
    """The score of 1 to 5 in a judge's reply, or None."""
    from refrad.evaluation.metrics.judge import parse_score

    return parse_score(reply)


def work(cases: Any, results: Any) -> None:
    """Run cases as they come, in another process; the imports count before the first case."""
    import refrad.cli
    import refrad.commands.score  # noqa: F401

    results.put({})
    while (case := cases.get()) is not None:
        results.put(run(case))  # type: ignore[name-defined]  # noqa: F821  # a function of the runner
