"""benchmarks/training.py and generation.py must run on a bare GPU machine: the same code on a CPU, with a small model."""

import importlib
import json
import subprocess
import sys

import pytest
import torch

ABSENT = (
    "polars pyarrow pydicom pandera pandas SimpleITK nibabel scipy sklearn matplotlib pycocotools starlette cyclopts"
)
BARE = f"""
import runpy, sys
for name in "{ABSENT}".split():
    sys.modules[name] = None  # importing it fails
sys.path.insert(0, "benchmarks")
sys.argv[0] = script = sys.argv.pop(1)
runpy.run_path(script, run_name="__main__")
"""


def rehearse(root, script, *arguments):
    """The rows that a script prints on a machine without most packages, by their titles."""
    command = [sys.executable, "-c", BARE, f"benchmarks/{script}", "--tiny", "--json", *arguments]
    output = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return {row["part"]: row for row in map(json.loads, output.splitlines())}


def test_training_benchmark_runs_without_tables_tokenizers_and_models(root):
    parts = ["environment", "image", "head", "step", "generation", "state"]
    rows = rehearse(root, "training.py", "--peak", "1e12", "--parts", *parts)
    assert not [title for title, row in rows.items() if "failed" in row]
    assert rows["environment"]["torch"] == torch.__version__
    assert rows["image"]["seen"] is True
    assert rows["head: bfloat16"]["loss"] == pytest.approx(rows["head: float32"]["loss"], rel=1e-3)
    assert rows["step: ours"]["loss"] == pytest.approx(rows["step: published recipe"]["loss"], rel=0.01)
    # 6 epochs of 760,409 CT and 256,197 MR pairs; 2 samples a micro-batch, an optimizer step per 12 micro-batches
    goal, ours = rows["goal"], rows["step: ours"]
    assert goal["samples"] == 6_099_636 and goal["published h"] == 60
    assert ours["samples/s"] == pytest.approx(2 / (ours["micro-batch s"] + ours["optimizer s"] / 12))
    fastest = max(rows[title]["samples/s"] for title in ("step: ours", "step: ours, uncompiled"))
    assert goal["ours h"] == pytest.approx(6_099_636 / fastest / 3600)


def test_parts_that_begin_too_late_are_left_out(root):
    rows = rehearse(root, "training.py", "--until", "0", "--parts", "environment", "head")
    assert all("left out" in row for title, row in rows.items() if title != "goal") and len(rows) == 5


@pytest.fixture
def gpu(root, monkeypatch):
    monkeypatch.syspath_prepend(root / "benchmarks")
    return importlib.import_module("gpu")


@pytest.mark.parametrize(
    ("name", "flops"),
    [("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L40S", 362e12), ("NVIDIA T400", None)],
)
def test_peak_is_that_of_the_card(gpu, monkeypatch, name, flops):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    card = gpu.Bench(True, None, 0).card()
    assert (card.flops if card else None) == flops


def test_part_that_fails_becomes_a_row_and_the_next_one_runs(gpu, capsys):
    bench = gpu.Bench(True, None, 60, as_json=True)

    def out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 9 GiB")

    bench.run("step", "ours", out_of_memory)
    bench.run("state", "", lambda: {"GB": 12.1})
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["failed"], first["why"]) == ("OutOfMemoryError", "CUDA out of memory. Tried to allocate 9 GiB")
    assert second["GB"] == 12.1


def test_made_up_batch_is_one_of_collate(gpu):
    """Two samples of 64 image tokens; of 10 and 20 text tokens six in ten are targets."""
    batch = gpu.made_up_batch(gpu.configuration(tiny=True), [10, 20])
    assert batch["attention_mask"].sum(1).tolist() == [74, 84]
    assert (batch["labels"] != -100).sum(1).tolist() == [6, 12]
    assert batch["token_type_ids"].equal((batch["labels"] != -100).long())
    assert (batch["input_ids"] == 2000).sum(1).tolist() == [64, 64]
