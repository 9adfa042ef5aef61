"""The configurations of published base models, as their config.json has them: for counting what a training costs."""

from typing import Any

__all__ = ["PALIGEMMA2_3B", "paligemma2", "qwen3_vl"]

PALIGEMMA2_3B: dict[str, Any] = {
    "bos_token_id": 2,
    "eos_token_id": 1,
    "pad_token_id": 0,
    "image_token_index": 257152,
    "projection_dim": 2304,
    "text_config": {
        "model_type": "gemma2",
        "hidden_size": 2304,
        "intermediate_size": 9216,
        "num_hidden_layers": 26,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "head_dim": 256,
        "query_pre_attn_scalar": 256,
        "sliding_window": 4096,
        "vocab_size": 257216,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "pad_token_id": 0,
    },
    "vision_config": {
        "model_type": "siglip_vision_model",
        "hidden_size": 1152,
        "intermediate_size": 4304,
        "num_hidden_layers": 27,
        "num_attention_heads": 16,
        "patch_size": 14,
        "image_size": 224,
        "projection_dim": 2304,
        "vision_use_head": False,
    },
}

GEMMA2_TEXTS: dict[str, dict[str, Any]] = {
    "3b": {},
    "10b": {
        "hidden_size": 3584,
        "intermediate_size": 14336,
        "num_hidden_layers": 42,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
    },
    "28b": {
        "hidden_size": 4608,
        "intermediate_size": 36864,
        "num_hidden_layers": 46,
        "num_attention_heads": 32,
        "num_key_value_heads": 16,
        "head_dim": 128,
        "query_pre_attn_scalar": 144,
    },
}
QWEN3_TEXTS: dict[str, dict[str, Any]] = {
    "2b": {"hidden_size": 2048, "intermediate_size": 6144, "num_hidden_layers": 28, "num_attention_heads": 16},
    "4b": {"hidden_size": 2560, "intermediate_size": 9728, "num_hidden_layers": 36, "num_attention_heads": 32},
    "8b": {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32},
}
SMALL_TOWER = {"depth": 24, "hidden_size": 1024, "intermediate_size": 4096, "deepstack_visual_indexes": [5, 11, 17]}
LARGE_TOWER = {"depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "deepstack_visual_indexes": [8, 16, 24]}
QWEN3_VISIONS: dict[str, dict[str, Any]] = {"2b": SMALL_TOWER, "4b": SMALL_TOWER, "8b": LARGE_TOWER}


def paligemma2(size: str, image_size: int) -> dict[str, Any]:
    """The configuration of google/paligemma2-<size>-pt-<image_size>, from the sizes of Gemma 2 9B and 27B (Gemma 2 report, table 1).

    Args:
        size: "3b", "10b" or "28b".
        image_size: 224, 448 or 896 px, that is 256, 1,024 or 4,096 image tokens.
    """
    text = PALIGEMMA2_3B["text_config"] | GEMMA2_TEXTS[size]
    vision = PALIGEMMA2_3B["vision_config"] | {"image_size": image_size, "projection_dim": text["hidden_size"]}
    return PALIGEMMA2_3B | {"projection_dim": text["hidden_size"], "text_config": text, "vision_config": vision}


def qwen3_vl(size: str) -> dict[str, Any]:
    """The configuration of Qwen/Qwen3-VL-<size>-Instruct; `size` is "2b", "4b" or "8b"."""
    text, vision = QWEN3_TEXTS[size], QWEN3_VISIONS[size]
    shared = {"num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "rms_norm_eps": 1e-6}
    rope = {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    return {
        "text_config": {"model_type": "qwen3_vl_text", **shared, **text, "rope_parameters": rope},
        "vision_config": {"model_type": "qwen3_vl_vision", **vision, "out_hidden_size": text["hidden_size"]},
        "tie_word_embeddings": size != "8b",
    }
