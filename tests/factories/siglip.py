"""A folder with the files of a published SigLIP, such as google/siglip-so400m-patch14-224, with a tiny model of random weights."""

import io
import json
from pathlib import Path

import sentencepiece
import torch
from transformers import SiglipConfig, SiglipModel

__all__ = ["published_siglip"]

LAYERS = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def published_siglip(folder: Path, texts: list[str], side: int, patch: int = 8) -> Path:
    """Write the folder: config and weights with both towers, a sentencepiece model of lower-case `texts`, and its settings.

    Side of the image and patch in px.
    """
    pieces = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([text.lower() for text in texts] * 20),
        model_writer=pieces,
        vocab_size=120,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    (folder / "spiece.model").write_bytes(pieces.getvalue())
    torch.manual_seed(0)
    config = SiglipConfig(
        text_config=LAYERS | {"vocab_size": 128, "max_position_embeddings": 64, "projection_size": 32},
        vision_config=LAYERS | {"image_size": side, "patch_size": patch},
    )
    SiglipModel(config).save_pretrained(folder)
    special = {"eos_token": "</s>", "pad_token": "</s>", "unk_token": "<unk>"}
    settings = {
        "tokenizer_class": "SiglipTokenizer",
        "processor_class": "SiglipProcessor",
        "model_max_length": 64,
        "do_lower_case": True,
        "clean_up_tokenization_spaces": True,
        "additional_special_tokens": [],
        "sp_model_kwargs": {},
    }
    image = {
        "image_processor_type": "SiglipImageProcessor",
        "processor_class": "SiglipProcessor",
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": side, "width": side},
    }
    for name, content in {
        "tokenizer_config": settings | special,
        "special_tokens_map": special,
        "preprocessor_config": image,
    }.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return folder
