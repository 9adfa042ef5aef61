"""What generation costs: with random weights of the size of PaliGemma 2 3B on a GPU, and parts of it with a tiny model on any machine.

    python benchmarks/generation.py             # a GPU: prefill, ms a token, and 2,000 images estimated, in several ways
    python benchmarks/generation.py --tiny      # the same on a CPU with a small model: a rehearsal
    python benchmarks/generation.py --parts     # the grammar, cached keys and values, and the tower, each against its alternative

It needs torch, transformers and pydantic, and no model, tokenizer, table library or network. The weights are random, so answers say
nothing, and all have the same length.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from gpu import Bench, Row, made_up_batch, random_model
from transformers import LogitsProcessorList

from refrad.inference.generate import generate
from refrad.model.processor import tiny_processor
from refrad.model.radgrounder import tiny_model
from refrad.model.tag_grammar import WellFormed

BATCH, TOKENS, WORDS = 64, 48, 257_216  # words of PaliGemma 2
ANSWER, PROMPT_TOKENS, IMAGES = 96, 40, 2000  # tokens of an answer and of a prompt; test images, of one answer each
REPEATS = 20
PROMPT = "<image>\n\nLocate: Liver "


def generation_parts(bench: Bench) -> None:
    """Generation in float32 and bfloat16, without the grammar, and in larger batches."""
    for name, dtype, options in (
        ("float32", torch.float32, {}),
        ("bfloat16", torch.bfloat16, {}),
        ("bfloat16, no grammar", torch.bfloat16, {"grammar": False}),
        ("bfloat16, batch x 4", torch.bfloat16, {"larger": 4}),
    ):
        bench.run("generation", name, partial(decode_made_up, bench, dtype, **options))


@torch.no_grad()
def decode_made_up(bench: Bench, dtype: torch.dtype, grammar: bool = True, larger: int = 1) -> Row:
    """Seconds of the prefill, ms a token, and seconds of 2,000 images, with the bound that the memory's bandwidth sets."""
    model: Any = random_model(bench).to(dtype).eval()
    size, tokens = (2, 4) if bench.tiny else (BATCH * larger, ANSWER)
    batch = made_up_batch(model.config, [PROMPT_TOKENS] * size)
    inputs = {name: tensor.to(bench.device) for name, tensor in batch.items() if name != "labels"}
    inputs["pixel_values"] = inputs["pixel_values"].to(dtype)
    inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
    options: dict[str, Any] = {"do_sample": False}
    if grammar:
        options["logits_processor"] = LogitsProcessorList([made_up_grammar(model.config.get_text_config().vocab_size)])

    def seconds(number: int) -> float:
        for _ in range(2):  # the first call warms up, or compiles
            start = bench.now()
            model.generate(**inputs, **options, max_new_tokens=number, min_new_tokens=number)
        return bench.now() - start

    prefill = seconds(1)
    whole = seconds(tokens)
    a_token = (whole - prefill) / (tokens - 1)
    row: Row = {"batch": size, "prefill s": prefill, "ms a token": 1e3 * a_token, "answers/s": size / whole}
    row[f"{IMAGES} images s"] = IMAGES / size * (prefill + (ANSWER - 1) * a_token)
    if card := bench.card():
        row["ms a token, bound"] = 1e3 * bytes_of_a_token(model, size) / card.bandwidth
    return row


def bytes_of_a_token(model: Any, batch: int) -> float:
    """Bytes that a decoding step reads: the language model's weights once, and keys and values of each row so far.

    The rows are half through their answer on average.
    """
    text, vision = model.config.get_text_config(), model.config.vision_config
    weights = sum(weight.numel() for weight in model.model.language_model.parameters())
    length = (vision.image_size // vision.patch_size) ** 2 + PROMPT_TOKENS + ANSWER / 2
    cached = 2 * text.num_hidden_layers * text.num_key_value_heads * text.head_dim * length * batch
    return float((weights + cached) * model.dtype.itemsize)


def made_up_grammar(words: int) -> WellFormed:
    """The grammar with the ids of PaliGemma 2's vocabulary, or with ids that fit into a small one."""
    first = 256_000 if words == WORDS else 512
    ids = {"<loc0000>": first, "<seg000>": first + 1024, "<p bbox=": first + 1152, " id=": first + 1153}

    class Tokenizer:
        def convert_tokens_to_ids(self, tokens: list[str]) -> list[int]:
            return [ids[token] for token in tokens]

        def __call__(self, *_: Any, **__: Any) -> dict[str, list[int]]:
            return {"input_ids": [7]}

    processor: Any = SimpleNamespace(tokenizer=Tokenizer())
    return WellFormed(processor)


# Parts, each against its alternative
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


def compare_parts() -> None:
    """Measure each part against its alternative, and print a line for it."""
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
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tiny", action="store_true", help="a small model, to rehearse")
    parser.add_argument(
        "--parts", action="store_true", help="parts of generation with a tiny model, each against its alternative"
    )
    parser.add_argument("--until", type=float, default=300, help="seconds after which no part begins")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")
    arguments = parser.parse_args()
    if arguments.parts:
        compare_parts()
        raise SystemExit
    bench = Bench(arguments.tiny, None, arguments.until, as_json=arguments.json)
    if not bench.gpu and not bench.tiny:
        raise SystemExit("no GPU here: --tiny rehearses on the CPU, --parts compares parts with a tiny model")
    generation_parts(bench)
