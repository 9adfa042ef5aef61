"""Figures of trials: they add up, and each is in the table."""

import re
from collections import Counter

import pytest

from refrad.acceptance.labelled_item import LabelVerdict
from refrad.acceptance.trial import Level, Quality
from refrad.acceptance.trial_table import SiteAmount, Trial, format_trials, summarize_trial
from refrad.llm.store import Usage

RIGHT, WRONG = LabelVerdict("right"), LabelVerdict("wrong", "side changed")
REFUSED = LabelVerdict("refused", "The word … must stay.")


def trial(model="wise-1b", price=None):
    quality = Quality(
        {
            "de": Counter({RIGHT: 50, WRONG: 4, REFUSED: 6}),
            "en": Counter({RIGHT: 58, LabelVerdict("refused", "no_json"): 2}),
        },
        completions=130,
        in_form=126,
        sent_again=Counter({"no_json": 4, "The word … must stay.": 6}),
        usage=[Usage(1000, 40, 1.0)] * 114 + [Usage(2000, 80, 5.0)] * 6,
    )
    levels = [Level(1, 6, 1.0, 1.0, 1.2, 0), Level(2, 6, 2.0, 1.0, 1.2, 0), Level(4, 12, 2.04, 2.0, 2.2, 3)]
    return Trial(model, "http://localhost/v1", quality, levels, price)


AMOUNT = SiteAmount(72_000, "sentences")


def test_outcomes_add_up_to_all_verdicts():
    summary = summarize_trial(trial(), AMOUNT)
    assert summary["outcomes"]["de"] == {"right": 50, "wrong": 4, "refused": 6, "total": 60}
    assert summary["outcomes"]["en"] == {"right": 58, "wrong": 0, "refused": 2, "total": 60}
    assert summary["wrong"] == {"side changed": 4}
    assert summary["refused"] == {"The word … must stay.": 6, "no_json": 2}


def test_tokens_latency_and_hours_follow_from_the_requests():
    summary = summarize_trial(trial(price=[1.0, 10.0]), AMOUNT)
    assert (summary["requests"], summary["prompt_tokens"], summary["answer_tokens"]) == (120, 126_000, 5_040)
    assert (summary["prompt_tokens_a_request"], summary["answer_tokens_a_request"]) == (1050, 42)
    assert (summary["latency"], summary["concurrency"], summary["throughput"]) == (1.0, 2, 2.0)
    assert summary["site_hours"] == pytest.approx(72_000 / 2.0 / 3600)
    assert summary["site_cost"] == pytest.approx(72_000 * (1050 * 1.0 + 42 * 10.0) / 1e6)


def test_trial_without_any_reply_has_no_concurrency_and_no_hours():
    summary = summarize_trial(Trial("mute", "http://localhost/v1", Quality(), []), AMOUNT)
    assert (summary["concurrency"], summary["site_hours"], summary["latency"]) == (None, None, 0.0)
    assert "unknown" in format_trials([summary])


def test_table_has_a_column_for_each_model():
    lines = format_trials([summarize_trial(trial(name), AMOUNT) for name in ("wise-1b", "folly-70b")]).splitlines()
    assert lines[0].split() == ["wise-1b", "folly-70b"]
    table = {re.split(r"\s{2,}", line.strip())[0]: re.split(r"\s{2,}", line.strip())[1:] for line in lines}
    assert table["right, de"] == ["50 of 60 (83%)"] * 2
    assert table["accepted, but wrong"] == table["side changed"] == ["4", "4"]
    assert table["refused"] == ["8", "8"] and table["sent again"] == ["10", "10"]
    assert table["schema obeyed"] == ["126 of 130"] * 2
    assert table["requests a second, 4 at once"] == ["2.04 (busy 3x)"] * 2
    assert table["concurrency to set"] == ["2", "2"] and table["hours for this site"] == ["10.0", "10.0"]


def test_reasons_of_either_model_are_rows_of_both():
    clean = Trial("clean", "http://localhost/v1", Quality({"de": Counter({RIGHT: 60})}), [])
    text = format_trials([summarize_trial(one, AMOUNT) for one in (clean, trial())])
    assert next(line.split()[-2:] for line in text.splitlines() if "side changed" in line) == ["0", "4"]


def test_many_reasons_are_shortened_and_their_number_is_named():
    quality = Quality({"de": Counter({LabelVerdict("refused", f"Reason {'x' * 90} {n}."): 1 for n in range(20)})})
    lines = format_trials([summarize_trial(Trial("m", "http://h/v1", quality, []), AMOUNT)]).splitlines()
    assert any(line.strip() == "and 12 more reasons" for line in lines)
    assert max(map(len, lines)) <= 100


def test_hours_that_cannot_be_counted_are_unknown_with_the_reason():
    text = format_trials([summarize_trial(trial(), SiteAmount(None, "sentences", "no such file or folder: x.csv"))])
    assert text.splitlines()[-1] == "the hours are unknown: no such file or folder: x.csv"
