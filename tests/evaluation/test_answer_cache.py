from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.evaluation.answer_cache import GeneratedAnswer, cached_answers, count_damaged
from refrad.evaluation.questions import EvalQuestion

QUESTIONS = [EvalQuestion(f"i{n}", "p", task, "en", f"question {n}") for n in range(5) for task in ("vqa", "locate")]
KEYS = [f"{question.task} {question.text}" for question in QUESTIONS]


LIMITS = [100] * len(KEYS)


def echo(questions, _=100):
    masks = {"locate": ("a mask", "another")}
    return [
        GeneratedAnswer(f"answer to {question.task} {question.text}", masks.get(question.task, ()))
        for question in questions
    ]


def refuse(*_):
    raise AssertionError("generated again")


def test_answers_are_in_the_order_of_the_questions(tmp_path):
    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, echo, 2) == echo(QUESTIONS)


def test_answers_are_generated_once(tmp_path):
    first = cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, echo, 3)
    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, refuse, 3) == first


def test_answers_of_an_earlier_version_are_generated_again(tmp_path):
    """They do not say whether they were cut."""
    lines = ['["vqa question 0", "yes"]', '["locate question 0", "<seg>liver</seg>", "04"]']
    (tmp_path / "a.jsonl").write_text("".join(line + "\n" for line in lines))
    answers = cached_answers(tmp_path / "a.jsonl", KEYS[:2], QUESTIONS[:2], LIMITS[:2], echo, 3)
    assert answers == echo(QUESTIONS[:2])


def model_of(lengths):
    """A model whose answer to a question has the number of tokens in `lengths`, and a list of the questions it was asked."""
    asked = []

    def answer(questions, limit):
        asked.extend(question.text for question in questions)
        return [
            GeneratedAnswer("x" * min(length, limit), (), min(length, limit), length > limit)
            for length in (lengths[question.text] for question in questions)
        ]

    return answer, asked


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.lists(st.integers(1, 12), min_size=2, max_size=6),
)
def test_cached_answers_are_those_of_a_run_without_a_cache(lengths, limits):
    """Whatever limits came before, an answer is that of its limit, and each answer is generated once."""
    questions = [EvalQuestion("i", "p", "vqa", "en", f"question {n}") for n in range(len(lengths))]
    keys = [question.text for question in questions]
    answer, asked = model_of(dict(zip(keys, lengths, strict=True)))
    with TemporaryDirectory() as folder:
        for limit in limits:
            answers = cached_answers(Path(folder) / "a.jsonl", keys, questions, [limit] * len(keys), answer, 2)
            assert answers == answer(questions, limit)
            del asked[-len(keys) :]  # of the line above
    for key, length in zip(keys, lengths, strict=True):
        cut_at = {limit for limit in limits if limit < length}
        assert asked.count(key) == len(cut_at) + (max(limits) >= length)


def test_larger_limit_generates_the_cut_answers_alone(tmp_path):
    questions = [EvalQuestion("i", "p", "vqa", "en", text) for text in ("short", "long")]
    keys = [question.text for question in questions]
    answer, asked = model_of({"short": 3, "long": 30})
    cached_answers(tmp_path / "a.jsonl", keys, questions, [10, 10], answer, 8)
    asked.clear()
    answers = cached_answers(tmp_path / "a.jsonl", keys, questions, [40, 40], answer, 8)
    assert asked == ["long"] and [generated.cut for generated in answers] == [False, False]


def test_one_input_with_two_limits_has_two_answers(tmp_path):
    question = EvalQuestion("i", "p", "vqa", "en", "long")
    answer, _ = model_of({"long": 30})
    answers = cached_answers(tmp_path / "a.jsonl", ["k", "k"], [question] * 2, [10, 40], answer, 8)
    assert [(generated.tokens, generated.cut) for generated in answers] == [(10, True), (30, False)]


def test_batches_hold_questions_of_one_task(tmp_path):
    def strict(questions, _):
        assert len({question.task for question in questions}) == 1 and len(questions) <= 2
        return echo(questions)

    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, strict, 2)


def test_killed_run_resumes(tmp_path):
    generated = []

    def dies(questions, _):
        if generated:
            raise KeyboardInterrupt
        generated.extend(questions)
        return echo(questions)

    with pytest.raises(KeyboardInterrupt):
        cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, dies, 3)

    def resumes(questions, _):
        generated.extend(questions)
        return echo(questions)

    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, resumes, 3) == echo(QUESTIONS)
    assert sorted(question.id for question in generated) == sorted(question.id for question in QUESTIONS)


def test_truncated_line_is_generated_again(tmp_path):
    path = tmp_path / "a.jsonl"
    cached_answers(path, KEYS, QUESTIONS, LIMITS, echo, 4)
    path.write_bytes(path.read_bytes()[:-9])
    generated = []
    for _ in range(2):
        answers = cached_answers(
            path, KEYS, QUESTIONS, LIMITS, lambda questions, _: generated.extend(questions) or echo(questions), 4
        )
        assert answers == echo(QUESTIONS)
    assert len(generated) == 1


@pytest.mark.parametrize("bit", range(8))
def test_flipped_bit_anywhere_gives_no_wrong_answer(tmp_path, bit):
    path = tmp_path / "a.jsonl"
    cached_answers(path, KEYS, QUESTIONS, LIMITS, echo, 4)
    whole = path.read_bytes()
    assert count_damaged(path) == (0, 0)
    for at in range(bit, len(whole), 17):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        assert cached_answers(path, KEYS, QUESTIONS, LIMITS, echo, 4) == echo(QUESTIONS)


def test_damaged_and_unchecked_lines_are_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('["k", "of an earlier release"]\n00000000 ["k", "damaged"]\n\n["k", "cut')
    assert count_damaged(path) == (2, 2)


def test_answers_of_another_model_are_not_taken(tmp_path):
    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, echo, 4)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    with pytest.raises(AssertionError, match="generated again"):
        cached_answers(tmp_path / "b.jsonl", KEYS, QUESTIONS, LIMITS, refuse, 4)


def test_cache_is_readable_by_its_owner_alone(tmp_path):
    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, LIMITS, echo, 4)
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o077 == 0
