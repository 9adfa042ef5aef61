"""Models of random weights that vLLM serves within a minute on a CPU: a Gemma 3 (a config and a tokenizer) and an Idefics3."""

import json
from collections.abc import Sequence
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
VISION_SPECIAL = [*SPECIAL, "<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"]
CHAT = (
    "{{ bos_token }}{% for message in messages %}<start_of_turn>{{ message['role'] }}\n{{ message['content'] }}"
    "<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# The parts of a message are texts and images, as vLLM and transformers hand them over.
VISION_CHAT = (
    "{{ bos_token }}{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
)


def write_tiny_gemma(folder: Path, texts: list[str], context: int = 8192) -> Path:
    """Write a model folder; the tokenizer (bytes, some merges) is trained on `texts`."""
    folder.mkdir(parents=True)
    tokenizer = _write_tokenizer(folder, texts, context, SPECIAL, {"chat_template": CHAT})
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


def write_tiny_idefics(folder: Path, texts: list[str], context: int = 2048) -> Path:
    """Write a model folder of an Idefics3 that gets images of 56 px as 4 tokens, with its weights.

    The weights are large enough that its answers depend on every part of the prompt and on the image. Its processor works without
    torchvision, of which no build fits the CPU build of vLLM; in vLLM, those of LLaVA, PaliGemma, Gemma 3 and Qwen import it.
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    folder.mkdir(parents=True)
    tokenizer = _write_tokenizer(folder, texts, context, VISION_SPECIAL, {})
    (folder / "chat_template.jinja").write_text(VISION_CHAT)
    ids = {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": 2}
    text = {
        "model_type": "llama",
        "vocab_size": tokenizer.get_vocab_size(),
        **{"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2},
        **{"num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": context, "tie_word_embeddings": True},
    }
    vision = {
        "model_type": "idefics3_vision",
        **{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1},
        **{"image_size": 56, "patch_size": 14},
    }
    config = {
        "architectures": ["Idefics3ForConditionalGeneration"],
        **{"model_type": "idefics3", "torch_dtype": "float32", "tie_word_embeddings": True, "scale_factor": 2},
        **{
            "image_token_id": tokenizer.token_to_id("<image>"),
            "vision_config": vision,
            "text_config": text | ids,
            **ids,
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    pixels = {
        **{"image_processor_type": "Idefics3ImageProcessor", "do_image_splitting": False},
        **{"size": {"longest_edge": 56}, "max_image_size": {"longest_edge": 56}},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(pixels))
    (folder / "processor_config.json").write_text(
        json.dumps({"processor_class": "Idefics3Processor", "image_seq_len": 4})
    )
    generator = torch.Generator().manual_seed(0)
    model = AutoModelForImageTextToText.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    for weights in model.parameters():
        if weights.dim() > 1:
            weights.data.normal_(0, 0.3, generator=generator)
    model.save_pretrained(folder)
    return folder


def _write_tokenizer(
    folder: Path, texts: Sequence[str], context: int, special: Sequence[str], about: dict[str, str]
) -> Tokenizer:
    """Write the tokenizer, bytes and some merges that are trained on `texts`, and its config with the keys of `about`."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=1024, special_tokens=[*special], initial_alphabet=alphabet)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{"bos_token": "<bos>", "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>"},
        **{"model_max_length": context, **about},
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer
