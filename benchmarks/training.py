"""What a step of training costs with the 3B model: stock settings beside RefRad's. `.venv/bin/python benchmarks/training.py`.

Without a GPU it counts FLOPs of a sample on the meta device. With one, and with the folder of a PaliGemma 2 given, it also times
steps of both in the same process:

    .venv/bin/python benchmarks/training.py /models/paligemma2-3b-pt-224 --batch 24
"""

import argparse
import time
from functools import partial
from pathlib import Path

import torch
from transformers import PaliGemmaConfig

from refrad.model.cost import Shape, flops_per_sample, on_meta
from refrad.model.optimizing import make_optimizer
from refrad.model.processor import load_processor
from refrad.model.radgrounder import load_model
from refrad.model.reference import PALIGEMMA2_3B
from refrad.model.training import batch_loss

PEAK = 989e12  # FLOP/s of an H100 SXM in bfloat16, dense
SHAPE = Shape()


def count() -> dict[str, float]:
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
    return {"stock": stock["total"], "ours": ours["total"]}


def measure(folder: Path, batch: int, steps: int, flops: dict[str, float]) -> None:
    """Seconds of a step, share of the peak (of RefRad's own FLOPs, for both), and memory."""
    processor = load_processor(folder)
    rows = {
        "input_ids": torch.full((batch, SHAPE.image + SHAPE.text), 5),
        "attention_mask": torch.ones(batch, SHAPE.image + SHAPE.text, dtype=torch.long),
        "token_type_ids": torch.zeros(batch, SHAPE.image + SHAPE.text, dtype=torch.long),
        "pixel_values": torch.randn(batch, 3, 224, 224),
    }
    rows["input_ids"][:, : SHAPE.image] = processor.image_token_id
    rows["token_type_ids"][:, -SHAPE.target :] = 1
    rows["labels"] = torch.where(rows["token_type_ids"] == 1, rows["input_ids"], -100)
    taken = {}
    for name in ("stock", "ours"):
        model = load_model(folder, processor, "eager" if name == "stock" else "flex_attention").cuda()
        model.train()
        if name == "stock":
            model.gradient_checkpointing_enable()
            loss_of = partial(stock_loss, model)
        else:
            model.model.vision_tower.requires_grad_(False)
            model.model.language_model.compile()
            loss_of = partial(batch_loss, model, precision="bfloat16")
        learned = [one for one in model.parameters() if one.requires_grad]
        optimizer = make_optimizer(learned, "adafactor", 5e-5, 0.01)
        torch.cuda.reset_peak_memory_stats()
        for step in range(3 + steps):
            if step == 3:
                torch.cuda.synchronize()
                start = time.perf_counter()
            loss_of(rows).backward()
            torch.nn.utils.clip_grad_norm_(learned, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        torch.cuda.synchronize()
        taken[name] = (time.perf_counter() - start) / steps
        share, memory = flops["ours"] * batch / taken[name] / PEAK, torch.cuda.max_memory_allocated() / 2**30
        tokens = batch * (SHAPE.image + SHAPE.text) / taken[name]
        print(
            f"{name}: {taken[name]:.3f} s a step of {batch}, {tokens:,.0f} tokens/s, MFU {share:.0%}, {memory:.0f} GiB"
        )
        del model, optimizer, learned, loss_of
        torch.cuda.empty_cache()
    print(f"ratio {taken['stock'] / taken['ours']:.2f} on {torch.cuda.get_device_name()}")


def stock_loss(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss of transformers itself: all logits, in one piece."""
    with torch.autocast("cuda", torch.bfloat16):
        return model(**{name: tensor.cuda() for name, tensor in batch.items()}, use_cache=False).loss


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--batch", type=int, default=24)
    parser.add_argument("--steps", type=int, default=10)
    arguments = parser.parse_args()
    counted = count()
    if arguments.folder and torch.cuda.is_available():
        measure(arguments.folder, arguments.batch, arguments.steps, counted)
    else:
        print("step time, MFU and memory: not measured, for want of a GPU or of a model's folder")
