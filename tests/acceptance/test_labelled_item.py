"""The labels themselves: enough of them, consistent with each other and with the checks of the project."""

from collections import Counter
from types import SimpleNamespace

import pytest
from tests.acceptance.answer_sheet import TASKS, labelled_items

from refrad.acceptance.labelled_item import numbers_in, sides_in
from refrad.acceptance.trial import labelled_task
from refrad.config import LLM_TASKS


def test_each_task_of_a_model_has_labels():
    assert [task.name for task in LLM_TASKS] == list(TASKS)


@pytest.mark.parametrize("role", TASKS)
def test_each_task_has_sixty_sentences_a_language(role, prompts, anatomy):
    items = labelled_items(role, prompts, anatomy)
    counts = Counter(item.request.language for item in items)
    assert set(counts) == {"de", "en"} and min(counts.values()) >= 60
    assert len({item.name for item in items}) == len(items)
    assert len({(item.request.language, str(item.request.data)) for item in items}) == len(items)


@pytest.mark.parametrize("role", TASKS)
def test_right_answers_are_right_by_their_labels(role, prompts, anatomy):
    for item in labelled_items(role, prompts, anatomy):
        verdicts = item.judge(item.right)
        assert len(verdicts) == item.units and {verdict.outcome for verdict in verdicts} == {"right"}, item.name


@pytest.mark.parametrize("role", [role for role in TASKS if role != "score"])
def test_wrong_answers_are_not_right_by_their_labels(role, prompts, anatomy):
    for item in labelled_items(role, prompts, anatomy):
        assert any(verdict.outcome != "right" for verdict in item.judge(item.wrong)), item.name


@pytest.mark.parametrize("role", TASKS)
def test_right_answers_are_accepted_by_the_check(role, prompts, anatomy):
    task, items = labelled_task(role, SimpleNamespace(prompts=prompts), anatomy)
    refused = {
        item.name: wrong
        for item in items
        if (wrong := task.check(item.request, item.right) or task.advise(item.request, item.right))
    }
    assert not refused


@pytest.mark.parametrize("role", ["rewrite", "translate", "judge", "mentions", "qa"])
def test_wrong_answers_are_refused_by_the_check(role, prompts, anatomy):
    task, items = labelled_task(role, SimpleNamespace(prompts=prompts), anatomy)
    accepted = [
        item.name
        for item in items
        if task.check(item.request, item.wrong) is None
        and not any(verdict.outcome == "refused" for verdict in item.judge(item.wrong))
    ]
    assert not accepted


def test_numbers_are_read_with_comma_or_point():
    assert numbers_in("1,2 x 3 cm, LWK 4/5") == numbers_in("L4/5, 3 x 1.2 cm") == ["1.2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("linke Niere", "de", {"left"}),
        ("Niere re.", "de", {"right"}),
        ("Nieren beidseits", "de", {"left", "right"}),
        ("both kidneys", "en", {"left", "right"}),
        ("left-sided effusion", "en", {"left"}),
        ("bright spot", "en", set()),
    ],
)
def test_sides_of_a_text(text, language, expected, anatomy):
    assert sides_in(text, language, anatomy.lexicon) == expected


def test_data_of_the_package_are_shipped(root):
    import fnmatch
    import tomllib

    patterns = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"][
        "package-data"
    ]
    package = root / "src" / "refrad"
    for path in package.rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            name = path.relative_to(package).as_posix()
            assert any(fnmatch.fnmatch(name, pattern) for pattern in patterns["refrad"]), name
