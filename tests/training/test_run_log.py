"""The log of a training: one line a step, also after resumes, torn lines and numbers that JSON has not."""

import json
import math

from tests.factories.training_steps import step_record

from refrad.model.training_account import LOGS, STEPS
from refrad.training.run_log import RunLog, copy_logs
from refrad.training.state import Point
from refrad.training.train_config import TrainConfig

CONFIG = TrainConfig(steps=10, max_seconds=None, batch=8, grad_accumulation=1, learning_rate=1e-3, seed=0)


def lines_of(folder):
    return [json.loads(line) for line in (folder / STEPS).read_text().splitlines()]


def log_steps(folder, first, last, loss=1.0):
    with RunLog(folder, CONFIG, first - 1) as run_log:
        for step in range(first, last + 1):
            run_log.add(step_record(step, loss=loss, progress=step / 10))


def test_line_has_the_rates_and_the_time_left_of_its_step(tmp_path):
    record = step_record(3, loss=2.5, progress=0.25, elapsed=20.0, task={"vqa": 2.0, "locate": 3.0})
    with RunLog(tmp_path, CONFIG, 0) as run_log:
        run_log.add(record, Point(3, 20.0, 2.6, 2.25, 1e-3))
    (line,) = lines_of(tmp_path)
    # 8 samples and 800 tokens in 0.5 s; a quarter took 20 s, so three quarters take 60 s
    assert (line["samples_per_second"], line["tokens_per_second"], line["seconds_left"]) == (16.0, 1600.0, 60.0)
    assert (line["step"], line["loss"], line["learning_rate"], line["grad_norm"]) == (3, 2.5, 1e-3, 0.5)
    assert (line["memory_gib"], line["skipped"], line["task"]) == (1.5, False, {"vqa": 2.0, "locate": 3.0})
    assert line["validation"]["loss"] == 2.25


def test_steps_that_are_done_again_have_one_line(tmp_path):
    log_steps(tmp_path, 1, 6, loss=1.0)
    log_steps(tmp_path, 4, 8, loss=2.0)  # resumed from the state of step 3
    lines = lines_of(tmp_path)
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [line["loss"] for line in lines] == [1.0] * 3 + [2.0] * 5


def test_torn_last_line_is_dropped_and_the_log_goes_on(tmp_path):
    log_steps(tmp_path, 1, 3)
    path = tmp_path / STEPS
    path.write_bytes(path.read_bytes()[:-20])  # within the line of step 3, whose state was saved
    log_steps(tmp_path, 4, 5)
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 4, 5]


def test_training_that_starts_anew_keeps_no_line(tmp_path):
    log_steps(tmp_path, 1, 6)
    log_steps(tmp_path, 1, 2)
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2]


def test_damaged_lines_are_dropped(tmp_path):
    log_steps(tmp_path, 1, 3)
    path = tmp_path / STEPS
    first, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(first + b"\0" * 30 + b"\n" + b'[1, 2]\n{"step": "4"}\n' + b"".join(rest) + rest[-1])
    log_steps(tmp_path, 4, 4)
    assert [line["step"] for line in lines_of(tmp_path)] == [1, 2, 3, 4]


def test_loss_that_is_no_number_is_null(tmp_path):
    with RunLog(tmp_path, CONFIG, 0) as run_log:
        run_log.add(step_record(1, loss=math.nan, grad_norm=math.inf, skipped=True), Point(1, 1.0, 1.0, math.nan, 1e-3))
    (line,) = lines_of(tmp_path)
    assert (line["loss"], line["grad_norm"], line["skipped"], line["validation"]["loss"]) == (None, None, True, None)
    assert "NaN" not in (tmp_path / STEPS).read_text()


def test_log_without_a_folder_writes_nothing():
    with RunLog(None, CONFIG, 0) as run_log:
        run_log.add(step_record(1))
        run_log.flush()


def test_lines_are_readable_before_the_end_once_flushed(tmp_path):
    with RunLog(tmp_path, CONFIG, 0) as run_log:
        run_log.add(step_record(1))
        run_log.flush()
        assert [line["step"] for line in lines_of(tmp_path)] == [1]


def test_copied_event_files_do_not_name_the_machine(tmp_path):
    folder = tmp_path / "work" / LOGS / "tensorboard"
    folder.mkdir(parents=True)
    for host in ("ct-ward.hospital.example", "ct-ward"):
        (folder / f"events.out.tfevents.1700000000.{host}.71.0").write_bytes(host.encode()[:2])
    copy_logs(tmp_path / "work", tmp_path / "checkpoint")
    names = sorted(path.name for path in (tmp_path / "checkpoint" / LOGS / "tensorboard").iterdir())
    assert names == ["events.out.tfevents.1700000000.000", "events.out.tfevents.1700000000.001"]
    copy_logs(tmp_path / "none", tmp_path / "other")
    assert not (tmp_path / "other").exists()
