import pytest

from refrad.evaluation.answer_cache import GeneratedAnswer, cached_answers, count_damaged
from refrad.evaluation.questions import EvalQuestion

QUESTIONS = [EvalQuestion(f"i{n}", "p", task, "en", f"question {n}") for n in range(5) for task in ("vqa", "locate")]
KEYS = [f"{question.task} {question.text}" for question in QUESTIONS]


def echo(questions):
    masks = {"locate": ("a mask", "another")}
    return [
        GeneratedAnswer(f"answer to {question.task} {question.text}", masks.get(question.task, ()))
        for question in questions
    ]


def refuse(_):
    raise AssertionError("generated again")


def test_answers_are_in_the_order_of_the_questions(tmp_path):
    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, echo, 2) == echo(QUESTIONS)


def test_answers_are_generated_once(tmp_path):
    first = cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, echo, 3)
    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, refuse, 3) == first


def test_cache_of_an_earlier_version_is_read(tmp_path):
    lines = ['["vqa question 0", "yes"]', '["locate question 0", "<seg>liver</seg>", "04"]']
    (tmp_path / "a.jsonl").write_text("".join(line + "\n" for line in lines))
    answers = cached_answers(tmp_path / "a.jsonl", KEYS[:2], QUESTIONS[:2], refuse, 3)
    assert answers == [GeneratedAnswer("yes"), GeneratedAnswer("<seg>liver</seg>", ("04",))]


def test_batches_hold_questions_of_one_task(tmp_path):
    def strict(questions):
        assert len({question.task for question in questions}) == 1 and len(questions) <= 2
        return echo(questions)

    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, strict, 2)


def test_killed_run_resumes(tmp_path):
    generated = []

    def dies(questions):
        if generated:
            raise KeyboardInterrupt
        generated.extend(questions)
        return echo(questions)

    with pytest.raises(KeyboardInterrupt):
        cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, dies, 3)

    def resumes(questions):
        generated.extend(questions)
        return echo(questions)

    assert cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, resumes, 3) == echo(QUESTIONS)
    assert sorted(question.id for question in generated) == sorted(question.id for question in QUESTIONS)


def test_truncated_line_is_generated_again(tmp_path):
    path = tmp_path / "a.jsonl"
    cached_answers(path, KEYS, QUESTIONS, echo, 4)
    path.write_bytes(path.read_bytes()[:-9])
    generated = []
    for _ in range(2):
        answers = cached_answers(
            path, KEYS, QUESTIONS, lambda questions: generated.extend(questions) or echo(questions), 4
        )
        assert answers == echo(QUESTIONS)
    assert len(generated) == 1


@pytest.mark.parametrize("bit", range(8))
def test_flipped_bit_anywhere_gives_no_wrong_answer(tmp_path, bit):
    path = tmp_path / "a.jsonl"
    cached_answers(path, KEYS, QUESTIONS, echo, 4)
    whole = path.read_bytes()
    assert count_damaged(path) == (0, 0)
    for at in range(bit, len(whole), 17):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << bit
        path.write_bytes(damaged)
        assert cached_answers(path, KEYS, QUESTIONS, echo, 4) == echo(QUESTIONS)


def test_damaged_and_unchecked_lines_are_counted(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('["k", "of an earlier release"]\n00000000 ["k", "damaged"]\n\n["k", "cut')
    assert count_damaged(path) == (2, 2)


def test_answers_of_another_model_are_not_taken(tmp_path):
    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, echo, 4)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    with pytest.raises(AssertionError, match="generated again"):
        cached_answers(tmp_path / "b.jsonl", KEYS, QUESTIONS, refuse, 4)


def test_cache_is_readable_by_its_owner_alone(tmp_path):
    cached_answers(tmp_path / "a.jsonl", KEYS, QUESTIONS, echo, 4)
    assert (tmp_path / "a.jsonl").stat().st_mode & 0o077 == 0
