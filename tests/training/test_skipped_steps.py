import itertools
import json
import stat

import pytest
import torch
from torch import nn

from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import Batch, DataPosition, SampleId
from refrad.training.skipped_steps import MOST_SKIPPED
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import train_loop
from refrad.training.validation import Validation

NAN, INF = float("nan"), float("inf")
NO_VALIDATION = Validation()


def batches_with(values):
    """Batches whose tensor x is 1, or what `values` names for its number (from 1), from a position on."""

    def batches_from(position):
        for number in itertools.count(position.batch + 1):
            yield Batch(
                {"x": torch.tensor(values.get(number, 1.0))},
                ["vqa"],
                DataPosition(0, number),
                [SampleId(0, number, f"image-{number}")],
            )

    return batches_from


def loss_of(model, batch):
    return (model(torch.ones(1, 2)) * batch["x"]).square().mean()


def trained(values, steps=6, saved=None, validation=NO_VALIDATION, loss=loss_of, **options):
    torch.manual_seed(0)
    model = nn.Linear(2, 2)
    options = {"learning_rate": 0.1, "warmup_ratio": 0.0} | options
    config = TrainConfig(steps, None, 1, **({"grad_accumulation": 1, "seed": 0} | options))
    return model, train_loop(model, loss, batches_with(values), validation, config, saved)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
@pytest.mark.parametrize("value", [NAN, INF, 1e30])  # 1e30 squared overflows
def test_step_that_is_not_finite_changes_nothing(tmp_path, optimizer, value):
    saved = Checkpoints(tmp_path / "work", "one", keep=9)
    model, state = trained({3: value}, 4, saved, optimizer=optimizer, save_steps=1)
    assert state.skipped == 1 and state.steps == 4 and state.tasks == {"vqa": 4}
    two, four = saved.load(2), saved.load(4)
    assert sorted(path.name for path in saved.folder.glob("step-*.pt")) == [
        f"step-00000000{step}.pt"
        for step in (1, 2, 4)  # none while steps are skipped
    ]
    counted = {float(values["step"]) for values in four["optimizer"]["state"].values()}
    assert counted == {3.0}  # updates: those of steps 1, 2 and 4
    assert not four["model"]["weight"].equal(two["model"]["weight"])
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert all(point.loss < 10 for point in state.curve)


def test_one_bad_batch_of_an_accumulated_step_skips_it():
    _, state = trained({5: NAN}, 3, grad_accumulation=2)
    assert state.skipped == 1 and state.steps == 3


def test_gradient_that_is_not_finite_skips_the_step():
    def loss(model, batch):
        weight = model.weight if batch["x"] == 1 else model.weight - model.weight.detach()  # sqrt has no slope at 0
        return weight.abs().sqrt().sum()

    model, state = trained({2: 2.0}, 3, loss=loss)
    assert state.skipped == 1 and model.weight.isfinite().all()


def test_rows_of_skipped_steps_end_the_training(tmp_path, caplog):
    saved = Checkpoints(tmp_path / "x.work", "one")
    bad = dict.fromkeys(range(5, 99), NAN)
    with pytest.raises(ValueError, match=f"not finite in {MOST_SKIPPED} steps in a row, up to step 14") as stopped:
        trained(bad, 99, saved, save_steps=1)
    message = str(stopped.value)
    assert "\n" not in message and "image-" not in message and "skipped-steps-0.jsonl in " in message
    assert saved.newest()["step"] == 4
    file = saved.folder / "skipped-steps-0.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(5, 15))
    assert lines[0]["batches"] == [{"loss": "nan", "samples": [{"epoch": 0, "index": 5, "image_id": "image-5"}]}]
    assert "image-" not in caplog.text and "step 5 is skipped" in caplog.text


def test_skipped_steps_apart_do_not_end_the_training():
    values = dict.fromkeys(range(1, MOST_SKIPPED), NAN) | dict.fromkeys(range(MOST_SKIPPED + 1, 2 * MOST_SKIPPED), NAN)
    _, state = trained(values, 2 * MOST_SKIPPED)
    assert state.skipped == 2 * (MOST_SKIPPED - 1)


def test_count_of_skipped_steps_is_resumed(tmp_path):
    for steps in (4, 8):
        _, state = trained({2: NAN, 6: INF}, steps, Checkpoints(tmp_path / "work", "one"))
    assert (state.skipped, state.resumed) == (2, 1)


@pytest.mark.parametrize("first", [NAN, INF])
def test_validation_that_is_not_finite_does_not_disable_best(tmp_path, first):
    calls = []

    def loss(model, batch):
        if batch["x"] != 2:
            return loss_of(model, batch)
        calls.append(first if not calls else 5.0 - len(calls))
        return model.weight.sum() * 0 + calls[-1]

    saved = Checkpoints(tmp_path / "work", "one", keep=9)
    validation = Validation({"vqa": [{"x": torch.tensor(2.0), "pixel_values": torch.zeros(1)}]}, {"vqa": 1.0})
    _, state = trained({}, 3, saved, validation, loss)
    assert [point.validation_loss for point in state.curve] == [None, 4.0]  # after steps 2 and 3
    assert state.best_step == 3 and saved.best() is not None


def test_training_without_a_finite_step_ends_with_a_message():
    with pytest.raises(ValueError, match="not finite in any step"):
        trained(dict.fromkeys(range(1, 9), NAN), 3)
