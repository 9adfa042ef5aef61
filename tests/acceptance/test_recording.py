"""Reasons of refused answers, made countable."""

import pytest

from refrad.acceptance.recording import general_reasons, recorded
from refrad.llm import Answer, Request, Task


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (
            [("The word Zyste must stay.", ["Zyste der Leber"]), ("The word milz must stay.", ["MILZ UND LEBER"])],
            "The word … must stay.",
        ),
        (
            [
                ("The number 12 is not there.", ["12 mm, it is not the same"]),
                ("The number 8 is not there.", ["8 mm Rundherd"]),
            ],
            "The number … is not there.",
        ),
        ([("The side of 'linke Niere' is wrong.", ["linke Niere"])], "The side of … is wrong."),
        ([("kidney_left, kidney_right are missing.", ["Nieren"])], "… are missing."),
        ([("Give exactly 5 pairs.", [])], "Give exactly … pairs."),
    ],
)
def test_reasons_lose_the_words_that_they_quote(messages, expected):
    assert set(general_reasons(messages)) == {expected}


def test_no_messages_have_no_reasons():
    assert general_reasons([]) == []


class Side(Answer):
    """A side."""

    side: str


def test_recorded_task_reads_as_its_task_does():
    task = Task(
        "side", "judge", {"en": "Which side?"}, Side, 20, lambda _request, _answer: None, lambda *_: "Look again."
    )
    noted = recorded(task)
    assert (noted.name, noted.tokens, noted.schema, noted.check) == (task.name, task.tokens, task.schema, task.check)
    assert noted.advise is task.advise
    request = Request("en", {"sentence": "Left kidney."})
    assert noted.read('{"side": "left"}', request) == Side(side="left")
    (reading,) = noted.readings
    assert (reading.request, reading.fault, reading.in_form) == (request, None, True)
