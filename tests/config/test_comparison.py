"""Options of evaluate.others and llm.vision."""

import copy
import json
from types import SimpleNamespace

import pytest
import yaml

from refrad.config import ConfigError, check_config
from refrad.workflow.site import Site

MODEL = {"endpoint": "http://127.0.0.1:8000/v1", "model": "medgemma-4b-it"}
ENTRY = {"name": "MedGemma", "model": "medgemma"}


@pytest.fixture
def config(root, monkeypatch):
    monkeypatch.chdir(root)
    config = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))
    config["llm"]["vision"] = {"medgemma": dict(MODEL)}
    config["evaluate"]["others"] = [dict(ENTRY)]
    return config


def evaluate_parts(config):
    """The fingerprint of stage evaluate, and the roles that it gets."""
    site = Site(config)
    line = site.llm("evaluate")({}, SimpleNamespace(get=lambda *_: ""))
    roles = json.loads(line.split(" --llm ")[1].strip("'"))["roles"] if line else {}
    return json.loads(site.fingerprint("evaluate")), roles


def test_stage_gets_the_model_and_a_change_of_it_reruns(config):
    fingerprint, roles = evaluate_parts(config)
    assert roles["vision.medgemma"]["endpoint"] == MODEL["endpoint"]
    assert fingerprint["models"]["vision.medgemma"]["model"] == "medgemma-4b-it"
    assert "prompts of MedGemma" in fingerprint["files"]
    moved = copy.deepcopy(config)
    moved["llm"]["vision"]["medgemma"]["endpoint"] = "http://127.0.0.1:9000/v1"
    assert evaluate_parts(moved)[0] == fingerprint
    hotter = copy.deepcopy(config)
    hotter["llm"]["vision"]["medgemma"]["temperature"] = 0.5
    assert evaluate_parts(hotter)[0] != fingerprint


def test_unused_model_is_not_handed_to_the_stage(config):
    config["evaluate"]["others"] = []
    fingerprint, roles = evaluate_parts(config)
    assert "models" not in fingerprint and roles == {}


WRONG = {
    "neither": ({"model": None}, "needs either model, a name in llm.vision, or folder"),
    "both": ({"folder": "x"}, "needs either model, a name in llm.vision, or folder"),
    "unknown model": ({"model": "gemma"}, "evaluate.others.0.model: needs a model of this name in llm.vision"),
    "no folder": ({"model": None, "folder": "/none"}, "evaluate.others.0.folder: no such file or folder"),
    "no prompts": ({"prompts": "none.yaml"}, "evaluate.others.0.prompts: no such file or folder"),
    "boxes missing": ({"tasks": ["locate"]}, "tasks detect and locate need boxes"),
    "unknown unit": ({"boxes": {"unit": "mm", "order": "xyxy"}}, "evaluate.others.0.boxes.unit"),
    "tokens with widths": ({"boxes": {"unit": "loc", "order": "xywh"}}, "unit loc needs order yxyx"),
    "path as name": ({"name": "../x"}, "evaluate.others.0.name"),
    "unknown key": ({"endpoint": "http://x"}, "evaluate.others.0.endpoint: unknown key"),
}


@pytest.mark.parametrize(("change", "message"), WRONG.values(), ids=WRONG)
def test_wrong_entry_is_one_line(config, change, message):
    config["evaluate"]["others"][0] |= change
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_two_models_of_one_name_are_refused(config):
    config["evaluate"]["others"].append(ENTRY | {"name": "medgemma"})
    with pytest.raises(ConfigError, match="two entries have the same name"):
        check_config(config)


def test_key_in_the_config_is_refused_without_being_shown(config):
    config["llm"]["vision"]["medgemma"]["key"] = "sk-abcdefghijklmnop"
    with pytest.raises(ConfigError) as error:
        check_config(config)
    assert "llm.vision.medgemma.key" in str(error.value) and "abcdef" not in str(error.value)
