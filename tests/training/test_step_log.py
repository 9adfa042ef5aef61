import logging

import pytest
import torch
from tests.factories.training_steps import step_record

from refrad.training.step_log import StepLog, StepMeter, token_count


def test_step_log_line_has_rate_and_time_left(caplog):
    caplog.set_level(logging.INFO)
    step_log = StepLog(logging.getLogger("test"), "training", 4, every=0.0)
    step_log.add(step_record(1, loss=3.0, progress=0.0))
    step_log.add(step_record(2, loss=2.0, progress=0.25, elapsed=20.0))  # a quarter took 20 s: three quarters take 60 s
    first, second = caplog.messages
    assert first.startswith("training: step 1 of 4, loss 3.000, learning rate 0.001, gradient norm 0.50, ")
    assert first.endswith("unknown time left")
    assert (
        second.startswith("training: step 2 of 4, loss 2.000")
        and "samples/s" in second
        and second.endswith(" 60 s left")
    )


def test_step_log_writes_one_line_per_interval(caplog):
    caplog.set_level(logging.INFO)
    step_log = StepLog(logging.getLogger("test"), "training", 100, every=60.0)
    for step in range(50):
        step_log.add(step_record(step + 1, progress=step / 100))
    assert caplog.messages == []


def test_meter_has_the_mean_loss_of_each_task_and_counts_no_padding():
    meter = StepMeter()
    short = {"attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}
    for loss, task in ((1.0, "vqa"), (2.0, "locate"), (6.0, "vqa")):
        meter.add(torch.tensor(loss), short, task, 2)
    mean, by_task = meter.losses()
    assert mean == pytest.approx(3.0)  # (1 + 2 + 6) / 3
    assert by_task == {"vqa": pytest.approx(3.5), "locate": pytest.approx(2.0)}
    assert (meter.samples, meter.tokens) == (6, 15)


def test_tokens_of_packed_rows_and_of_pairs_are_counted():
    assert token_count({"sample_ids": torch.tensor([[0, 0, 1, -1], [2, -1, -1, -1]])}) == 4
    assert token_count({"input_ids": torch.zeros((3, 64), dtype=torch.int64)}) == 192
