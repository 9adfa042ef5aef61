import numpy as np
import pytest
import torch
from transformers import Gemma2Config, PaliGemmaConfig, PaliGemmaForConditionalGeneration, SiglipVisionConfig

from refrad.model.collate import Sample, collate
from refrad.model.inference_weights import UNQUANTIZED, check_compute_dtype, load_for_inference
from refrad.model.radgrounder import add_head, head_of, save_model, tiny_model


@pytest.fixture(scope="module")
def folder(processor, tmp_path_factory):
    """A model with a mask head, as stage train saves it."""
    model, folder = tiny_model(processor, 0), tmp_path_factory.mktemp("weights") / "x"
    add_head(model, processor, 0)
    save_model(model, processor, folder)
    return folder


@pytest.fixture(scope="module")
def int8(folder, processor):
    pytest.importorskip("torchao", reason="needs the extra int8")
    return load_for_inference(folder, processor, "int8").eval()


def linear_layers(model):
    """Names of the linear layers of the language model."""
    layers = (name for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear))
    return {name for name in layers if name.startswith("model.language_model")}


def test_int8_holds_the_layers_of_the_language_model_alone_in_8_bits(int8):
    """Seven linear layers (q, k, v, o, gate, up, down) in each of the tiny model's two layers; the embedding is the head's."""
    kinds = {name: type(layer.weight).__name__ for name, layer in int8.named_modules() if hasattr(layer, "weight")}
    assert {name for name, kind in kinds.items() if kind == "Int8Tensor"} == linear_layers(int8)
    assert len(linear_layers(int8)) == 2 * 7
    assert int8.lm_head.weight.dtype == torch.bfloat16 and int8.lm_head.weight is int8.get_input_embeddings().weight
    assert {weights.dtype for weights in int8.model.vision_tower.parameters()} == {torch.bfloat16}
    assert {weights.dtype for weights in head_of(int8).parameters()} == {torch.float32}


def test_int8_weights_are_the_trained_ones_rounded_to_255_levels_a_row(int8, folder, processor):
    """A row of weights keeps its largest; every weight moves by at most half a level, which is the largest / 127."""
    trained = load_for_inference(folder, processor, "float32")
    for name in linear_layers(trained):
        true, rounded = trained.get_submodule(name).weight, int8.get_submodule(name).weight.dequantize().float()
        level = true.abs().amax(1, keepdim=True) / 127
        near_largest = true.abs().amax(1, keepdim=True) * 2**-7  # what bfloat16 adds
        assert ((true - rounded).abs() <= level / 2 + near_largest).all(), name
        assert not torch.equal(true, rounded)


def test_int8_gives_nearly_the_logits_of_float32(int8, folder, processor):
    """A weight is off by 0.3 levels of 127 on average: 0.6 % of a product of normal weights, and bfloat16 adds 0.4 %. Over two layers of
    seven products the logits, whose standard deviation is about 1, stay within a tenth of it on average.
    """
    trained = load_for_inference(folder, processor, "float32").eval()
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (64, 64, 3), np.uint8) for _ in range(4)]
    inputs = collate(processor, [Sample("", "", picture, "<image>Locate: Liver", "spleen") for picture in pictures])
    inputs.pop("labels")
    with torch.no_grad():
        true, rounded = (model(**inputs).logits[:, -8:].float() for model in (trained, int8))
    assert (true - rounded).abs().mean() < 0.1 * true.std()
    assert (true.argmax(-1) == rounded.argmax(-1)).float().mean() > 0.8
    assert not torch.equal(true, rounded)


def test_int8_needs_a_third_of_the_memory_of_the_3b_model():
    """By hand, of PaliGemma 2 3B in millions: 26 layers of 14.16 in attention and 63.70 in the MLP are 2,024; the embedding, which is the
    head too, 592.6; the tower and the projector 415.4. In bytes 2,024 + 2 x 1,008 = 4,040 of 4 x 3,032 = 12,130: a third.
    """
    text = Gemma2Config(
        vocab_size=257216,
        **{"hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26, "num_attention_heads": 8},
        **{"num_key_value_heads": 4, "head_dim": 256},
    )
    vision = SiglipVisionConfig(
        **{"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16},
        **{"image_size": 224, "patch_size": 14, "vision_use_head": False},
    )
    config = PaliGemmaConfig(
        vision_config=vision.to_dict() | {"projection_dim": 2304}, text_config=text.to_dict(), projection_dim=2304
    )
    with torch.device("meta"):
        model = PaliGemmaForConditionalGeneration(config)
    total = sum(weights.numel() for weights in model.parameters())
    eight_bits = sum(
        layer.weight.numel()
        for name, layer in model.named_modules()
        if isinstance(layer, torch.nn.Linear) and not name.startswith(UNQUANTIZED)
    )
    assert total == pytest.approx(3.032e9, rel=0.002) and eight_bits == pytest.approx(2.024e9, rel=0.002)
    assert (eight_bits + 2 * (total - eight_bits)) / (4 * total) == pytest.approx(0.333, abs=0.002)


def test_int8_without_its_package_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setattr("refrad.model.inference_weights.find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"int8 needs the package torchao: pip install 'refrad\[int8\]'"):
        check_compute_dtype("int8")
    check_compute_dtype("bfloat16")


@pytest.mark.parametrize("name", ["int4", "INT8", "", "float16"])
def test_other_types_are_refused_with_the_choice(name):
    with pytest.raises(ValueError, match=f"compute dtype is {name}: it must be float32, bfloat16 or int8"):
        check_compute_dtype(name)
