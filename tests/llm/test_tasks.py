"""The answer in a reply: behind thoughts, prefaces and fences, one object of the form and no other."""

import pytest

from refrad.llm import Answer, Request
from refrad.llm.tasks import BadAnswer, Task


class Said(Answer):
    said: str


TASK = Task("echo", "rewrite", {"en": "Say it."}, Said, 50)
REQUEST = Request("en", {"sentence": "Liver normal."})
GOOD = '{"said": "Liver {normal}."}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"Here is the JSON you asked for:\n{GOOD}",
        f"{GOOD}\nLet me know if you need anything else {{really}}.",
        f'<think>Perhaps {{"said": "Spleen."}} would do.</think>\n{GOOD}',
        f'analysisThe form is {{"said": "x"}}.assistantfinal{GOOD}',
        f'<|channel|>analysis<|message|>{{"said": "x"}}<|channel|>final<|message|>{GOOD}',
        f'<|channel|>analysis<|message|>{{"said": "x"}}<|end|><|start|>assistant<|channel|>final json<|message|>{GOOD}<|end|>',
        f'<|channel|>analysis<|message|>{{"said": "x"}}<|channel|>final <|constrain|>json<|message|>{GOOD}',
        f"Sure:\n```json\n{GOOD}\n```\n",
        f'The data are {{"sentence": "Liver normal."}}.\n{GOOD}',
        f"{GOOD}\n{GOOD}",
        '{"said": "Li\\u200bver {nor\u00admal}."}',
    ],
)
def test_answer_is_read_behind_what_stands_before_it(text):
    assert TASK.read(text, REQUEST).said == "Liver {normal}."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "no_json"),
        ("", "no_json"),
        ("Liver normal.", "no_json"),
        ("{" * 20000, "no_json"),
        ('{"a":' * 20000, "no_json"),
        (f"<think>I would say {GOOD}", "no_json"),
        ('["said"]', "wrong_form"),
        ('{"said": 3}', "wrong_form"),
        ('{"said": "Liver.", "more": 1}', "wrong_form"),
        ('Either {"said": "Liver."} or {"said": "Spleen."}', "wrong_form"),
    ],
)
def test_reply_without_one_answer_of_the_form_is_refused(text, reason):
    with pytest.raises(BadAnswer) as refused:
        TASK.read(text, REQUEST)
    assert refused.value.reason == reason


def test_invisible_letter_of_the_request_stays():
    request = Request("en", {"sentence": "Li\u00adver normal."})
    assert TASK.read('{"said": "Li\u00adver\u200b."}', request).said == "Li\u00adver."
