"""A SigLIP as it is published: its folder, its tokenizer, and what is no such folder."""

import json

import pytest
import torch
from tests.factories.siglip import published_siglip

from refrad.model.siglip import load_siglip, save_siglip

TEXTS = ["The liver is enlarged.", "No focal lesion of the spleen.", "Both kidneys are normal, without a cyst."]


@pytest.fixture
def folder(tmp_path):
    return published_siglip(tmp_path, TEXTS, 64)


def ids(tokenizer, text):
    return tokenizer(text, padding="max_length", truncation=True)["input_ids"]


def test_published_folder_is_read_with_its_sentencepiece_tokenizer(folder, tmp_path_factory):
    tokenizer, model = load_siglip(folder)
    assert type(tokenizer).__name__ == "SiglipTokenizer" and model.dtype == torch.float32
    encoded = ids(tokenizer, TEXTS[0])
    assert len(encoded) == 64
    assert encoded == ids(tokenizer, "the LIVER is enlarged")  # SigLIP has no capitals and no punctuation
    assert encoded != ids(tokenizer, TEXTS[1])
    assert encoded[-1] == tokenizer.eos_token_id  # pads with it, and the last position represents the text

    again = tmp_path_factory.mktemp("again")
    save_siglip(tokenizer, model, again)
    saved_tokenizer, saved = load_siglip(again)
    assert ids(saved_tokenizer, TEXTS[2]) == ids(tokenizer, TEXTS[2])
    assert all(value.equal(saved.state_dict()[name]) for name, value in model.state_dict().items())


def test_texts_are_as_long_as_the_text_tower_where_the_tokenizer_names_no_length(folder):
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    del settings["model_max_length"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert len(ids(load_siglip(folder)[0], TEXTS[0])) == 64


@pytest.mark.parametrize("damage", ["absent", "a pointer of git", "no such class"])
def test_tokenizer_that_cannot_be_read_is_one_line_with_what_to_do(folder, damage):
    if damage == "absent":
        (folder / "spiece.model").unlink()
    elif damage == "a pointer of git":
        (folder / "spiece.model").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    else:
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "')
    with pytest.raises(
        ValueError, match=r"no tokenizer can be read.*spiece\.model.*sentencepiece and protobuf$"
    ) as error:
        load_siglip(folder)
    assert "\n" not in str(error.value)


def test_tokenizer_of_a_larger_text_tower_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["vocab_size"] = 10
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        ValueError, match=r"tokenizer has \d+ tokens, and its text tower 10: take both from the same model"
    ):
        load_siglip(folder)


@pytest.mark.parametrize("damage", ["absent", "of another size", "torn"])
def test_weights_that_cannot_be_read_are_one_line(folder, damage):
    weights = folder / "model.safetensors"
    if damage == "absent":
        weights.unlink()
    elif damage == "torn":
        weights.write_bytes(weights.read_bytes()[:5000])
    else:
        config = json.loads((folder / "config.json").read_text())
        config["vision_config"]["hidden_size"] = 64
        (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"its weights cannot be read \(\w+\): .* complete") as error:
        load_siglip(folder)
    assert "\n" not in str(error.value)
