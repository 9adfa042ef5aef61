"""Validation: which samples are drawn, how their losses are weighted, and which weights are the best."""

import itertools
import math

import pytest
import torch
from torch import nn

from refrad.dataset.example_rows import TableRows
from refrad.dataset.examples import read_image_table
from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import Batch, DataPosition
from refrad.training.distributed import DistributedContext
from refrad.training.samples import SampleOptions, Samples, surface_forms
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import train_loop
from refrad.training.validation import Score, Validation, draw_validation

SHARES = {"locate": 0.5, "detect": 0.2, "vqa": 0.2, "caption": 0.1}


@pytest.fixture(scope="module")
def samples(images, schema):
    rows = TableRows(read_image_table([images], {"train"}))  # 24 images
    names = surface_forms(rows.classes.meanings, schema)
    return Samples(rows, names, SampleOptions(64, "yxyx", SHARES, 0, augment=None))


def test_tasks_are_drawn_by_their_shares_with_at_least_a_batch(samples):
    drawn = draw_validation(samples, SHARES, 20, 4)
    # 20 samples: half of them locate, a fifth each of detect and vqa; a tenth would be 2 captions, but a batch is 4
    assert {task: len(keys) for task, keys in drawn.items()} == {"locate": 10, "detect": 4, "vqa": 4, "caption": 4}
    for task, keys in drawn.items():
        assert all(samples[key].task == task for key in keys)


def test_image_serves_a_task_once(samples):
    drawn = draw_validation(samples, SHARES, 10_000, 4)
    for task, keys in drawn.items():
        rows = [samples.mixture.rows(epoch)[index] for epoch, index in keys]
        assert len(set(rows)) == len(rows), task
    assert len(drawn["locate"]) == 24  # all images of the table, though more were asked for


def test_draw_is_the_same_every_time(samples):
    assert draw_validation(samples, SHARES, 20, 4) == draw_validation(samples, SHARES, 20, 4)


def test_task_without_a_share_is_not_drawn(samples):
    assert "vqa" not in draw_validation(samples, {"locate": 1.0, "vqa": 0.0}, 20, 4)


def batch_of(number, loss):
    return {"pixel_values": torch.zeros(number, 1), "loss": torch.tensor(loss)}


VALIDATION = Validation(
    {"locate": [batch_of(4, 1.0), batch_of(2, 4.0)], "vqa": [batch_of(4, 3.0)]},
    {"locate": 0.75, "vqa": 0.25, "caption": 9.0},
)


def test_loss_counts_tasks_by_their_shares_as_training_does():
    measured = VALIDATION.measure(lambda batch: batch["loss"])
    # locate: (4 * 1 + 2 * 4) / 6 = 2; vqa: 3; caption has no samples. 0.75 * 2 + 0.25 * 3 = 2.25, over all 10 samples it were 2.4
    assert measured.tasks == {"locate": pytest.approx(2.0), "vqa": pytest.approx(3.0)}
    assert measured.loss == pytest.approx(2.25) and measured.score is None


class _Pair(DistributedContext):
    """The first of two processes, whose sums the other one doubles."""

    def mean(self, value):
        return value


def test_two_processes_divide_the_batches():
    calls = []
    for rank in (0, 1):
        VALIDATION.measure(lambda batch: calls.append(batch) or batch["loss"], _Pair(rank, 2, torch.device("cpu")))
    # three batches: the second process has the second and, so that both run two, the last one once more
    assert [len(batch["pixel_values"]) for batch in calls] == [4, 4, 2, 4]


def test_no_validation_samples_measure_nothing():
    assert Validation().measure(lambda _: None) == (None, {}, "loss", None)


class _Slope(nn.Module):
    """A weight that each step lowers: the loss falls at every point."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(10.0))


def trained(folder, scores=None, losses=None, steps=5):
    """A training with points of the curve after steps 2 to 5, with the scores or losses of these points."""
    following_scores, following_losses = iter(scores or ()), iter(losses or ())
    endless = (
        Batch({"pixel_values": torch.zeros(1, 1)}, ["vqa"], DataPosition(0, number)) for number in itertools.count(1)
    )
    saved = Checkpoints(folder, "one", keep=9)

    def loss_of(model, _):
        if torch.is_grad_enabled() or not losses:
            return model.weight * 1.0
        return torch.tensor(next(following_losses))

    score = Score("iou", lambda rank, size: (next(following_scores), 1)) if scores else None  # noqa: ARG005
    return saved, train_loop(
        _Slope(),
        loss_of,
        lambda _: endless,
        Validation({"vqa": [{"pixel_values": torch.zeros(1, 1)}]}, {"vqa": 1.0}, score),
        TrainConfig(steps, None, 1, 1, 0.5, 0, warmup_ratio=0.0, optimizer="adamw", weight_decay=0.0),
        saved,
    )


def test_best_weights_are_those_of_the_metric_and_not_of_the_loss(tmp_path):
    saved, state = trained(tmp_path / "a", scores=[0.2, 0.9, math.nan, 0.5])
    assert [point.score for point in state.curve][:2] == [0.2, 0.9] and state.best_step == 3
    losses = [point.validation_loss for point in state.curve]
    assert losses == sorted(losses, reverse=True)  # by the loss it would be step 5
    assert saved.best()["weight"].item() == pytest.approx(losses[1])


def test_best_weights_without_a_metric_are_those_of_the_lowest_loss(tmp_path):
    _, state = trained(tmp_path / "a", losses=[3.0, 1.0, 2.0, 1.0])
    assert state.best_step == 3


def test_point_that_is_no_number_is_never_the_best(tmp_path):
    _, state = trained(tmp_path / "a", losses=[math.nan, 3.0, math.inf, 5.0])
    assert state.best_step == 3
    _, state = trained(tmp_path / "b", losses=[math.nan] * 4)
    assert state.best_step is None
