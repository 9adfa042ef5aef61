import logging

from refrad.training.step_log import StepLog


def test_step_log_line_has_rate_and_time_left(caplog):
    caplog.set_level(logging.INFO)
    step_log = StepLog(logging.getLogger("test"), "training", 4, every=0.0)
    for step, loss in enumerate((3.0, 2.0)):
        step_log.add(loss, 1e-3, 0.5, 8, step / 4)
    first, second = caplog.messages
    assert first.startswith("training: step 1 of 4, loss 3.000, learning rate 0.001, gradient norm 0.50, ")
    assert first.endswith("unknown time left")
    assert (
        second.startswith("training: step 2 of 4, loss 2.000") and "samples/s" in second and second.endswith(" s left")
    )


def test_step_log_writes_one_line_per_interval(caplog):
    caplog.set_level(logging.INFO)
    step_log = StepLog(logging.getLogger("test"), "training", 100, every=60.0)
    for step in range(50):
        step_log.add(1.0, 1e-3, 0.5, 8, step / 100)
    assert caplog.messages == []
