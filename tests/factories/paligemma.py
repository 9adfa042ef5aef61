"""A folder with the files of google/paligemma2-3b-pt-224, with a tiny model of random weights."""

import json
from collections.abc import Iterable
from pathlib import Path

import torch
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from refrad.model.processor import plain_processor
from refrad.training.reference_models import PALIGEMMA2_3B

__all__ = ["published_paligemma"]

LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def published_paligemma(folder: Path, texts: Iterable[str], side: int, patch: int = 8, words: int = 300) -> Path:
    """Write the folder: a tokenizer of `texts` without the tokens of grounding, embeddings padded to 64, half precision.

    Its vision tower has the shape of that of `published_siglip` for the same side and patch, px.
    """
    processor = plain_processor(texts, side, patch, words)
    small = json.loads(json.dumps(PALIGEMMA2_3B))
    small["text_config"] |= LAYERS | {"num_key_value_heads": 1, "head_dim": 16, "query_pre_attn_scalar": 16}
    small["text_config"]["vocab_size"] = -(-len(processor.tokenizer) // 64) * 64
    small["vision_config"] |= LAYERS | {"image_size": side, "patch_size": patch, "projection_dim": 32}
    small |= {"projection_dim": 32, "image_token_index": processor.image_token_id}
    for name in ("pad", "bos", "eos"):
        small[f"{name}_token_id"] = small["text_config"][f"{name}_token_id"] = getattr(
            processor.tokenizer, f"{name}_token_id"
        )
    torch.manual_seed(0)
    PaliGemmaForConditionalGeneration(PaliGemmaConfig(**small)).bfloat16().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
