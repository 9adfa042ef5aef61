"""Names of the scoring command for the cases of scores, whose runner replaces its functions of the same name by these."""

import sys
from pathlib import Path

from refrad.commands import score

# The runner imports the command under its former name, so that the time of the import is not that of the first case.
sys.modules["refrad.metrics.command"] = score


def evaluate(predictions: Path, truth: Path, out: Path, more: list[str]) -> int:
    """Exit status of the scoring command; numbers go to `out`, messages to stdout and stderr."""
    from refrad.cli import main

    arguments = ["score", str(predictions), "--truth", str(truth), "--out", str(out)]
    return main([*arguments, *([] if "--resamples" in more else ["--resamples", "100"]), *more])


def score_of(reply: str | None) -> int | None:
    """The score of 1 to 5 in a judge's reply, or None."""
    from refrad.evaluation.metrics.judge_replies import parse_score

    return parse_score(reply)
