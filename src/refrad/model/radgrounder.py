"""RadGrounder: a stock base model from a folder, or a tiny PaliGemma 2 from scratch; with a mask head in the segmentation variant."""

import math
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    Gemma2Config,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
    SiglipVisionConfig,
)

from refrad.model.base_model import base_model, base_model_of
from refrad.model.mask_head import MaskHead, save_head

__all__ = [
    "DTYPES",
    "PATCH",
    "add_head",
    "decode_greedily",
    "end_token",
    "fresh_model",
    "head_of",
    "load_model",
    "order_positions",
    "save_model",
    "tiny_model",
    "tiny_vision",
    "untrained_like",
]

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}  # of the weights, by the names of the config
PATCH = 8  # px; the tiny model's
WIDTH, HEADS, VISION_LAYERS, TEXT_LAYERS, EXPANSION = 128, 4, 3, 2, 3
VOCABULARY_MULTIPLE = 64  # rows of the embeddings are padded to it, as matrix units like it
LOC_TOKENS = 1024  # of PaliGemma: <loc0000> to <loc1023>
POSITION_SCALE = 0.5  # of the patch positions; patches have about 1


def tiny_model(processor: PaliGemmaProcessor, seed: int) -> PaliGemmaForConditionalGeneration:
    """A PaliGemma 2 small enough to learn boxes on a CPU in minutes, with random weights that depend on `seed` only."""
    tokenizer = processor.tokenizer
    side = processor.image_processor.size["height"]
    words = math.ceil(len(tokenizer) / VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    text = Gemma2Config(
        vocab_size=words,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * EXPANSION,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        head_dim=WIDTH // HEADS,
        query_pre_attn_scalar=WIDTH // HEADS,
        max_position_embeddings=2048,
        layer_types=["full_attention"] * TEXT_LAYERS,
        initializer_range=WIDTH**-0.5,  # for large models it is 0.02; here that would all but mute the words
        **special,
    )
    config = PaliGemmaConfig(
        vision_config=tiny_vision(side).to_dict() | {"projection_dim": WIDTH},
        text_config=text.to_dict(),
        image_token_index=processor.image_token_id,
        projection_dim=WIDTH,
        **special,
    )
    return fresh_model(config, processor, seed)


def tiny_vision(side: int) -> SiglipVisionConfig:
    """The tiny model's vision tower, for images of `side` px."""
    return SiglipVisionConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH * EXPANSION,
        num_hidden_layers=VISION_LAYERS,
        num_attention_heads=HEADS,
        image_size=side,
        patch_size=PATCH,
        vision_use_head=False,
    )


def untrained_like(model: Any, processor: Any, seed: int) -> Any:
    """The same architecture with random weights, in the dtype of the model: what training is compared with."""
    fresh = base_model_of(model).untrained(model.config, processor, seed).to(model.dtype)
    if head_of(model):
        add_head(fresh, processor, seed)
    return fresh


def load_model(
    folder: Path,
    processor: Any,
    attention: str = "eager",
    dtype: torch.dtype = torch.float32,
    quantization: Any = None,
) -> Any:
    """The model of a folder, with an embedding for every token of `processor`, and with its mask head if it has one.

    Args:
        folder: with config.json, weights and tokenizer.
        processor: that of the folder, see `load_processor`.
        attention: of the language model: "eager", or "flex_attention" for GPUs.
        dtype: of the weights: float32 for training (pure bfloat16 loses most updates).
        quantization: of transformers, for inference alone; see `refrad.model.inference_weights`.

    Raises:
        ValueError: if there is no model of one of `BASE_MODELS`.
    """
    return base_model(folder).load_model(folder, processor, attention, dtype, quantization)


def save_model(model: Any, processor: Any, folder: Path) -> None:
    """Write a folder that `load_model`, and `from_pretrained` of the model's class and its processor, read."""
    head = head_of(model)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("mask_head.")}
    model.save_pretrained(folder, state_dict=weights)
    processor.save_pretrained(folder)
    if head:
        save_head(head, folder)


def add_head(model: PaliGemmaForConditionalGeneration, processor: PaliGemmaProcessor, seed: int) -> None:
    """Give a model that has none a mask head, with random weights that depend on `seed` only."""
    if head_of(model) is None:
        model.add_module("mask_head", MaskHead(model.config, end_token(processor), seed))


def head_of(model: nn.Module) -> MaskHead | None:
    """The mask head of a model, if it has one."""
    head: MaskHead | None = getattr(model, "mask_head", None)
    return head


def end_token(processor: PaliGemmaProcessor) -> int:
    """Id of the token `</seg>`, whose hidden state prompts the mask head."""
    return int(processor.tokenizer.convert_tokens_to_ids("</seg>"))


def fresh_model(config: PaliGemmaConfig, processor: PaliGemmaProcessor, seed: int) -> PaliGemmaForConditionalGeneration:
    """Random weights, except that positions begin in order: neighbouring patches and bins have similar embeddings."""
    config._attn_implementation = "eager"  # SDPA ignores the soft-cap of Gemma 2
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = PaliGemmaForConditionalGeneration(config)
        words: Any = model.get_input_embeddings().weight
        first = processor.tokenizer.convert_tokens_to_ids("<loc0000>")
        words[first : first + LOC_TOKENS] = _waves(LOC_TOKENS, words.shape[1], 8) * words.std()
        order_positions(model.model.vision_tower)
    return cast(PaliGemmaForConditionalGeneration, decode_greedily(model, processor.tokenizer))


def order_positions(tower: Any) -> None:
    """Let the embeddings of a vision tower's patches begin in order, from torch's random numbers."""
    patches = tower.embeddings.position_embedding.weight
    side = math.isqrt(len(patches))
    along = _waves(side, patches.shape[1], 2)
    patches.copy_((along[:, None] + along.flip(1)[None]).flatten(0, 1) * POSITION_SCALE)


def _waves(places: int, width: int, shortest: float) -> Tensor:
    """Vectors [places, width] of unit variance in which neighbours are alike: waves of random phase, mixed at random.

    The periods run from twice all places down to `shortest`, and longer waves are higher.
    """
    periods = torch.logspace(math.log2(2 * places), math.log2(shortest), width // 2, base=2)
    angles = 2 * math.pi * torch.arange(places)[:, None] / periods + 2 * math.pi * torch.rand(width // 2)
    waves = torch.cat([angles.sin(), angles.cos()], dim=1) * (periods / places).sqrt().repeat(2)
    mixed = (waves - waves.mean(0)) @ torch.randn(width, width)
    return mixed / mixed.std()


def decode_greedily(model: Any, tokenizer: Any) -> Any:
    """The model, with the tokenizer's special tokens in its settings of generation, which is greedy.

    Published settings may sample; transformers refuses what only sampling uses next to greedy decoding, so that is removed.
    """
    model.generation_config.update(
        do_sample=False,
        temperature=None,
        top_p=None,
        top_k=None,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model
