"""A model in a local folder: a tiny PaliGemma of random weights."""

import io
import json
import shutil

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import PaliGemmaProcessor

from refrad.evaluation import local_model
from refrad.evaluation.local_model import ask_folder
from refrad.llm import ModelError, Request, TextAnswer, TextTask, open_models
from refrad.model.radgrounder import save_model, tiny_model

TASK = TextTask("vision vqa", "vision.x", {"en": "answer en {{question}}", "de": "{{question}}"}, TextAnswer, tokens=6)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(processor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny-paligemma"
    save_model(tiny_model(processor, seed=0), processor, folder)
    return folder


@pytest.fixture
def store(tmp_path):
    """The store of replies as a stage gets it."""
    places = {"prompts": "", "store": str(tmp_path / "llm"), "log": "", "roles": {}}
    with open_models(json.dumps(places)) as models:
        yield models.store


def request(number, question="Liver"):
    pixels = np.full((64, 64, 3), 40 * number, np.uint8)
    pixels[: 8 * number] = 255 - 40 * number
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return Request("en", {"question": question}, f"p{number}", (buffer.getvalue(),))


def test_answers_follow_the_images_whatever_the_batch(folder, store, tmp_path):
    requests = [request(number) for number in range(5)]
    answers = list(ask_folder(folder, store, CPU, 5)(TASK, requests))
    assert all(isinstance(answer, TextAnswer) for answer in answers) and len({answer.text for answer in answers}) > 1
    with open_models(json.dumps({"store": str(tmp_path / "fresh")})) as fresh:
        backwards = list(ask_folder(folder, fresh.store, CPU, 2)(TASK, requests[::-1]))
    assert backwards[::-1] == answers


def test_second_run_loads_no_model(folder, store, monkeypatch):
    requests = [request(number) for number in range(3)]
    answers = list(ask_folder(folder, store, CPU, 2)(TASK, requests))
    monkeypatch.setattr(local_model, "AutoModelForImageTextToText", None)
    assert list(ask_folder(folder, store, CPU, 2)(TASK, requests)) == answers
    with pytest.raises(AttributeError):  # another question is no stored one
        list(ask_folder(folder, store, CPU, 2)(TASK, [request(0, "spleen")]))


def test_chat_template_of_the_tokenizer_is_used_if_it_has_images(folder, store, tmp_path, monkeypatch):
    prompts, call = [], PaliGemmaProcessor.__call__
    monkeypatch.setattr(
        PaliGemmaProcessor, "__call__", lambda self, **inputs: prompts.extend(inputs["text"]) or call(self, **inputs)
    )
    parts = "{{ 'Image: <image>' if part['type'] == 'image' else part['text'] }}"
    templates = "{% for part in messages[0]['content'] %}" + parts + "{% endfor %}", "{{ messages[0]['content'] }}"
    for number, template in enumerate(templates):
        shutil.copytree(folder, other := tmp_path / str(number))
        settings = other / "tokenizer_config.json"
        settings.write_text(json.dumps(json.loads(settings.read_text()) | {"chat_template": template}))
        list(ask_folder(other, store, CPU, 1)(TASK, [request(1)]))
    assert prompts == ["Image: <image>answer en Liver", "<image>answer en Liver"]


def test_cut_answer_is_noted(folder, store):
    (answer,) = ask_folder(folder, store, CPU, 1)(TASK, [request(1)])
    assert answer.cut_off  # random weights seldom end within six tokens


def test_folder_without_a_model_is_one_line(folder, store, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    for path in broken.glob("*.safetensors"):
        path.unlink()
    for path in (broken, tmp_path):
        with pytest.raises(ModelError, match="no model that transformers loads") as error:
            list(ask_folder(path, store, CPU, 1)(TASK, [request(1)]))
        assert "\n" not in str(error.value)
