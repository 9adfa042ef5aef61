"""SigLIP, a vision and a text tower that meet in one space: tiny and from scratch or from a folder, and its tower for PaliGemma."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoTokenizer,
    PaliGemmaForConditionalGeneration,
    PreTrainedTokenizerBase,
    SiglipConfig,
    SiglipModel,
    SiglipTextConfig,
)

from refrad.model.processor import plain_processor
from refrad.model.radgrounder import EXPANSION, HEADS, PATCH, VOCABULARY_MULTIPLE, WIDTH, order_positions, tiny_vision

__all__ = ["load_siglip", "replace_vision_tower", "save_siglip", "tiny_siglip"]

TEXT_LAYERS = 2
TOKENS = 64  # of a text, as in the published models
SCALE, BIAS = math.log(10), -10.0  # of the logits at the beginning, as in the paper: nearly all pairs are no pairs


def tiny_siglip(texts: Iterable[str], side: int, seed: int) -> tuple[PreTrainedTokenizerBase, SiglipModel]:
    """A tokenizer that learned its words from `texts`, and a SigLIP with the tower of `tiny_model`, with random weights."""
    tokenizer = plain_processor(texts, side, PATCH, 1024).tokenizer
    tokenizer.model_max_length = TOKENS
    special = {f"{name}_token_id": getattr(tokenizer, f"{name}_token_id") for name in ("pad", "bos", "eos")}
    text = SiglipTextConfig(
        vocab_size=math.ceil(len(tokenizer) / VOCABULARY_MULTIPLE) * VOCABULARY_MULTIPLE,
        hidden_size=WIDTH,
        intermediate_size=WIDTH * EXPANSION,
        num_hidden_layers=TEXT_LAYERS,
        num_attention_heads=HEADS,
        max_position_embeddings=TOKENS,
        projection_size=WIDTH,
        **special,
    )
    config = SiglipConfig(
        text_config=text.to_dict(), vision_config=tiny_vision(side).to_dict() | {"vision_use_head": True}
    )
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = SiglipModel(config)
        order_positions(model.vision_model)
        model.logit_scale.fill_(SCALE)
        model.logit_bias.fill_(BIAS)
    return tokenizer, model


def load_siglip(folder: Path) -> tuple[PreTrainedTokenizerBase, SiglipModel]:
    """Tokenizer and model, in float32, of a folder. Uses no network.

    Texts are padded, and cut, to the positions of the text tower at most.

    Raises:
        ValueError: if there is no SigLIP in the folder, or its tokenizer or weights cannot be read or do not fit its config.
    """
    if not (folder / "config.json").exists():
        raise ValueError(f"adapt.model: {folder}: no config.json; name a folder with a SigLIP, or tiny")
    config = SiglipConfig.from_pretrained(folder, local_files_only=True)
    if config.model_type != "siglip":
        raise ValueError(f"adapt.model: {folder}: holds a {config.model_type}; a siglip with both towers is needed")
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # the libraries of the tokenizers raise errors of their own
        raise ValueError(
            f"adapt.model: {folder}: no tokenizer can be read ({type(error).__name__}): the folder needs spiece.model or"
            " tokenizer.json with tokenizer_config.json, and refrad its extra train with sentencepiece and protobuf"
        ) from None
    text: Any = config.text_config
    if len(tokenizer) > text.vocab_size:
        raise ValueError(
            f"adapt.model: {folder}: its tokenizer has {len(tokenizer)} tokens, and its text tower {text.vocab_size}: take both"
            " from the same model"
        )
    tokenizer.model_max_length = min(tokenizer.model_max_length, text.max_position_embeddings)
    try:
        model = SiglipModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except Exception as error:  # as above
        raise ValueError(
            f"adapt.model: {folder}: its weights cannot be read ({type(error).__name__}): copy the folder again, complete, with"
            " config.json and model.safetensors of one model"
        ) from None
    return tokenizer, model


def save_siglip(tokenizer: PreTrainedTokenizerBase, model: SiglipModel, folder: Path) -> None:
    """Write a folder that `load_siglip`, and `from_pretrained` of SiglipModel and AutoTokenizer, read."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def replace_vision_tower(model: PaliGemmaForConditionalGeneration, folder: Path) -> None:
    """Put the vision tower of the SigLIP in a folder in place of the model's.

    Raises:
        ValueError: if it is of another shape, or the model has another kind of tower.
    """
    if model.config.model_type != "paligemma":
        raise ValueError(
            f"adapt.steps is above 0: a {model.config.model_type} has no SigLIP tower to replace; set it to 0"
        )
    adapted = SiglipModel.from_pretrained(folder, dtype=torch.float32, local_files_only=True).vision_model.state_dict()
    tower: Any = model.model.vision_tower
    own = tower.state_dict()
    wrong = [name for name in own if name not in adapted or adapted[name].shape != own[name].shape]
    if wrong:
        raise ValueError(
            f"the vision tower in {folder} is not shaped as the model's ({len(wrong)} of {len(own)} tensors, such as"
            f" {wrong[0]}): adapt.model and train.model must share it"
        )
    tower.load_state_dict({name: adapted[name] for name in own})
