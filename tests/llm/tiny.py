"""A Gemma 3 of random weights that vLLM serves in half a minute on a CPU: nothing but a config and a tokenizer."""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
CHAT = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n{{ message['content'] }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)


def write_tiny_gemma(folder: Path, texts: list[str], context: int = 8192) -> Path:
    """Write a model folder; the tokenizer (bytes, some merges) is trained on `texts`."""
    folder.mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=SPECIAL, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.save(str(folder / "tokenizer.json"))
    about = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
        **{"model_max_length": context, "chat_template": CHAT},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    config = {
        "architectures": ["Gemma3ForCausalLM"],
        "model_type": "gemma3_text",
        "vocab_size": tokenizer.get_vocab_size(),
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 512},
        **{"max_position_embeddings": context, "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_local_base_freq": 1e4},
        **{"hidden_activation": "gelu_pytorch_tanh", "tie_word_embeddings": True, "torch_dtype": "float32"},
        **{"layer_types": ["sliding_attention", "full_attention"], "attention_bias": False},
        **{"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2},
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
