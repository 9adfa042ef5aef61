"""JSON schemas of the answers: they are part of the key of a stored reply, so that a change asks every model anew."""

import json
from types import SimpleNamespace

import pytest

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import load_schema
from refrad.core.files import digest_bytes
from refrad.evaluation.metrics.judge import JudgeVerdict
from refrad.grounding.vqa_llm import GeneratedPairs
from refrad.language.llm_mentions import mentions_task
from refrad.language.llm_rewriting import Sentence, SentenceVerdict


def digest(answer):
    return digest_bytes(json.dumps(answer.model_json_schema(), sort_keys=True).encode())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Sentence, "8cc0d1949eb78cb91f1babf080b37a54"),
        (SentenceVerdict, "44db71a1b012de68e105b7d7931f2605"),
        (GeneratedPairs, "ac33eee4792e8530c2f196b47a482b4b"),
        (JudgeVerdict, "0c04eeb5bbe840cb01b0c8ff81a811a0"),
    ],
)
def test_answer_form_is_that_of_stored_replies(answer, expected):
    assert digest(answer) == expected


def test_mention_form_is_that_of_stored_replies(root):
    anatomy = root / "workflow" / "anatomy"
    models = SimpleNamespace(prompts=root / "workflow" / "prompts")
    task = mentions_task(models, load_lexicon(anatomy / "lexicon.yaml"), load_schema(anatomy / "classes.yaml"))
    assert digest(task.answer) == "80dd4830d5434c454299e3e9a8bd3c49"
