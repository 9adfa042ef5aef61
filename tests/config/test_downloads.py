"""What a run needs from the internet: found whole before it starts, or named in one line."""

import json

import pytest
import yaml

from refrad.config import ConfigError, check_config
from refrad.config.downloads import VOCABULARY


@pytest.fixture
def config(root, monkeypatch):
    """The function that makes a config: a managed model for captions.rewrite, and changes by section."""
    monkeypatch.chdir(root)
    monkeypatch.delenv("TIKTOKEN_ENCODINGS_BASE", raising=False)
    values = yaml.safe_load((root / "config.yaml").read_text(encoding="utf-8"))

    def make(model=None, server=None, **sections):
        llm = {"endpoint": "managed", "model": str(model), "server": server or {}}
        changed = {name: values[name] | section for name, section in sections.items()}
        if model is not None:
            changed |= {"llm": values["llm"] | {"rewrite": llm}, "captions": values["captions"] | {"rewrite": "llm"}}
        return values | changed

    return make


@pytest.fixture
def folder(tmp_path):
    """A whole model in two files of weights."""
    folder = tmp_path / "wise-1b"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), encoding="utf-8")
    parts = {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors", "c.weight": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": parts}), encoding="utf-8")
    for name in parts.values():
        (folder / name).write_bytes(bytes(2000))
    return folder


def lines_of(config):
    with pytest.raises(ConfigError) as caught:
        check_config(config)
    return str(caught.value).splitlines()


def test_whole_model_is_accepted(config, folder):
    assert check_config(config(folder)).llm.rewrite.model == str(folder)


def test_file_of_weights_is_left_to_the_server(config, tmp_path):
    (tmp_path / "wise.gguf").touch()
    check_config(config(tmp_path / "wise.gguf"))


def test_half_a_download_is_counted(config, folder):
    (folder / "model-2.safetensors").unlink()
    (line,) = lines_of(config(folder))
    assert line.startswith(f"config: llm.rewrite.model: {folder}: 1 of 2 files of weights are missing")


def test_pointer_of_git_lfs_is_no_file_of_weights(config, folder):
    (folder / "model-1.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    (line,) = lines_of(config(folder))
    assert "1 of 2 files of weights are missing" in line


def test_folder_without_a_model_is_named(config, tmp_path):
    (line,) = lines_of(config(tmp_path))
    assert line.startswith(f"config: llm.rewrite.model: {tmp_path}: no config.json there")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"weight_map": 3}', "\x00"])
def test_damaged_list_of_weights_is_left_to_the_server(config, folder, content):
    (folder / "model.safetensors.index.json").write_text(content, encoding="utf-8")
    check_config(config(folder))


def test_models_of_tasks_that_are_not_chosen_may_be_missing(config):
    values = config("/none/wise")
    check_config(values | {"captions": config()["captions"]})


def test_models_of_a_running_server_are_no_folders(config):
    values = config("wise")
    values["llm"]["rewrite"] = {"endpoint": "http://gpu07:8000/v1", "model": "wise"}
    check_config(values)


@pytest.mark.parametrize(
    ("sections", "key"),
    [
        ({"train": {"model": "/none/paligemma"}}, "train.model"),
        ({"adapt": {"model": "/none/siglip", "steps": 1}}, "adapt.model"),
        ({"evaluate": {"embedder": "/none/embedder"}}, "evaluate.embedder"),
    ],
)
def test_models_of_training_and_evaluation_are_wanted_before_the_run(config, sections, key):
    (line,) = lines_of(config(**sections))
    assert line.startswith(f"config: {key}: no such folder: /none/")


def test_questions_to_train_on_are_wanted_before_the_run(config):
    public = {"files": ["/none/slake.parquet"], "share": 0.2}
    (line,) = lines_of(config(train={"public": public}))
    assert line.startswith("config: train.public.files.0: no such file or folder: /none/slake.parquet: refrad public")
    check_config(config(train={"public": public, "model": None}))


def test_adaptation_that_is_off_needs_no_model(config):
    check_config(config(adapt={"model": "/none/siglip", "steps": 0}))


def test_python_of_a_server_is_wanted_as_a_path_only(config, folder):
    (line,) = lines_of(config(folder, {"python": "/none/bin/python"}))
    assert line.startswith("config: llm.rewrite.server.python: no such file: /none/bin/python")
    check_config(config(folder, {"python": "python"}))


def test_gpt_oss_needs_its_vocabulary(config, folder, tmp_path, monkeypatch):
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt_oss"}), encoding="utf-8")
    (line,) = lines_of(config(folder))
    assert line.startswith("config: llm.rewrite.server.environment: gpt-oss needs TIKTOKEN_ENCODINGS_BASE")
    here = {"environment": {"TIKTOKEN_ENCODINGS_BASE": str(tmp_path)}}
    assert lines_of(config(folder, here)) == [line]  # the folder has no vocabulary
    (tmp_path / VOCABULARY).touch()
    check_config(config(folder, here))
    monkeypatch.setenv("TIKTOKEN_ENCODINGS_BASE", str(tmp_path))  # a server inherits it
    check_config(config(folder))


def test_plan_may_come_before_the_downloads(config):
    wanted = {"train": {"model": "/none/paligemma"}, "masks": {"weights": "/none/totalsegmentator"}}
    assert len(lines_of(config("/none/wise", **wanted))) == 3
    check_config(config("/none/wise", **wanted), downloads=False)
