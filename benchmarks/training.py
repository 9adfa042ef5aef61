"""What a training step costs on a GPU: the published recipe against RefRad's, on random weights of the size of PaliGemma 2 3B.

    python benchmarks/training.py --peak 989e12        # a GPU; under 8 minutes; --json prints JSON lines
    python benchmarks/training.py --tiny               # the same on a CPU with a small model, in about 2 minutes: a rehearsal
    python benchmarks/training.py --count              # only the FLOPs of a sample, on the meta device

It needs torch, transformers and pydantic, and no model, tokenizer, table library or network; docs/training-results.md says what to
carry to a bare GPU machine. --parts selects parts, --until bounds the seconds, and a part that fails becomes a line.
"""

import argparse
import os
import platform
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
import transformers
from generation import generation_parts
from gpu import Bench, Row, configuration, made_up_batch, random_model, shape_of
from torch import Tensor
from torch._dynamo.utils import counters
from transformers import PaliGemmaConfig

from refrad.model.canary import check_image_input
from refrad.model.packing import pack, pad_to_multiple, rows_of
from refrad.training.flops import flops_per_sample, on_meta
from refrad.training.losses import labelled_loss
from refrad.training.objective import batch_loss
from refrad.training.optim import make_optimizer
from refrad.training.reference_models import PALIGEMMA2_3B
from refrad.training.step_log import token_count

PARTS = (
    "environment",
    "image",
    "head",
    "step",
    "ragged",
    "packing",
    "optimizer",
    "checkpointing",
    "generation",
    "state",
)
WARM = 3  # micro-batches before any is timed
ACCUMULATION = 12  # micro-batches of an optimizer step, as published
PUBLISHED_HOURS = 60.0  # 2.5 days on one H100
PUBLISHED_SAMPLES = 6 * (760_409 + 256_197)  # 6 epochs of its training pairs
LENGTHS = (60, 71, 82, 93, 104, 115, 126, 137, 148)  # text tokens; a batch has like lengths, as in training
LossOf = Callable[[Any, Mapping[str, Tensor]], Tensor]


# FLOPs, on the meta device
@cache
def useful_flops(tiny: bool) -> float:
    """FLOPs of a sample without anything that is computed twice."""
    config = configuration(tiny)
    return flops_per_sample(on_meta(config), shape_of(config))["total"]


def count() -> None:
    """FLOPs of a sample by part, of the published recipe and RefRad's."""
    config = PaliGemmaConfig(**PALIGEMMA2_3B)
    model, shape = on_meta(config), shape_of(config)
    stock = flops_per_sample(model, shape, recompute=True, every_logit=True)
    ours = flops_per_sample(model, shape, chunked_head=True)
    print(f"a sample: {shape.image} image tokens, {shape.text} text tokens, {shape.target} of them targets; TFLOP")
    print(f"{'':<34}{'tower':>8}{'language':>10}{'head':>8}{'total':>8}")
    for name, parts in (("checkpointing, all logits", stock), ("frozen tower, target logits", ours)):
        print(f"{name:<34}" + "".join(f"{parts[part] / 1e12:>{9 if part == 'language' else 8}.2f}" for part in parts))
    print(f"ratio {stock['total'] / ours['total']:.2f}")
    gigabytes = [tokens * 257_216 * 4 / 1e9 for tokens in ((shape.image + shape.text) * 24, shape.target * 24, 1024)]
    print(
        "float32 logits of a batch of 24: {:.1f} GB, of the targets {:.1f} GB, of a chunk {:.1f} GB".format(*gigabytes)
    )
    print("about four copies of a chunk are alive at once: logits, capped logits, log-probabilities and their gradient")


# Parts
def environment(bench: Bench) -> Row:
    """Versions and card."""
    card = torch.cuda.get_device_name() if bench.gpu else platform.processor() or "CPU"
    return {"torch": torch.__version__, "transformers": transformers.__version__, "card": card}


def image_is_seen(bench: Bench) -> Row:
    """Whether another image gives another loss, and the check that training runs."""
    model = random_model(bench)
    check_image_input(model)
    losses = []
    for seed in (0, 1):
        batch = made_up_batch(model.config, [40])
        batch["pixel_values"] = made_up_batch(model.config, [40], seed)["pixel_values"]
        with torch.no_grad():
            losses.append(batch_loss(model, batch).item())
    return {"loss": losses[0], "other image": losses[1], "seen": losses[0] != losses[1]}


def head(bench: Bench, kind: str) -> Row:
    """Seconds of the vocabulary head, forward and backward, for the 1,440 targets of a batch of 24."""
    width, words, tokens = (64, 2048, 144) if bench.tiny else (2304, 257_216, 1440)
    torch.set_float32_matmul_precision("high" if kind == "tf32" else "highest")
    torch.manual_seed(0)
    vocabulary = (torch.randn(words, width, device=bench.device) * 0.02).requires_grad_()
    hidden = torch.randn(1, tokens + 1, width, device=bench.device).requires_grad_()
    labels = torch.randint(0, words, (1, tokens + 1))
    dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32

    def once() -> float:
        loss = labelled_loss(hidden.to(dtype), vocabulary, labels, 30.0)
        loss.backward()
        vocabulary.grad = None
        return loss.item()

    once()
    start = bench.now()
    losses = [once() for _ in range(3)]
    return {"s": (bench.now() - start) / 3, "loss": losses[-1]}


def stock_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """The loss of transformers itself: all logits, in one piece."""
    with torch.autocast(model.device.type, torch.bfloat16):
        loss: Tensor = model(**{name: tensor.to(model.device) for name, tensor in batch.items()}, use_cache=False).loss
    return loss


our_loss: LossOf = partial(batch_loss, compute_dtype="bfloat16")


def compiled(bench: Bench, model: Any, dynamic: bool | None = None) -> None:
    """Compile the layers of the language model; without a GPU with a compiler that makes no code."""
    for layer in model.model.language_model.layers:
        layer.compile(dynamic=dynamic, backend="inductor" if bench.gpu else "aot_eager")


def time_steps(
    bench: Bench,
    model: Any,
    loss_of: LossOf,
    batches: Sequence[Mapping[str, Tensor]],
    optimizer: str = "adafactor",
    warm: int = WARM,
) -> Row:
    """Seconds of a micro-batch and of an optimizer step, and what follows of a step of 12 micro-batches.

    Gradients add up over the micro-batches, as in training. tokens/s are of tokens that are no padding.
    """
    counters.clear()
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    stepper = make_optimizer(learned, optimizer, 5e-5, 0.01)  # type: ignore[arg-type]
    seconds, tokens, samples, loss = [], 0, 0, torch.zeros(())
    timed = max(2 if bench.tiny else 6, len(batches))
    for number in range(warm + timed):
        batch = batches[number % len(batches)]
        start = bench.now()
        loss = loss_of(model, batch)
        loss.backward()
        seconds.append(bench.now() - start)
        if number >= warm:
            tokens += token_count(batch)
            samples += len(batch["pixel_values"])
    stepping = []
    for _ in range(2):
        start = bench.now()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        stepper.step()
        stepping.append(bench.now() - start)
    micro, step = sum(seconds[warm:]) / timed, stepping[-1]
    whole = micro + step / ACCUMULATION  # a micro-batch with its share of the optimizer's step
    row = {
        "warm-up s": sum(seconds[:warm]),
        "slowest s": max(seconds[warm:]),
        "micro-batch s": micro,
        "optimizer s": step,
    }
    row |= {"samples/s": samples / timed / whole, "tokens/s": tokens / timed / whole, "loss": loss.item()}
    if graphs := counters["stats"].get("unique_graphs"):
        row["graphs"] = graphs
    if bench.peak:
        row["share of peak"] = useful_flops(bench.tiny) * row["samples/s"] / bench.peak
    return row


def step(bench: Bench, name: str, batch: int) -> Row:
    """A recipe on samples of equal length. Stock: eager attention, checkpointing, logits of all tokens."""
    model = random_model(bench, "flex_attention" if bench.gpu and name != "stock" else "eager")
    rows = [made_up_batch(model.config, [100] * batch)]
    if name == "stock":
        model.activation_checkpointing_enable()
        return {"batch": batch, **time_steps(bench, model, stock_loss, rows)}
    torch.set_float32_matmul_precision("high")
    if "checkpointing" in name:
        model.activation_checkpointing_enable()
    if "uncompiled" not in name:
        compiled(bench, model)
    return {"batch": batch, **time_steps(bench, model, our_loss, rows, "adamw" if "AdamW" in name else "adafactor")}


def fitting(measure: Callable[[int], Row], batch: int) -> Row:
    """The measurement with the largest of batch, batch / 2, ... that fits into memory."""
    while True:
        try:
            return measure(batch)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
        batch //= 2
        torch.cuda.empty_cache()


def ragged(bench: Bench, multiple: int, dynamic: bool | None, limit: int = 0) -> Row:
    """Batches of nine lengths, in an order in which they alternate; packed in rows of `limit` tokens if it is not 0."""
    model = random_model(bench, "flex_attention" if bench.gpu else "eager")
    torch.set_float32_matmul_precision("high")
    compiled(bench, model, dynamic)
    batches = []
    for number in range(3 if bench.tiny else 18):
        first = LENGTHS[number * 7 % len(LENGTHS)]
        texts = [first + sample * 10 // bench.batch for sample in range(bench.batch)]
        batch = made_up_batch(model.config, texts, number)
        batches.append(pad_to_multiple(pack(batch, limit) if limit else batch, multiple))
    lengths = len({batch["input_ids"].shape for batch in batches})
    return {
        "shapes": lengths,
        **time_steps(bench, model, our_loss, batches, warm=len(batches)),
    }  # a first round compiles


def padding(bench: Bench, limit: int) -> Row:
    """Share of padding of captions of log-normal length, 12 words in the median, in batches of like length; no model."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randn(bench.batch * 256, generator=generator).mul(0.6).exp().mul(12).clamp(3, 80)
    texts = [256 + 20 + int(number * 2.5) for number in words.tolist()]
    row = {}
    for name, window in (("random order", 1), ("like lengths", 16)):
        batches = []
        for first in range(0, len(texts), window * bench.batch):
            group = sorted(texts[first : first + window * bench.batch]) if window > 1 else texts[first:][: bench.batch]
            batches += [group[start : start + bench.batch] for start in range(0, len(group), bench.batch)]
        row[name] = _padded([max(batch) * len(batch) for batch in batches], batches)
        row[f"{name}, multiple of 32"] = _padded([-(-max(batch) // 32) * 32 * len(batch) for batch in batches], batches)
        rows = [[sum(batch[sample] for sample in span) for span in rows_of(batch, limit)] for batch in batches]
        row[f"{name}, packed"] = _padded([max(sums) * len(sums) for sums in rows], batches)
    return row


def _padded(places: Sequence[int], batches: Sequence[Sequence[int]]) -> str:
    return f"{1 - sum(map(sum, batches)) / sum(places):.1%}"


def state(bench: Bench) -> Row:
    """Seconds to write and read a state: weights and Adafactor, in float32."""
    weights = {name: tensor.detach() for name, tensor in random_model(bench).state_dict().items()}
    with tempfile.TemporaryDirectory(dir=os.environ.get("OUT") or None) as folder:
        path = Path(folder) / "state.pt"
        start = time.perf_counter()
        with path.open("wb") as file:
            torch.save(weights, file)
            file.flush()
            os.fsync(file.fileno())
        written, size = time.perf_counter() - start, path.stat().st_size / 1e9
        start = time.perf_counter()
        torch.load(path, map_location="cpu", weights_only=True)
        return {"GB": size, "write s": written, "read s": time.perf_counter() - start, "write GB/s": size / written}


def summary(bench: Bench) -> Row:
    """The numbers of the goal: GPU hours of the published run, and the share of the peak."""
    stock = bench.rows.get("step: published recipe", {}).get("samples/s")
    ours = max((row.get("samples/s", 0.0) for title, row in bench.rows.items() if "ours" in title), default=0.0)
    samples = PUBLISHED_SAMPLES
    row: Row = {"samples": samples, "published h": PUBLISHED_HOURS}
    if stock:
        row["published recipe here h"] = samples / stock / 3600
    if ours:
        row |= {"ours h": samples / ours / 3600, "published / ours": PUBLISHED_HOURS / (samples / ours / 3600)}
    if stock and ours:
        row["recipe here / ours"] = ours / stock
    if ours and bench.peak:
        row["share of peak"] = useful_flops(bench.tiny) * ours / bench.peak
    return row


def measure(bench: Bench) -> None:
    """All parts, the most telling ones first, and the summary."""
    bench.run("environment", "", partial(environment, bench))
    bench.run("image", "", partial(image_is_seen, bench))
    for kind in ("float32", "tf32", "bfloat16"):
        bench.run("head", kind, partial(head, bench, kind))
    batch = bench.batch
    bench.run("step", "ours, uncompiled", lambda: fitting(partial(step, bench, "uncompiled"), batch))
    bench.run("step", "ours", lambda: fitting(partial(step, bench, "ours"), batch))
    bench.run("step", "published recipe", lambda: fitting(partial(step, bench, "stock"), batch))
    generation_parts(bench)
    bench.run("ragged", "any length", partial(ragged, bench, 1, None))
    bench.run("ragged", "multiples of 32", partial(ragged, bench, 32, None))
    bench.run("packing", "rows of 2048", partial(ragged, bench, 128, None, 2048))
    bench.run("packing", "padding", partial(padding, bench, 2048))
    bench.run("optimizer", "AdamW", lambda: fitting(partial(step, bench, "AdamW"), batch))
    bench.run("checkpointing", "ours", lambda: fitting(partial(step, bench, "ours, checkpointing"), 2 * batch))
    bench.run("ragged", "multiples of 32, a graph for each", partial(ragged, bench, 32, False))
    bench.run("state", "", partial(state, bench))
    bench.show("goal", summary(bench))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", action="store_true", help="FLOPs of a sample, and nothing else")
    parser.add_argument("--tiny", action="store_true", help="a small model, to rehearse")
    parser.add_argument("--peak", type=float, help="FLOP/s of the card in bfloat16, dense; default: by its name")
    parser.add_argument("--batch", type=int, help="samples of a micro-batch; default 24")
    parser.add_argument("--until", type=float, default=450, help="seconds after which no part begins")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=(), help="default: all")
    parser.add_argument("--json", action="store_true", help="JSON lines instead of text")
    arguments = parser.parse_args()
    if arguments.count:
        count()
        raise SystemExit
    bench = Bench(arguments.tiny, arguments.peak, arguments.until, arguments.parts, arguments.json)
    if not bench.gpu and not bench.tiny:
        raise SystemExit("no GPU here: --tiny rehearses on the CPU, --count counts FLOPs")
    card = bench.card()
    bench.peak = bench.peak or (card.flops if card else None)
    bench.batch = arguments.batch or (2 if bench.tiny else 24)
    measure(bench)
