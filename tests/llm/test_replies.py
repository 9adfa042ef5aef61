"""Metrics of the replies of a language model."""

from collections import Counter

from refrad.llm.replies import Account
from refrad.workflow.tally import Tally


def test_metrics_have_requests_tokens_time_and_cost():
    tally = Tally("captions")
    account = Account(Counter({"answered": 3}), Counter({"busy": 1}), 4, 2_000_000, 500_000, 12.5)
    account.write("rewrite", (0.5, 2.0), tally)
    assert tally.tables == {
        "asked: rewrite": {"answered": 3},
        "sent again: rewrite": {"busy": 1},
        "tokens": {"rewrite, prompt": 2_000_000, "rewrite, answer": 500_000},
        "cost": {"rewrite": 2.0},
    }
    assert tally.made == {"model calls for rewrite": 4}
    assert tally.seconds == {"model at work on rewrite, calls added": 12.5}
