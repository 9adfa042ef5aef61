"""What a step of training costs with the 3B model: stock settings beside RefRad's. `.venv/bin/python benchmarks/training.py`.

Without a GPU it counts FLOPs of a sample on the meta device. With one, and with the folder of a PaliGemma 2 given, it also times
steps of both in the same process. --peak is the GPU's FLOP/s in bfloat16, dense (989e12: an H100 SXM):

    .venv/bin/python benchmarks/training.py /models/paligemma2-3b-pt-224 --batch 24 --peak 989e12

With --tiny it times the tiny model, on the processor if there is no GPU: to see that the measuring works.

With --packing it counts padding, and times steps of the tiny model, for samples in random order, in batches of like length, and
packed into rows:

    .venv/bin/python benchmarks/training.py --packing
"""

import argparse
import io
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from PIL import Image
from torch import Tensor
from transformers import PaliGemmaConfig, PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.dataset.example_rows import TableRows
from refrad.model.collate import collate
from refrad.model.packing import pack, rows_of
from refrad.model.processor import load_processor, tiny_processor
from refrad.model.radgrounder import PATCH, load_model, tiny_model
from refrad.training.dataloader import BatchOrder
from refrad.training.flops import Shape, flops_per_sample, on_meta
from refrad.training.optim import make_optimizer
from refrad.training.reference_models import PALIGEMMA2_3B
from refrad.training.samples import SampleOptions, Samples
from refrad.training.step import batch_loss

WARM = 3  # steps before any is timed
SHAPE = Shape()
WORDS = ("liver", "spleen", "kidney", "normal", "lesion", "cyst", "without", "left", "right", "enhancing", "size", "of")


def count() -> None:
    """FLOPs of a sample, stock and ours."""
    model = on_meta(PaliGemmaConfig(**PALIGEMMA2_3B))
    stock = flops_per_sample(model, SHAPE, recompute=True, every_logit=True)
    ours = flops_per_sample(model, SHAPE)
    print(f"one sample: {SHAPE.image} image tokens, {SHAPE.text} text tokens, {SHAPE.target} of them learned; TFLOP")
    print(f"{'':<34}{'tower':>8}{'language':>10}{'head':>8}{'total':>8}")
    for name, one in (("checkpointing, all logits", stock), ("frozen tower, learned logits", ours)):
        print(f"{name:<34}" + "".join(f"{one[part] / 1e12:>{9 if part == 'language' else 8}.2f}" for part in one))
    print(f"ratio {stock['total'] / ours['total']:.2f}")
    full, some = (SHAPE.image + SHAPE.text) * 257_216 * 4 * 24 / 1e9, SHAPE.target * 257_216 * 4 * 24 / 1e9
    print(
        f"float32 logits of a batch of 24: {full:.1f} GB for all places, {some:.1f} GB for the learned ones, 1.1 GB in chunks of 1024"
    )


def measure(folder: Path | None, batch: int, steps: int, peak: float) -> None:
    """Seconds of a step, tokens a second, memory and share of the peak: stock settings and RefRad's, in turn, on the same batch.

    Both: frozen tower, bfloat16 multiplications, float32 weights, Adafactor, clipping. Stock: eager attention, gradient
    checkpointing, logits of all places. RefRad's: no checkpointing, the tower without a graph, logits of learned places; on a
    GPU flex attention and compiled layers. The share of the peak is of RefRad's own FLOPs for both: what is done twice is no use.

    Args:
        folder: of the model; None for the tiny one.
        batch: samples of a step.
        steps: that are timed, after three that are not.
        peak: FLOP/s of the GPU.
    """
    gpu = torch.cuda.is_available()
    processor = load_processor(folder) if folder else tiny_processor(["Locate: liver "] * 4, 64, PATCH)
    flops, taken = 0.0, {}
    for name in ("stock", "ours"):
        flex = gpu and name == "ours"
        model = (
            load_model(folder, processor, "flex_attention" if flex else "eager") if folder else tiny_model(processor, 0)
        ).to("cuda" if gpu else "cpu")
        model.train()
        model.model.vision_tower.requires_grad_(False)
        rows = made_up(model, processor, batch)
        if name == "stock":
            model.activation_checkpointing_enable()
            loss_of = partial(stock_loss, model)
        else:
            if gpu:
                for layer in model.model.language_model.layers:
                    layer.compile()
            loss_of = partial(batch_loss, model, compute_dtype="bfloat16")
            flops = flops_per_sample(on_meta(model.config), shape_of(model))["total"]
        learned = [one for one in model.parameters() if one.requires_grad]
        optimizer = make_optimizer(learned, "adafactor", 5e-5, 0.01)
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        for step in range(WARM + steps):
            if step == WARM:
                start = now(gpu)
            loss_of(rows).backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        seconds = taken[name] = (now(gpu) - start) / steps
        memory = f"{torch.cuda.max_memory_allocated() / 2**30:.0f} GiB" if gpu else "memory: of GPUs alone"
        print(
            f"{name}: {seconds:.3f} s a step of {batch}, {rows['input_ids'].numel() / seconds:,.0f} tokens/s, {memory}"
        )
        del model, optimizer, learned, loss_of
        if gpu:
            torch.cuda.empty_cache()
    if gpu:
        shares = (f"{name} {flops * batch / seconds / peak:.0%}" for name, seconds in taken.items())
        print(f"share of the peak of {peak / 1e12:.0f} TFLOP/s: {', '.join(shares)}")
    where = torch.cuda.get_device_name() if gpu else "the processor, which says nothing of a GPU"
    print(f"ratio {taken['stock'] / taken['ours']:.2f} on {where}")


def shape_of(model: PaliGemmaForConditionalGeneration) -> Shape:
    """A sample with as many image tokens as the model has patches."""
    vision: Any = model.config.vision_config
    return replace(SHAPE, image=(vision.image_size // vision.patch_size) ** 2)


def made_up(
    model: PaliGemmaForConditionalGeneration, processor: PaliGemmaProcessor, batch: int
) -> dict[str, torch.Tensor]:
    """A batch of samples of equal length."""
    shape, side = shape_of(model), processor.image_processor.size["height"]
    length = shape.image + shape.text
    rows = {
        "input_ids": torch.full((batch, length), 5),
        "attention_mask": torch.ones(batch, length, dtype=torch.long),
        "token_type_ids": torch.zeros(batch, length, dtype=torch.long),
        "pixel_values": torch.randn(batch, 3, side, side),
    }
    rows["input_ids"][:, : shape.image] = processor.image_token_id
    rows["token_type_ids"][:, -shape.target :] = 1
    return rows | {"labels": torch.where(rows["token_type_ids"] == 1, rows["input_ids"], -100)}


def now(gpu: bool) -> float:
    """Seconds, when all that was begun has ended."""
    if gpu:
        torch.cuda.synchronize()
    return time.perf_counter()


def stock_loss(model: PaliGemmaForConditionalGeneration, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of transformers itself: all logits, in one piece."""
    with torch.autocast(model.device.type, torch.bfloat16):
        loss: torch.Tensor = model(
            **{name: tensor.to(model.device) for name, tensor in batch.items()}, use_cache=False
        ).loss
    return loss


def captions(count: int) -> Samples:
    """Made-up images with sentences of log-normal length, 12 words in the median; asked for a caption with boxes."""
    rng = np.random.default_rng(0)
    picture = io.BytesIO()
    Image.new("RGB", (64, 64)).save(picture, format="PNG")
    question = {"language": "en", "topic": "", "kind": "open", "question": "", "choices": [], "answer": ""}
    rows = []
    for number in range(count):
        text = " ".join(rng.choice(WORDS, int(np.clip(rng.lognormal(np.log(12), 0.6), 3, 80))))
        box = {"x_min": 8, "y_min": 8, "x_max": 32, "y_max": 32, "class_id": 5}
        entities = [box | {"start": 0, "end": text.index(" "), "text": text.split()[0]}]
        about = {
            "image_id": f"{number:06d}",
            "patient": "p",
            "split": "train",
            "modality": "CT",
            "width": 64,
            "height": 64,
        }
        caption = {"language": "en", "text": text, "indication": None, "question": None, "entities": entities}
        pictured = {"image": {"bytes": picture.getvalue(), "path": None}}
        rows.append(
            about | pictured | {"structures": [box | {"rle": ""}], "captions": [caption], "questions": [question]}
        )
    frame = pl.DataFrame(rows)
    return Samples(TableRows(frame), {}, SampleOptions(64, "yxyx", {"locate": 0.0, "detect": 1.0, "vqa": 0.0}, 0, None))


def packing(batch: int, limit: int, steps: int) -> None:
    """Share of padding with 256 image tokens a sample, and tokens that are no padding a second of the tiny model, four ways."""
    torch.set_num_threads(1)
    samples = captions(batch * 64)
    processor = tiny_processor([" ".join(WORDS)] * 4, 64, 8, words=320)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = tiny_model(processor, 0).to(device)  # type: ignore[arg-type]
    if device == "cuda":
        model.config.get_text_config()._attn_implementation = "flex_attention"
    orders = {
        "random order": np.random.default_rng(0).permutation(len(samples)).reshape(-1, batch).tolist(),
        "like lengths": [[index for _, index in drawn.keys] for drawn in BatchOrder(samples, batch, 0).batches(0)],
    }
    made = {
        name: [collate(processor, [samples[0, one] for one in some]) for some in order]
        for name, order in orders.items()
    }
    print(f"batches of {batch}; packed: rows of at most {limit} tokens; steps of the tiny model on {device}")
    print(f"{'':<24}{'padding, 3B':>13}{'padding, tiny':>15}{'tokens/s':>10}")
    speeds = {}
    for name, tensors in made.items():
        text = [(one["attention_mask"].sum(1) - 64 + SHAPE.image).tolist() for one in tensors]
        for packed in (False, True):
            batches = [pack(one, limit) if packed else one for one in tensors]
            batch_loss(model, batches[0]).backward()
            real, start = sum(map(_real, batches[:steps])), _clock()
            for one in batches[:steps]:
                batch_loss(model, one).backward()
            label = f"{name}, packed" if packed else name
            speeds[label] = real / (_clock() - start)
            every = sum(one["input_ids"].numel() for one in batches)
            small, large = 1 - sum(map(_real, batches)) / every, _padded(text, limit if packed else None)
            print(f"{label:<24}{large:>13.1%}{small:>15.1%}{speeds[label]:>10,.0f}")
    for name in orders:
        print(f"{name}: packed / plain {speeds[f'{name}, packed'] / speeds[name]:.2f}")


def _real(batch: Mapping[str, Tensor]) -> int:
    """Tokens that are no padding."""
    return int((batch["sample_ids"] >= 0).sum() if "sample_ids" in batch else batch["attention_mask"].sum())


def _padded(batches: Sequence[Sequence[int]], limit: int | None) -> float:
    """Share of padding in batches of samples of so many tokens."""
    places = 0
    for lengths in batches:
        rows = rows_of(lengths, limit) if limit else [range(one, one + 1) for one in range(len(lengths))]
        places += len(rows) * max(sum(lengths[one] for one in row) for row in rows)
    return 1 - sum(map(sum, batches)) / places


def _clock() -> float:
    """Seconds: of the GPU, or of the processor's own work, which others cannot slow down."""
    if not torch.cuda.is_available():
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--limit", type=int, default=2048)
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--peak", type=float, default=989e12)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    if arguments.packing:
        packing(arguments.batch, arguments.limit, arguments.steps)
        raise SystemExit
    if not arguments.tiny:
        count()
    if arguments.tiny or (arguments.folder and torch.cuda.is_available()):
        measure(arguments.folder, arguments.batch, arguments.steps, arguments.peak)
    else:
        print("step time, MFU and memory: not measured, for want of a GPU or of a model's folder")
