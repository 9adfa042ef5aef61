import pytest

from refrad.evaluation.answer_cache import GeneratedAnswer, cached_answers
from refrad.evaluation.questions import EvalQuestion

ASKED = [EvalQuestion(f"i{n}", "p", task, "en", f"question {n}") for n in range(5) for task in ("vqa", "locate")]
KEYS = [f"{one.task} {one.text}" for one in ASKED]


def echo(some):
    masks = {"locate": ("a mask", "another")}
    return [GeneratedAnswer(f"answer to {one.task} {one.text}", masks.get(one.task, ())) for one in some]


def nobody(_):
    raise AssertionError("asked again")


def test_answers_come_in_the_order_of_the_questions(tmp_path):
    assert cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, echo, 2) == echo(ASKED)


def test_nothing_is_asked_twice(tmp_path):
    first = cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, echo, 3)
    assert cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, nobody, 3) == first


def test_a_batch_holds_questions_of_one_task(tmp_path):
    def strict(some):
        assert len({one.task for one in some}) == 1 and len(some) <= 2
        return echo(some)

    cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, strict, 2)


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path):
    asked = []

    def dies(some):
        if asked:
            raise KeyboardInterrupt
        asked.extend(some)
        return echo(some)

    with pytest.raises(KeyboardInterrupt):
        cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, dies, 3)

    def goes_on(some):
        asked.extend(some)
        return echo(some)

    assert cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, goes_on, 3) == echo(ASKED)
    assert sorted(one.id for one in asked) == sorted(one.id for one in ASKED)


def test_a_line_that_was_cut_off_is_asked_for_again(tmp_path):
    path = tmp_path / "a.jsonl"
    cached_answers(path, KEYS, ASKED, echo, 4)
    path.write_bytes(path.read_bytes()[:-9])
    again = []
    for _ in range(2):
        answered = cached_answers(path, KEYS, ASKED, lambda some: again.extend(some) or echo(some), 4)
        assert answered == echo(ASKED)
    assert len(again) == 1


def test_answers_belong_to_their_owner_alone(tmp_path):
    cached_answers(tmp_path / "a.jsonl", KEYS, ASKED, echo, 4)
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o077 == 0
