"""Models of random weights that vLLM serves within a minute on a CPU: Gemma 3 (a config and a tokenizer), gpt-oss and Idefics3."""

import base64
import json
from collections.abc import Sequence
from itertools import pairwise
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


# Of OpenAI's o200k_harmony: prompts of gpt-oss are made of these, and vLLM stops where an answer ends.
HARMONY = {
    199998: "<|startoftext|>",
    199999: "<|endoftext|>",
    200002: "<|return|>",
    200003: "<|constrain|>",
    200005: "<|channel|>",
    200006: "<|start|>",
    200007: "<|end|>",
    200008: "<|message|>",
    200012: "<|call|>",
}
HARMONY_SIZE = 201_088  # tokens
# A prompt ends with the first; the last begins the JSON. \u0120 is a blank.
OPENING = ("assistant", "<|channel|>", "final", "\u0120", "<|constrain|>", "json", "<|message|>")
# The likeliest tokens, each above the next; a list thus ends after its first item.
LIKELY = ('"', "]", "}", ":", ",", "{", "[", "3", "true", "<|return|>")


def write_tiny_gpt_oss(folder: Path, vocabulary: Path, context: int = 8192) -> Path:
    """Write a model folder of a gpt-oss with its weights, whose answers are JSON in the final channel at once.

    Its layers add nothing, so a token follows from the one before it: those of `OPENING` in their order, and a brace after the
    bracket of a list; else the first of `LIKELY` that the schema allows, before all others. So its answers are in form, short
    and senseless.

    Args:
        folder: to be made.
        vocabulary: the file o200k_base.tiktoken.
        context: longest prompt with its answer, tokens.
    """
    import torch
    from transformers import AutoModelForCausalLM, GptOssConfig

    folder.mkdir(parents=True)
    tokenizer = _write_harmony_tokenizer(folder, vocabulary, context)
    config = GptOssConfig(
        vocab_size=HARMONY_SIZE,
        **{"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 64},
        **{"num_attention_heads": 2, "num_key_value_heads": 1, "num_local_experts": 4, "num_experts_per_tok": 2},
        **{"layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 131_072},
        **{"tie_word_embeddings": False, "eos_token_id": 200002, "pad_token_id": 199999},
    )
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    for name, weights in model.named_parameters():
        if "o_proj" in name or "down_proj" in name:
            weights.data.zero_()
    number = tokenizer.token_to_id
    read, write = model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data
    pairs = [*pairwise(OPENING), ("[", "{")]
    # A column for each pair, one for what is likely, and random numbers.
    for weights in (read, write):
        weights.normal_(0, 1)
        weights[:, : len(pairs) + 1] = 0
    read[:, len(pairs)] = 4.0
    for rank, token in enumerate(reversed(LIKELY)):
        write[number(token), len(pairs)] = 20.0 + 5 * rank
    for column, (token, following) in enumerate(pairs):
        read[number(token)] = 0
        read[number(token), column], write[number(following), column] = 1.0, 200.0
    read[number("["), len(pairs)] = 0.1  # where the list holds no objects
    model.save_pretrained(folder)
    return folder


def _write_harmony_tokenizer(folder: Path, vocabulary: Path, context: int) -> Tokenizer:
    """Write a tokenizer of gpt-oss's ids. It only decodes as that of gpt-oss does, since vLLM encodes by the vocabulary itself."""
    codes = sorted(map(ord, pre_tokenizers.ByteLevel.alphabet()))
    plain = {code for code in codes if code < 256}  # a byte that can be shown is its own letter
    others = iter(code for code in codes if code >= 256)  # and the others follow in order
    letter = {byte: chr(byte if byte in plain else next(others)) for byte in range(256)}
    ranks = (line.split() for line in vocabulary.read_text(encoding="ascii").splitlines())
    words = {"".join(letter[byte] for byte in base64.b64decode(token)): int(rank) for token, rank in ranks}
    tokenizer = Tokenizer(models.BPE(vocab=words, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = (HARMONY.get(number, f"<|reserved_{number}|>") for number in range(min(HARMONY), HARMONY_SIZE))
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in special])
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **{"bos_token": "<|startoftext|>", "eos_token": "<|return|>", "pad_token": "<|endoftext|>"},
        "model_max_length": context,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer


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
