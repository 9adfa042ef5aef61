"""The configuration of google/paligemma2-3b-pt-224, as its config.json has it: for counting what a training costs."""

from typing import Any

__all__ = ["PALIGEMMA2_3B"]

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
