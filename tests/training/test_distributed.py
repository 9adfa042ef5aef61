"""Two processes, as DDP or with FSDP2, train what one does."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.factories import options
from torch.distributed.tensor import DTensor

from refrad.anatomy.schema import load_schema
from refrad.config import TrainOptions
from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.model.processor import tiny_processor
from refrad.model.radgrounder import add_head, tiny_model
from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import SINGLE_PROCESS, join_processes
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.step import train
from refrad.training.train_config import TrainConfig
from refrad.training.trained_weights import TrainedWeights
from refrad.training.validation import Validation, collate_validation, draw_validation
from refrad.workflow.job_records import error_line

WAYS = [(sharding, kind) for kind in ("plain", "masks", "lora", "bfloat16") for sharding in ("ddp", "fsdp2")]
STEPS = 4
LORA = {"trained": ["tokens", "projector"], "lora": {"rank": 4, "dropout": 0.2, "targets": ["q_proj", "down_proj"]}}
ADAPTERS = {"lora": LORA, "bfloat16": LORA | {"frozen_dtype": "bfloat16"}}


def trained(images, schema, folder, sharding, kind, steps, context=SINGLE_PROCESS):
    """Some steps of a tiny model, from a state in the folder if there is one; the newest state is there afterwards."""
    processor = tiny_processor(["Locate: Liver, spleen "] * 4, image_size=64, patch=8, words=320)
    model = tiny_model(processor, 0)
    if kind == "masks":
        add_head(model, processor, 0)
    if kind in ADAPTERS:  # dropout must not depend on the process
        TrainedWeights(model, processor, TrainOptions(**options("train", model="/a/folder", **ADAPTERS[kind])))
    names = surface_forms(TableRows(read_image_table([images])).classes.meanings, load_schema(schema))
    shares = {"locate": 0.5, "detect": 0.0, "vqa": 0.5}
    train_samples, unseen = (
        Samples(
            TableRows(read_image_table([images], {split})),
            names,
            SampleOptions(64, None if kind == "masks" else "yxyx", shares, 0, None),
        )
        for split in ("train", "validation")
    )
    saved = Checkpoints(folder, "one", keep=9, is_main=context.is_main)
    recipe = TrainConfig(
        steps,
        None,
        2,
        4,
        1e-3,
        0,
        save_steps=2,
        sharding=sharding,
        compute_dtype="bfloat16" if kind == "bfloat16" else "float32",
    )
    keys = draw_validation(unseen, shares, 16, recipe.batch)
    validation = Validation(collate_validation(unseen, processor, keys, recipe.batch), shares)
    done = train(model, processor, train_samples, validation, recipe, saved, context)
    return done, any(isinstance(one, DTensor) for one in model.parameters())


def process(images, schema, folder):
    torch.set_num_threads(1)
    context = join_processes(0)
    for sharding, kind in WAYS:
        _, parted = trained(images, schema, folder / f"{sharding}-{kind}", sharding, kind, STEPS, context)
        assert parted == (sharding == "fsdp2")
        if kind != "masks":  # the same once more, from the state at half way
            again = folder / f"again-{sharding}-{kind}"
            if context.is_main:
                again.mkdir()
                for name in ("identity", "step-000000002.pt", "best-000000002.pt"):
                    (again / name).hardlink_to(folder / f"{sharding}-{kind}" / name)
            context.wait_for_main()
            done, _ = trained(images, schema, again, sharding, kind, STEPS, context)
            assert done.resumed == 1
    context.leave()


LOST = """
import sys
from refrad.training.distributed import join_processes
context = join_processes(0)
if context.rank == 1:
    sys.exit("refrad train: the disk or the quota is full")
with context.watching_peers():
    context.wait_for_main()
"""


def test_process_that_loses_another_ends_with_one_line_of_its_own(tmp_path):
    script = tmp_path / "lost.py"
    script.write_text(LOST)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode != 0
    assert error_line(done.stderr.splitlines()) == "refrad train: the disk or the quota is full"
    own = [line for line in done.stderr.splitlines() if line.startswith("process 0 of 2: another process")]
    assert len(own) <= 1  # none if torchrun ended it first


SKIPPING = """
import itertools
import sys
import torch
from torch import nn
from refrad.training.dataloader import Batch, DataPosition
from refrad.training.distributed import join_processes
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import train_loop
from refrad.training.validation import Validation

torch.set_num_threads(1)
context = join_processes(0)

def batches_from(position):
    for number in itertools.count(1):
        added = float("nan") if (context.rank, number) == (1, 2) else 0.0  # gradients stay finite
        yield Batch({"x": torch.tensor(added)}, ["vqa", "vqa"], DataPosition(0, number))

def loss_of(model, batch):
    return model(torch.ones(1, 2)).square().mean() + batch["x"]

for sharding in ("ddp", "fsdp2"):
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    config = TrainConfig(3, None, 1, 2, 0.1, 0, sharding=sharding)
    state = train_loop(model, loss_of, batches_from, Validation(), config, context=context)
    weights = context.gather_full(model.state_dict())
    # One write a line: torchrun starts Python unbuffered, and both processes have one pipe.
    sys.stdout.write(f"{context.rank} {sharding} skipped {state.skipped} of {state.steps}\\n")
    if context.is_main:
        sys.stdout.write(f"{sharding} {[round(float(value), 6) for value in weights['weight'].flatten()]}\\n")
context.leave()
"""


@pytest.mark.slow
def test_all_processes_skip_a_step_that_is_not_finite_in_one(tmp_path):
    script = tmp_path / "skipping.py"
    script.write_text(SKIPPING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = done.stdout.splitlines()
    for sharding in ("ddp", "fsdp2"):
        assert {f"{rank} {sharding} skipped 1 of 3" for rank in (0, 1)} <= set(lines)
    weights = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if "[" in line}
    assert weights["ddp"] == weights["fsdp2"] and "nan" not in weights["ddp"]


def weights_of(folder):
    return torch.load(folder / f"step-{STEPS:09d}.pt", weights_only=True)


@pytest.mark.slow
def test_two_processes_train_as_one_however_they_share_the_model(images, root, tmp_path):
    schema = root / "workflow" / "anatomy" / "classes.yaml"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", __name__]
    done = subprocess.run([*command, images, schema, tmp_path], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr[-30000:]
    for sharding, kind in WAYS:
        alone = tmp_path / f"alone-{kind}"
        if not alone.exists():
            trained(images, schema, alone, "ddp", kind, STEPS)
        one, other = weights_of(alone), weights_of(tmp_path / f"{sharding}-{kind}")
        for name, value in one["model"].items():
            assert torch.allclose(value, other["model"][name], atol=2e-5), (sharding, kind, name)
        assert other["trained"]["tasks"] == one["trained"]["tasks"]
        unseen = [each["trained"]["curve"][-1]["validation_loss"] for each in (one, other)]
        assert unseen[1] == pytest.approx(unseen[0], abs=1e-3)
        if kind != "masks":
            again = weights_of(tmp_path / f"again-{sharding}-{kind}")
            assert all(value.equal(again["model"][name]) for name, value in other["model"].items())


if __name__ == "__main__":
    process(*map(Path, sys.argv[1:]))
