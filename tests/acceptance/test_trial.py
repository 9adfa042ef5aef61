"""Labelled requests sent over a real connection: outcomes are counted exactly, whatever the server does."""

import itertools
import json
from collections import Counter

import pytest
from tests.acceptance.answer_sheet import AnswerSheet, right_text
from tests.llm.talking import Cut, TalkingServer, completion

from refrad.acceptance.labelled_item import LabelVerdict
from refrad.acceptance.trial import Level, best_level, judge_answers, measure_levels
from refrad.config import ModelOptions
from refrad.llm import ModelError, Models
from refrad.llm.store import UnkeptReplies


@pytest.fixture
def ask(tmp_path, prompts):
    """The function that judges the answers of a behaviour, and the function that measures its levels."""
    opened = []

    def connect(behave, role, latency=0.0):
        server, replies = TalkingServer(behave, latency), UnkeptReplies()
        options = ModelOptions.model_validate({"endpoint": server.endpoint, "model": "made-up", "patience": 1.0})
        models = Models({role: options}, tmp_path / "store", tmp_path / "log", prompts, replies=replies)
        opened.append((server, models))
        return server, models, replies

    yield connect
    for server, models in opened:
        models.close()
        server.stop()
    assert not (tmp_path / "store").exists()


@pytest.fixture
def sheet(prompts, anatomy):
    return lambda role, change=None: AnswerSheet(role, prompts, anatomy, change)


def judged(ask, sheet, behave=None):
    _, models, replies = ask(behave or sheet, sheet.task.role)
    return judge_answers(sheet.task, sheet.items, models, replies, 64)


def outcomes(quality):
    counts = Counter()
    for verdicts in quality.verdicts.values():
        for verdict, number in verdicts.items():
            counts[verdict.outcome] += number
    return counts


@pytest.mark.parametrize("role", ["judge", "score", "qa"])
def test_model_that_knows_the_labels_is_right(ask, sheet, role):
    sheet = sheet(role)
    quality = judged(ask, sheet)
    assert outcomes(quality) == {"right": sum(item.units for item in sheet.items)}
    assert quality.completions == quality.in_form == len(quality.usage) == len(sheet.items)
    assert not quality.sent_again
    assert {(used.prompt_tokens, used.answer_tokens) for used in quality.usage} == {(10, 5)}


@pytest.mark.parametrize("role", ["rewrite", "translate", "mentions"])
def test_only_what_the_check_refuses_is_not_right(ask, sheet, role):
    sheet = sheet(role)
    refused = sum(sheet.task.check(item.request, item.right) is not None for item in sheet.items)
    counts = outcomes(judged(ask, sheet))
    assert counts["right"] == len(sheet.items) - refused and counts["refused"] == refused and not counts["wrong"]


def test_judge_that_overlooks_everything_is_wrong_where_errors_are(ask, sheet):
    sheet = sheet("judge", lambda _: json.dumps({"errors": [], "score": 5}))
    wrong = sum(bool(item.right.errors) for item in sheet.items)
    quality = judged(ask, sheet)
    assert outcomes(quality) == {"right": len(sheet.items) - wrong, "wrong": wrong}
    assert sum(verdicts[LabelVerdict("wrong", "error overlooked")] for verdicts in quality.verdicts.values()) == wrong


def test_lies_of_each_kind_are_counted_by_their_reason(ask, sheet):
    """Of five answers one is right, one off the label, one against the check, one not of the form, one no JSON."""
    lies = {
        1: '{"errors": [], "score": 5}',
        2: '{"errors": [], "score": 3}',
        3: '{"errors": ["spelling"], "score": 3}',
        4: "I am sorry, I cannot help with that.",
    }

    def lie(item):
        kind = sheet.items.index(item) % 5
        return lies.get(kind) or right_text(item)

    sheet = sheet("judge", lie)
    kinds = [[item for number, item in enumerate(sheet.items) if number % 5 == kind] for kind in range(5)]
    overlooked = sum(bool(item.right.errors) for item in kinds[1])
    quality = judged(ask, sheet)
    reasons = sum(quality.verdicts.values(), Counter())
    assert reasons.pop(LabelVerdict("right")) == len(kinds[0]) + len(kinds[1]) - overlooked
    assert reasons.pop(LabelVerdict("wrong", "error overlooked")) == overlooked
    assert reasons.pop(LabelVerdict("refused", "wrong_form")) == len(kinds[3])
    assert reasons.pop(LabelVerdict("refused", "no_json")) == len(kinds[4])
    ((verdict, number),) = reasons.items()
    assert (verdict.outcome, number) == ("refused", len(kinds[2])) and verdict.reason.startswith("A score of")
    assert quality.sent_again.total() == sum(map(len, kinds[2:]))
    assert quality.completions == len(sheet.items) + sum(map(len, kinds[2:]))
    assert quality.in_form == quality.completions - 2 * len(kinds[3]) - 2 * len(kinds[4])


def test_answer_that_is_right_the_second_time_counts_as_right(ask, sheet):
    sheet = sheet("judge")
    quality = judged(ask, sheet, lambda body: completion("no") if len(body["messages"]) == 2 else sheet(body))
    assert outcomes(quality) == {"right": len(sheet.items)}
    assert quality.sent_again == {"no_json": len(sheet.items)}
    assert (quality.completions, quality.in_form) == (2 * len(sheet.items), len(sheet.items))


def test_pairs_that_a_check_of_the_stage_refuses_are_sent_back(ask, sheet):
    lies, labels = sheet("qa", lambda item: item.wrong.model_dump_json()), sheet("qa")
    quality = judged(ask, lies, lambda body: lies(body) if len(body["messages"]) == 2 else labels(body))
    assert outcomes(quality) == {"right": sum(item.units for item in lies.items)}
    assert quality.sent_again == {"advised": len(lies.items)}


def test_text_around_an_answer_is_not_the_schema(ask, sheet):
    sheet = sheet("judge", lambda item: f"```json\n{right_text(item)}\n```")
    quality = judged(ask, sheet)
    assert outcomes(quality) == {"right": len(sheet.items)} and quality.in_form == 0


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((200, {}, b"<html>Gateway</html>"), "half_reply"),
        ((200, {}, b""), "half_reply"),
        ((200, {}, b'{"choices": []}'), "half_reply"),
        ((500, {}, b"Internal Server Error"), "server_error"),
        (completion(None), "no_json"),
        (completion('{"errors": [', "length"), "cut_off"),
        (completion("[]"), "wrong_form"),
    ],
)
def test_hostile_replies_are_counted_and_no_item_is_lost(ask, sheet, monkeypatch, reply, reason):
    monkeypatch.setattr("refrad.llm.connection.FIRST_WAIT", 0.001)
    sheet = sheet("judge")
    hostile = [item for number, item in enumerate(sheet.items) if number % 4 == 0]
    quality = judged(ask, sheet, lambda body: reply if sheet.item_of(body) in hostile else sheet(body))
    assert sum(quality.verdicts.values(), Counter()) == {
        LabelVerdict("right"): len(sheet.items) - len(hostile),
        LabelVerdict("refused", reason): len(hostile),
    }


def test_connection_that_breaks_and_busy_server_lose_no_item(ask, sheet, monkeypatch):
    monkeypatch.setattr("refrad.llm.connection.FIRST_WAIT", 0.001)
    sheet, turn = sheet("judge"), itertools.count()

    def moody(body):
        match next(turn) % 4:
            case 0:
                raise Cut
            case 1:
                return 429, {"Retry-After": "0"}, b"busy"
        return sheet(body)

    quality = judged(ask, sheet, moody)
    assert outcomes(quality) == {"right": len(sheet.items)}
    assert quality.sent_again.keys() == {"busy", "unreachable"}


def test_server_that_rejects_every_request_is_an_error(ask, sheet):
    sheet = sheet("judge")
    with pytest.raises(ModelError, match=r"made-up: http.* rejects each request"):
        judged(ask, sheet, lambda _: (400, {}, b"unknown model"))


def test_levels_double_and_each_request_differs(ask, sheet):
    sheet = sheet("judge")
    server, models, replies = ask(sheet, "judge", latency=0.001)
    levels = measure_levels(sheet.task, sheet.items, models, replies, 16)
    assert [level.concurrency for level in levels] == [1, 2, 4, 8, 16][: len(levels)]
    assert all(level.throughput > 0 and level.latency_95 >= level.latency > 0 for level in levels)
    assert sum(level.requests for level in levels) == len(server.bodies) == len(replies.used)
    assert max(server.asked.values()) == 1


def test_levels_are_never_above_the_most(ask, sheet):
    sheet = sheet("judge")
    server, models, replies = ask(sheet, "judge")
    assert measure_levels(sheet.task, sheet.items, models, replies, 1)[0].concurrency == 1
    assert server.most_under_way == 1


def test_levels_end_where_the_server_is_too_busy(ask, sheet):
    sheet = sheet("judge")
    turn = itertools.count()
    busy = lambda body: (429, {"Retry-After": "0"}, b"") if next(turn) == 3 else sheet(body)  # noqa: E731
    _, models, replies = ask(busy, "judge")
    levels = measure_levels(sheet.task, sheet.items, models, replies, 64)
    assert [(level.concurrency, level.busy) for level in levels] == [(1, 1)]


def test_server_that_dies_ends_the_levels_without_an_error(ask, sheet):
    sheet = sheet("judge")
    turn = itertools.count()
    _, models, replies = ask(lambda body: (404, {}, b"") if next(turn) > 8 else sheet(body), "judge")
    levels = measure_levels(sheet.task, sheet.items, models, replies, 64)
    assert [level.concurrency for level in levels] == [1]


def level(concurrency, throughput):
    return Level(concurrency, 10, throughput, 1.0, 2.0, 0)


@pytest.mark.parametrize(
    ("throughputs", "concurrency"),
    [([1, 2, 4, 4.1], 4), ([5], 1), ([1, 1.9, 3.5, 6.0], 8), ([3, 2.9], 1), ([1, 3, 2], 2)],
)
def test_concurrency_to_set_is_the_smallest_near_the_best(throughputs, concurrency):
    levels = [level(2**number, throughput) for number, throughput in enumerate(throughputs)]
    assert best_level(levels).concurrency == concurrency
    assert best_level([]) is None and best_level([level(1, 0.0)]) is None
