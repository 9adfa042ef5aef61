"""PaliGemma 2 as the base model."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask
from transformers import (
    GemmaTokenizer,
    LogitsProcessor,
    PaliGemmaConfig,
    PaliGemmaForConditionalGeneration,
    PaliGemmaProcessor,
)
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from refrad.config import TrainOptions
from refrad.model.base_model import BaseModel
from refrad.model.flex import register_flex_attention
from refrad.model.mask_head import load_head
from refrad.model.packing import packed_mask
from refrad.model.processor import GROUNDING_TOKENS, add_grounding_tokens
from refrad.model.radgrounder import VOCABULARY_MULTIPLE, decode_greedily, end_token, fresh_model
from refrad.model.tag_grammar import WellFormed

__all__ = ["BASE_MODEL", "PaliGemma"]


class PaliGemma:
    """PaliGemma 2: a SigLIP tower for images of one size, a linear projector, and Gemma 2, which reads image and prompt both ways."""

    title = "PaliGemma 2"
    licence = "gemma"
    tokens = (
        f"PaliGemma's own `<locNNNN>` and `<segNNN>`; added: {', '.join(f'`{token}`' for token in GROUNDING_TOKENS)}, "
        "initialized as the mean of the tokens of their text"
    )
    loading: tuple[str, ...] = (
        "from transformers import AutoProcessor, PaliGemmaForConditionalGeneration",
        "model = PaliGemmaForConditionalGeneration.from_pretrained(folder)",
        "processor = AutoProcessor.from_pretrained(folder)",
    )

    def check_options(self, options: TrainOptions, folder: Path) -> None:
        """Packed rows have one mask for all layers, so a sample must fit into the window of those with sliding attention."""
        config: Any = PaliGemmaConfig.from_pretrained(folder, local_files_only=True)
        window = getattr(config.text_config, "sliding_window", None)
        tokens = (config.vision_config.image_size // config.vision_config.patch_size) ** 2
        if options.pack_tokens and window is not None and tokens >= window:
            raise ValueError(
                f"train.pack_tokens is {options.pack_tokens}: not supported with images of {tokens:,} tokens, as its attention"
                f" slides over {window:,}; set false"
            )

    def load_processor(self, folder: Path, image_size: int | None = None) -> PaliGemmaProcessor:
        """With the tokens of grounding added if they are missing.

        The image processor is the one on Pillow, which needs no torchvision and is what training and evaluation were run with.
        """
        pictures = SiglipImageProcessorPil.from_pretrained(folder, local_files_only=True)
        if not hasattr(pictures, "image_seq_length"):
            raise ValueError(f"{folder}: not a PaliGemma: its image processor has no image_seq_length")
        processor = PaliGemmaProcessor(pictures, GemmaTokenizer.from_pretrained(folder, local_files_only=True))
        if image_size is not None and (side := self.image_side(processor)) != image_size:
            raise ValueError(f"train.image_size is {image_size}, but the model in {folder} takes images of {side} px")
        return add_grounding_tokens(processor)

    def load_model(
        self,
        folder: Path,
        processor: PaliGemmaProcessor,
        attention: str,
        dtype: torch.dtype,
        quantization: Any = None,
    ) -> PaliGemmaForConditionalGeneration:
        """With an embedding for every token of `processor`; its mask head is float32 in any case.

        A token that the folder's tokenizer does not know begins as the mean of the tokens that its text was made of until now.
        The embeddings grow, if they must, to a multiple of 64. Attentions other than eager and flex ignore the soft-cap or the prefix.
        """
        if attention == "flex_attention":
            register_flex_attention()
        how: Any = "eager" if attention == "eager" else {"text_config": attention, "vision_config": "sdpa"}
        model = PaliGemmaForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation=how, local_files_only=True, quantization_config=quantization
        )
        if head := load_head(model.config, end_token(processor), folder):
            model.add_module("mask_head", head)
        if len(processor.tokenizer) > model.config.get_text_config().vocab_size:
            model.resize_token_embeddings(
                len(processor.tokenizer), pad_to_multiple_of=VOCABULARY_MULTIPLE, mean_resizing=False
            )
        _begin_new_tokens(model, processor, folder)
        return cast(PaliGemmaForConditionalGeneration, decode_greedily(model, processor.tokenizer))

    def untrained(
        self, config: PaliGemmaConfig, processor: PaliGemmaProcessor, seed: int
    ) -> PaliGemmaForConditionalGeneration:
        """The positions of patches and bins begin in order."""
        return fresh_model(config, processor, seed)

    def image_side(self, processor: PaliGemmaProcessor) -> int:
        """As the folder states it: 224, 448 or 896 px of the published models."""
        return int(processor.image_processor.size["height"])

    def box_format(self, coordinates: str) -> str:
        """Tags with <loc> tokens, in either order of the coordinates."""
        return coordinates

    def describe_boxes(self, coordinates: str) -> str:
        """Tags, in the order of the training."""
        return f"{coordinates}, 512 bins, `<p bbox=<locNNNN>x4 id=<segNNN>>phrase</p>`"

    def tower(self, model: PaliGemmaForConditionalGeneration) -> Sequence[nn.Module]:
        """SigLIP, without the projector."""
        tower: Any = model.model.vision_tower
        return [tower]

    def projector(self, model: PaliGemmaForConditionalGeneration) -> Sequence[nn.Module]:
        """One matrix."""
        projector: Any = model.model.multi_modal_projector
        return [projector]

    def language(self, model: PaliGemmaForConditionalGeneration) -> nn.Module:
        """Gemma 2."""
        language: Any = model.model.language_model
        return cast(nn.Module, language)

    def encode(self, model: PaliGemmaForConditionalGeneration, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """A frozen tower runs without a graph. `inputs` may be packed, see `refrad.model.packing`."""
        tower = model.model.vision_tower
        tower_trains = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in tower.parameters())
        with torch.set_grad_enabled(tower_trains):
            features = tower(pixel_values=inputs["pixel_values"])
        features.pooler_output = model.model.multi_modal_projector(features.last_hidden_state)
        text = {name: tensor for name, tensor in inputs.items() if name != "pixel_values"}
        attention: dict[str, Tensor | BlockMask] = {}
        if "sample_ids" in text:
            implementation = model.config.get_text_config()._attn_implementation
            mask = packed_mask(text.pop("sample_ids"), text.pop("token_type_ids"), implementation)
            attention["attention_mask"] = mask
        hidden = model.model(
            **{**text, **attention}, mm_encoder_outputs={"image": features}, use_cache=False
        ).last_hidden_state
        return features.last_hidden_state, hidden

    def grammar(self, processor: PaliGemmaProcessor) -> list[LogitsProcessor]:
        """Four coordinates and a class in each tag."""
        return [WellFormed(processor)]


@torch.no_grad()
def _begin_new_tokens(model: PaliGemmaForConditionalGeneration, processor: PaliGemmaProcessor, folder: Path) -> None:
    """Of PaliGemma's own vocabulary these rows are padding, which was never trained."""
    before = GemmaTokenizer.from_pretrained(folder, local_files_only=True)
    words: Any = model.get_input_embeddings().weight
    for token in GROUNDING_TOKENS:
        if token not in before.get_vocab():
            pieces = before(token, add_special_tokens=False)["input_ids"]
            words[processor.tokenizer.convert_tokens_to_ids(token)] = words[pieces].mean(0)


BASE_MODEL: BaseModel = PaliGemma()
