"""Words and pictures to tensors: the processor of a folder, or PaliGemma's own from nothing but texts."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AddedToken, GemmaTokenizer, PaliGemmaProcessor
from transformers.image_utils import PILImageResampling
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from refrad.model.base_model import base_model, base_model_of_type

__all__ = ["GROUNDING_TOKENS", "add_grounding_tokens", "load_processor", "plain_processor", "tiny_processor"]

GROUNDING_TOKENS = ("<p bbox=", "</p>", " id=", "<seg>", "</seg>")  # <locNNNN> and <segNNN> are PaliGemma's own
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))


def tiny_processor(texts: Iterable[str], image_size: int, patch: int, words: int = 1024) -> PaliGemmaProcessor:
    """A processor for a PaliGemma from scratch, with the tokens of grounding.

    Args:
        texts: for the training of the tokenizer (byte-pair encoding, unknown characters as bytes).
        image_size: side of the square images, px; a multiple of `patch`.
        patch: side of a patch, px. The image takes (image_size / patch)^2 tokens.
        words: size of the vocabulary before the tokens for images, places, classes and tags.
    """
    return add_grounding_tokens(plain_processor(texts, image_size, patch, words))


def plain_processor(texts: Iterable[str], image_size: int, patch: int, words: int) -> PaliGemmaProcessor:
    """The same without the tokens of grounding, as PaliGemma comes."""
    pictures = SiglipImageProcessorPil(
        size={"height": image_size, "width": image_size},
        resample=PILImageResampling.BILINEAR,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    pictures.image_seq_length = (image_size // patch) ** 2  # type: ignore[attr-defined]
    return PaliGemmaProcessor(pictures, _tokenizer(texts, words))


def _tokenizer(texts: Iterable[str], words: int) -> GemmaTokenizer:
    """Gemma's kind of tokenizer: a word begins with the space before it, written ▁. No word crosses punctuation."""
    learner = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    learner.normalizer = normalizers.Replace(" ", "▁")
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split("▁", "merged_with_next"),
            pre_tokenizers.Split("\n", "isolated"),
            pre_tokenizers.Punctuation(),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=words, min_frequency=2, special_tokens=[*SPECIAL_TOKENS, *BYTES], show_progress=False
    )
    learner.train_from_iterator(texts, trainer)
    learned = json.loads(learner.to_str())["model"]
    return GemmaTokenizer(vocab=learned["vocab"], merges=[tuple(pair) for pair in learned["merges"]])  # type: ignore[misc]


def load_processor(folder: Path, image_size: int | None = None) -> Any:
    """The processor of a model's folder, with the tokens of grounding if its base model has such. Uses no network.

    Args:
        folder: with a model of one of `BASE_MODELS`, or with the processor of a PaliGemma alone.
        image_size: side of the images, px; None: that of the folder.

    Raises:
        ValueError: if there is no such model, or it takes no images of that size.
    """
    is_alone = not (folder / "config.json").exists()  # without a model it is PaliGemma's
    base = base_model_of_type("paligemma") if is_alone else base_model(folder)
    return base.load_processor(folder, image_size)


def add_grounding_tokens(processor: PaliGemmaProcessor) -> PaliGemmaProcessor:
    """Make each tag one token that decoding keeps, as PaliGemma's <loc> and <seg> already are."""
    processor.tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in GROUNDING_TOKENS])
    return processor
