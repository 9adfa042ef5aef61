"""Published base models on the meta device, counted without memory for their weights."""

import json

import pytest
import torch
from tests.factories import tiny_training
from transformers import (
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)

from refrad.config import TrainOptions
from refrad.model.base_model import base_model, base_model_of
from refrad.training.reference_models import PALIGEMMA2_3B, paligemma2, qwen3_vl

# Parameters of Gemma 2 without embeddings: Gemma 2 report, table 1
GEMMA2 = {"3b": 2_024_517_888, "10b": 8_324_201_984, "28b": 26_047_480_320}
WIDTH = {"3b": 2304, "10b": 3584, "28b": 4608}


def on_meta(kind, config):
    with torch.device("meta"):
        return kind(config)


@pytest.mark.parametrize("size", ["3b", "10b", "28b"])
@pytest.mark.parametrize("side", [224, 448, 896])
def test_paligemma_is_gemma_with_a_tower_for_its_images(size, side):
    """An image of 14 px patches has 256, 1,024 or 4,096 tokens; the tower has an embedding of 1,152 for each of their positions."""
    model = on_meta(PaliGemmaForConditionalGeneration, PaliGemmaConfig(**paligemma2(size, side)))
    tokens = (side // 14) ** 2
    tower = 412_442_352 + (tokens - 256) * 1152  # SigLIP So400m at 224 px, as of the 3B model
    projector = 1152 * WIDTH[size] + WIDTH[size]
    words = 257_216 * WIDTH[size]
    assert model.num_parameters() == GEMMA2[size] + words + tower + projector
    with torch.device("meta"):
        features = model.model.get_image_features(torch.zeros(1, 3, side, side))
    assert features.pooler_output.shape == (1, tokens, WIDTH[size])
    (module,) = base_model_of(model).tower(model)
    assert sum(weight.numel() for weight in module.parameters()) == tower


def test_smallest_reference_is_the_one_that_is_counted_elsewhere():
    assert paligemma2("3b", 224) == PALIGEMMA2_3B


@pytest.mark.parametrize(("size", "billions"), [("2b", 2.13), ("4b", 4.44), ("8b", 8.77)])
def test_qwen3_vl_has_its_published_size(size, billions):
    """An image of 448 px has 28 x 28 patches of 16 px, merged to 14 x 14 = 196 tokens."""
    model = on_meta(Qwen3VLForConditionalGeneration, Qwen3VLConfig(**qwen3_vl(size)))
    assert model.num_parameters() / 1e9 == pytest.approx(billions, abs=0.005)
    base = base_model_of(model)
    parts = [*base.tower(model), *base.projector(model), base.language(model)]
    counted = sum(weight.numel() for part in parts for weight in part.parameters())
    head = 0 if size != "8b" else model.lm_head.weight.numel()  # tied in the smaller ones
    assert counted + head == model.num_parameters()


@pytest.mark.parametrize(("side", "is_refused"), [(224, False), (448, False), (896, True)])
def test_images_as_long_as_the_attention_window_are_not_packed(tmp_path, side, is_refused):
    """Gemma 2 slides over 4,096 tokens in every second layer; 896 px have as many."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "paligemma", **paligemma2("3b", side)}))
    options = TrainOptions.model_validate(tiny_training(model=str(tmp_path), image_size=side, pack_tokens=8192))
    if is_refused:
        with pytest.raises(
            ValueError, match=r"train.pack_tokens is 8192: .* images of 4,096 tokens, .* over 4,096; set false"
        ):
            base_model(tmp_path).check_options(options, tmp_path)
    else:
        base_model(tmp_path).check_options(options, tmp_path)
