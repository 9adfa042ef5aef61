"""The folder of google/paligemma2-3b-pt-224: its configuration whole on the meta device, and a small one for real."""

import pytest
import torch
from PIL import Image
from tests.factories.paligemma import published_paligemma
from transformers import GemmaTokenizer, PaliGemmaConfig, PaliGemmaForConditionalGeneration

from refrad.model.processor import GROUNDING_TOKENS, add_grounding_tokens, load_processor
from refrad.model.radgrounder import add_head, head_of, load_model
from refrad.training.flops import Shape, flops_per_sample
from refrad.training.objective import batch_loss
from refrad.training.reference_models import PALIGEMMA2_3B


@pytest.fixture(scope="module")
def whole():
    with torch.device("meta"):
        return PaliGemmaForConditionalGeneration(PaliGemmaConfig(**PALIGEMMA2_3B))


def test_it_has_the_size_that_is_published(whole):
    assert whole.num_parameters() == 3_032_242_416  # 3.03 B: the published safetensors index counts the same
    tower = sum(one.numel() for one in whole.model.vision_tower.parameters())
    assert 0.41e9 < tower < 0.42e9
    assert whole.lm_head.weight is whole.get_input_embeddings().weight
    assert whole.lm_head.weight.shape == (257_216, 2304) and 257_216 % 64 == 0


@pytest.mark.slow
def test_a_sample_costs_what_was_counted_elsewhere(whole):
    """4.8 TFLOP with a frozen tower and the head on learned tokens; forward passes of 0.22 and 1.47 TFLOP."""
    ours = flops_per_sample(whole, Shape())
    assert ours["tower"] == pytest.approx(0.22e12, rel=0.02)
    assert ours["language"] == pytest.approx(3 * 1.47e12, rel=0.02)
    assert ours["total"] == pytest.approx(4.8e12, rel=0.02)
    # Chunks repeat the forward pass of the head: 2 x 60 x 2,304 x 257,216 = 0.07 TFLOP
    again = flops_per_sample(whole, Shape(), chunked_head=True)
    assert again["head"] - ours["head"] == 2 * 60 * 2304 * 257_216


def test_an_image_takes_256_places(whole):
    with torch.device("meta"):
        seen = whole.model.get_image_features(torch.zeros(2, 3, 224, 224))
    assert seen.pooler_output.shape == (2, 256, 2304)


def test_its_mask_head_has_the_size_of_the_paper(whole):
    class Words:
        def convert_tokens_to_ids(self, _):
            return 7

    class Processor:
        tokenizer = Words()

    add_head(whole, Processor(), 0)
    size = sum(one.numel() for one in head_of(whole).parameters())
    assert head_of(whole).side == 16 and 3e6 < size < 5.5e6
    del whole.mask_head


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """As the hub has it, but small: a tokenizer without the tokens of grounding, embeddings padded to 64, half precision."""
    texts = ["The liver is normal. <p bbox= seg id "] * 4
    return published_paligemma(tmp_path_factory.mktemp("paligemma"), texts, 32)


def test_a_folder_from_the_hub_loads_in_float32_with_new_words_made_of_old_ones(folder):
    processor = load_processor(folder)
    model = load_model(folder, processor)
    assert {one.dtype for one in model.parameters()} == {torch.float32}
    words = model.get_input_embeddings().weight
    assert len(words) % 64 == 0 and len(words) >= len(processor.tokenizer)
    before = GemmaTokenizer.from_pretrained(folder)
    for token in GROUNDING_TOKENS:
        assert token not in before.get_vocab()
        pieces = before(token, add_special_tokens=False)["input_ids"]
        assert len(pieces) > 1
        assert torch.allclose(words[processor.tokenizer.convert_tokens_to_ids(token)], words[pieces].mean(0))
    assert model.lm_head.weight is words


def test_it_trains_and_the_prefix_is_seen_both_ways(folder):
    processor = load_processor(folder)
    model = load_model(folder, processor)
    made = processor(
        images=[Image.new("RGB", (32, 32))] * 2,
        text=["<image>\n\nLocate: liver "] * 2,
        suffix=["<p bbox=<loc0001><loc0002><loc0003><loc0004> id=<seg005>>liver</p>", "none"],
        padding="longest",
        return_tensors="pt",
    )
    loss = batch_loss(model, made)
    loss.backward()
    assert loss.isfinite() and model.get_input_embeddings().weight.grad.abs().sum() > 0


def test_adding_the_tokens_twice_adds_them_once(folder):
    processor = load_processor(folder)
    size = len(processor.tokenizer)
    assert len(add_grounding_tokens(processor).tokenizer) == size
