"""Parts of the generation of answers with a tiny model, each against its alternative.

python benchmarks/generation.py

Prints seconds and ratios: the grammar of tags as tensor operations against a loop over rows; cached keys and values against none; the
share of the vision tower, which is what encoding each image once could save; and bfloat16 against float32, on a GPU if there is one. The
weights are random and the texts few, so the ratios say nothing about a model of 3 billion parameters.
"""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from refrad.inference.generate import WellFormed, generate
from refrad.model.processor import tiny_processor
from refrad.model.radgrounder import tiny_model

BATCH, TOKENS, WORDS = 64, 48, 257_216  # words of PaliGemma 2
REPEATS = 20
PROMPT = "<image>\n\nLocate: Liver "


def loop_over_rows(grammar: WellFormed, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """The grammar one row at a time, in Python; the tokens come to the CPU after each word."""
    masked = torch.full_like(scores, -torch.inf)
    for number, row in enumerate(input_ids[:, -5:].tolist()):
        first, end = 0, scores.shape[1]
        if row[-1] == grammar.id:
            first, end = grammar.seg, grammar.seg + 128
        elif row[-2] == grammar.id:
            first, end = grammar.end, grammar.end + 1
        elif grammar.tag in row:
            sides = row[len(row) - row[::-1].index(grammar.tag) :]
            first, end = (sides[-2] if len(sides) >= 2 else grammar.loc), grammar.loc + 512
            if len(sides) == 4:
                first, end = grammar.id, grammar.id + 1
        masked[number, first:end] = scores[number, first:end]
    return masked


def seconds_of(function: Callable[[], Any], device: str, repeats: int = 1) -> float:
    """Seconds of the fastest of some calls, after one to warm up."""
    durations = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        function()
        if device == "cuda":
            torch.cuda.synchronize()
        durations.append(time.perf_counter() - start)
    return min(durations[1:])


def print_ratio(name: str, before: float, after: float) -> None:
    """A line with both sides."""
    print(f"{name}: {before:.4f} s against {after:.4f} s, ratio {before / after:.2f}")


def main() -> None:
    """Measure, and print a line for each part."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    print(f"device {device}, {torch.get_num_threads()} threads, batch {BATCH}")
    processor = tiny_processor(["Locate: Liver, spleen "] * 4, image_size=64, patch=8, words=320)
    model: Any = tiny_model(processor, 0).to(device)

    # Grammar: half of the rows are inside a tag
    grammar = WellFormed(processor)
    rows = torch.tensor([[7, 7, grammar.tag, grammar.loc, grammar.loc + 3], [7] * 5] * (BATCH // 2), device=device)
    scores = torch.randn(BATCH, WORDS, device=device)
    if not loop_over_rows(grammar, rows, scores).equal(grammar(rows, scores)):
        raise ValueError("the two grammars differ")
    looped = seconds_of(lambda: loop_over_rows(grammar, rows, scores), device, REPEATS)
    print_ratio("grammar, loop and tensors", looped, seconds_of(lambda: grammar(rows, scores), device, REPEATS))

    # Decoding; random weights hardly ever end, so all answers have the same length
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (64, 64, 3), np.uint8) for _ in range(BATCH)]

    def decode() -> None:
        generate(model, processor, images, [PROMPT] * BATCH, TOKENS, BATCH)

    full = seconds_of(decode, device)
    model.generation_config.use_cache = False
    print_ratio("keys and values, not cached and cached", seconds_of(decode, device), full)
    model.generation_config.use_cache = True
    pixels = torch.zeros(BATCH, 3, 64, 64, device=device)
    with torch.no_grad():
        tower = seconds_of(lambda: model.model.vision_tower(pixel_values=pixels), device)
    print(f"vision tower: {tower:.4f} s of {full:.4f} s, share {tower / full:.1%}")
    model.to(torch.bfloat16)
    print_ratio("float32 and bfloat16", full, seconds_of(decode, device))


if __name__ == "__main__":
    main()
