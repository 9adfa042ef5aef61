"""Words and pictures to tensors: PaliGemma's own processor, from a folder or from nothing but texts."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AddedToken, GemmaTokenizer, PaliGemmaProcessor
from transformers.image_utils import PILImageResampling
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

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


def load_processor(folder: Path) -> PaliGemmaProcessor:
    """The processor of a model's folder, with the tokens of grounding added if they are missing. Uses no network.

    The image processor is the one on Pillow, which needs no torchvision and is what training and evaluation were run with.
    """
    pictures = SiglipImageProcessorPil.from_pretrained(folder, local_files_only=True)
    if not hasattr(pictures, "image_seq_length"):
        raise ValueError(f"{folder}: not a PaliGemma: its image processor has no image_seq_length")
    return add_grounding_tokens(
        PaliGemmaProcessor(pictures, GemmaTokenizer.from_pretrained(folder, local_files_only=True))
    )


def add_grounding_tokens(processor: PaliGemmaProcessor) -> PaliGemmaProcessor:
    """Make each tag one token that decoding keeps, as PaliGemma's <loc> and <seg> already are."""
    processor.tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in GROUNDING_TOKENS])
    return processor
