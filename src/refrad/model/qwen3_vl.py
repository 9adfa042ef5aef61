"""Qwen3-VL as the base model: it writes boxes as a JSON list, in its own vocabulary."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import LogitsProcessor, Qwen3VLConfig, Qwen3VLForConditionalGeneration

from refrad.config import TrainOptions
from refrad.model.base_model import BaseModel
from refrad.model.box_formats import JSON
from refrad.model.qwen_processor import QwenProcessor, load_qwen_processor
from refrad.model.radgrounder import decode_greedily

__all__ = ["BASE_MODEL", "Qwen3VL"]

ATTENTION = "sdpa"  # it has neither a soft-cap nor a prefix, which only eager and flex attention respect


class Qwen3VL:
    """Qwen3-VL: a vision transformer for images of any size, merged by two in each direction, and Qwen3 with causal attention."""

    title = "Qwen3-VL"
    licence = "apache-2.0"
    tokens = "Qwen's own; none are added"
    loading: tuple[str, ...] = (
        "from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration",
        "model = Qwen3VLForConditionalGeneration.from_pretrained(folder)",
        "tokenizer = AutoTokenizer.from_pretrained(folder)  # with the chat template",
    )

    def check_options(self, options: TrainOptions, folder: Path) -> None:  # noqa: ARG002
        """Its boxes are text, its attention has no prefix, and its images have no fixed grid."""
        refused = [
            (options.variant == "segmentation", "variant is segmentation", "it has no mask head; set detection"),
            (options.coordinates == "yxyx", "coordinates is yxyx", "it writes x first; set xyxy"),
            (options.pack_tokens is not False, f"pack_tokens is {options.pack_tokens}", "set false"),
            (options.soft_label_sigma > 0, f"soft_label_sigma is {options.soft_label_sigma:g}", "set 0"),
            (
                options.tower_pretraining_steps > 0,
                f"tower_pretraining_steps is {options.tower_pretraining_steps}",
                "its tower comes pretrained; set 0",
            ),
            (options.attention != "eager", f"attention is {options.attention}", "it always runs SDPA; set eager"),
        ]
        for is_refused, setting, remedy in refused:
            if is_refused:
                raise ValueError(f"train.{setting}: not supported with Qwen3-VL: {remedy}")

    def load_processor(self, folder: Path, image_size: int | None = None) -> QwenProcessor:
        """See `load_qwen_processor`."""
        return load_qwen_processor(folder, image_size)

    def load_model(
        self,
        folder: Path,
        processor: QwenProcessor,
        attention: str,  # noqa: ARG002
        dtype: torch.dtype,
        quantization: Any = None,
    ) -> Qwen3VLForConditionalGeneration:
        """Its vocabulary stays as it is; `attention` is ignored."""
        model = Qwen3VLForConditionalGeneration.from_pretrained(
            folder, dtype=dtype, attn_implementation=ATTENTION, local_files_only=True, quantization_config=quantization
        )
        return cast(Qwen3VLForConditionalGeneration, decode_greedily(model, processor.tokenizer))

    def untrained(self, config: Qwen3VLConfig, processor: QwenProcessor, seed: int) -> Qwen3VLForConditionalGeneration:
        """All weights as transformers initializes them."""
        config._attn_implementation = ATTENTION
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = Qwen3VLForConditionalGeneration(config).float()
        return cast(Qwen3VLForConditionalGeneration, decode_greedily(model, processor.tokenizer))

    def image_side(self, processor: QwenProcessor) -> int:
        """Of the training; a multiple of 32 px."""
        return processor.image_side

    def box_format(self, coordinates: str) -> str:  # noqa: ARG002
        """The sentence, then a JSON list."""
        return JSON

    def describe_boxes(self, coordinates: str) -> str:  # noqa: ARG002
        """A list after the sentence."""
        return 'xyxy, in thousandths, after the sentence: `[{"bbox_2d": [x, y, x, y], "label": "phrase", "class": N}]`'

    def tower(self, model: Qwen3VLForConditionalGeneration) -> Sequence[nn.Module]:
        """Patches, positions and blocks, without the mergers, which also feed the first layers of the language model."""
        visual = model.model.visual
        return [visual.patch_embed, visual.pos_embed, visual.blocks]

    def projector(self, model: Qwen3VLForConditionalGeneration) -> Sequence[nn.Module]:
        """The mergers."""
        visual = model.model.visual
        return [visual.merger, *visual.deepstack_merger_list]

    def language(self, model: Qwen3VLForConditionalGeneration) -> nn.Module:
        """Qwen3."""
        language: nn.Module = model.model.language_model
        return language

    def encode(self, model: Qwen3VLForConditionalGeneration, inputs: dict[str, Tensor]) -> tuple[None, Tensor]:
        """A frozen tower has no graph, since nothing before it has a gradient."""
        hidden: Tensor = model.model(**inputs, use_cache=False).last_hidden_state
        return None, hidden

    def grammar(self, processor: QwenProcessor) -> list[LogitsProcessor]:  # noqa: ARG002
        """None: what is no JSON, or has no four coordinates, is listed as damaged."""
        return []


BASE_MODEL: BaseModel = Qwen3VL()
