"""What the measurements on a GPU share: cards, a model with random weights, made-up batches, and parts that fail one by one.

No tokenizer, folder, table library or network is needed: token ids are made up, and weights are drawn on the device.
"""

import gc
import json
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration

from refrad.model.flex import register_flex_attention
from refrad.training.flops import Shape
from refrad.training.reference_models import PALIGEMMA2_3B

Row = dict[str, Any]


class Card(NamedTuple):
    """A GPU: FLOP/s in bfloat16 without sparsity, and bytes a second of its memory."""

    flops: float
    bandwidth: float


# From the vendors' data sheets. A longer name comes before one that it contains.
CARDS = {
    "B200": Card(2250e12, 8.0e12),
    "GH200": Card(989e12, 4.0e12),
    "H200": Card(989e12, 4.8e12),
    "H100 PCIe": Card(756e12, 2.0e12),
    "H100 NVL": Card(835e12, 3.9e12),
    "H100": Card(989e12, 3.35e12),
    "A100-SXM4-80GB": Card(312e12, 2.04e12),
    "A100 80GB": Card(312e12, 1.94e12),
    "A100": Card(312e12, 1.56e12),
    "L40S": Card(362e12, 0.864e12),
    "RTX 4090": Card(165e12, 1.01e12),
    "RTX 3090": Card(71e12, 0.936e12),
    "RTX A6000": Card(155e12, 0.768e12),
    "A10": Card(125e12, 0.6e12),
    "L4": Card(121e12, 0.3e12),
}


@dataclass
class Bench:
    """Where and how to measure.

    tiny: small models and few steps, to see that the measuring works. peak: FLOP/s of the card, None if unknown.
    until: seconds after which no part begins. parts: names of the parts to run; empty for all. as_json: print JSON lines.
    """

    tiny: bool
    peak: float | None
    until: float
    parts: Sequence[str] = ()
    as_json: bool = False
    batch: int = 24
    rows: dict[str, Row] = field(default_factory=dict)
    start: float = field(default_factory=time.perf_counter)

    @property
    def gpu(self) -> bool:
        """Whether there is a GPU."""
        return torch.cuda.is_available()

    @property
    def device(self) -> str:
        """The device's name for torch."""
        return "cuda" if self.gpu else "cpu"

    def now(self) -> float:
        """Seconds, when all that was begun has ended."""
        if self.gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def run(self, part: str, name: str, measure: Callable[[], Row]) -> None:
        """Measure and print a row; an error becomes a row, and the rest goes on."""
        if self.parts and part not in self.parts:
            return None
        title = f"{part}: {name}" if name else part
        if time.perf_counter() - self.start > self.until:
            return self.show(title, {"left out": f"after {self.until:.0f} s"})
        self.free()
        begin = time.perf_counter()
        try:
            row = measure()
        except Exception as error:
            row = {"failed": type(error).__name__, "why": " ".join(str(error).split())[:400]}
        if self.gpu:
            row["peak GiB"] = round(torch.cuda.max_memory_allocated() / 2**30, 1)
        self.rows[title] = row
        return self.show(title, row | {"part s": round(time.perf_counter() - begin, 1)})

    def show(self, title: str, row: Mapping[str, Any]) -> None:
        """Print a row: its title, and each number with its name."""
        if self.as_json:
            print(json.dumps({"part": title, **row}), flush=True)
        else:
            print(f"{title:<44}" + "   ".join(f"{name} {_text(value)}" for name, value in row.items()), flush=True)

    def free(self) -> None:
        """Give back what the part before has left."""
        gc.collect()
        torch.compiler.reset()
        torch.set_float32_matmul_precision("highest")
        if self.gpu:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()

    def card(self) -> Card | None:
        """The card, if its name is known."""
        name = torch.cuda.get_device_name() if self.gpu else ""
        return next((card for part, card in CARDS.items() if part in name), None)


def _text(value: Any) -> str:
    if not isinstance(value, float):
        return f"{value:,}" if type(value) is int else str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.4g}"


def configuration(tiny: bool) -> PaliGemmaConfig:
    """That of PaliGemma 2 3B, or of a small model of the same kind."""
    values = deepcopy(PALIGEMMA2_3B)
    if tiny:
        values["text_config"] |= {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 2,
            "vocab_size": 2048,
        }
        values["text_config"] |= {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
        values["vision_config"] |= {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        values["vision_config"] |= {"num_attention_heads": 2, "image_size": 112, "projection_dim": 64}
        values |= {"projection_dim": 64, "image_token_index": 2000}
    return PaliGemmaConfig(**values)


def random_model(bench: Bench, attention: str = "eager") -> PaliGemmaForConditionalGeneration:
    """The model with random float32 weights, drawn on the device; its vision tower is frozen."""
    config = configuration(bench.tiny)
    if attention == "flex_attention":
        register_flex_attention()
    torch.manual_seed(0)
    with torch.device(bench.device):
        model = PaliGemmaForConditionalGeneration(config)
    model.set_attn_implementation(
        {"text_config": attention, "vision_config": "eager" if attention == "eager" else "sdpa"}
    )
    model.model.vision_tower.requires_grad_(False)
    return model.train()


def shape_of(config: Any, text: int = 100, target: int = 60) -> Shape:
    """A sample with as many image tokens as the model has patches."""
    vision = config.vision_config
    return Shape((vision.image_size // vision.patch_size) ** 2, text, target)


def made_up_batch(config: Any, texts: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """A batch as `collate` makes it, of samples with so many text tokens, six in ten of them targets.

    Token ids and pixels are random. int64 [samples, length] and float32 [samples, 3, side, side], in pinned memory with a GPU.
    """
    generator = torch.Generator().manual_seed(seed)
    image, side = shape_of(config).image, config.vision_config.image_size
    length = image + max(texts)
    ids = torch.randint(5, 1900, (len(texts), length), generator=generator)
    ids[:, :image] = config.image_token_id
    places, lengths = torch.arange(length), image + torch.tensor(texts)[:, None]
    real = places < lengths
    target = real & (places >= lengths - (torch.tensor(texts)[:, None] * 6) // 10)
    batch = {
        "input_ids": ids.masked_fill(~real, 0),
        "attention_mask": real.long(),
        "token_type_ids": target.long(),
        "labels": ids.masked_fill(~target, -100),
        "pixel_values": torch.randn(len(texts), 3, side, side, generator=generator),
    }
    return {name: tensor.pin_memory() for name, tensor in batch.items()} if torch.cuda.is_available() else batch
