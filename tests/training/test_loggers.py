"""Loggers: what they show of a training, that they stay in its folder, and what they say of the machine."""

import getpass
import importlib.util
import socket
from pathlib import Path

import pytest
from tests.factories.training_steps import step_record

from refrad.training.loggers import LOGGERS, require_loggers
from refrad.training.run_log import RunLog
from refrad.training.state import Point
from refrad.training.train_config import TrainConfig

HOST = socket.gethostname()  # looked for unless it is so short that it occurs by chance
REFUSED_IN_FILES = {Path.cwd().as_posix(), "/home/", *([HOST] if len(HOST) > 5 else [])}


def train_with(logger, folder):
    config = TrainConfig(10, None, 8, 1, 1e-3, 0, loggers=(logger,))
    for first, last in ((1, 4), (3, 6)):  # resumed from the state of step 2
        with RunLog(folder, config, first - 1) as run_log:
            for step in range(first, last + 1):
                point = Point(step, 1.0, 1.0, 0.75, 1e-3) if step == 6 else None
                run_log.add(step_record(step, loss=float(first), task={"vqa": 1.5}), point)
        for path in folder.glob("tensorboard/events.out.tfevents.*.*"):  # as if it had been started in another second
            path.rename(path.with_name(f"events.out.tfevents.{first}"))


def test_tensorboard_shows_each_step_once_after_a_resume(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train_with("tensorboard", tmp_path)
    shown = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    losses = {event.step: event.value for event in shown.Scalars("training/loss")}
    assert losses == {1: 1.0, 2: 1.0, 3: 3.0, 4: 3.0, 5: 3.0, 6: 3.0}
    assert len(shown.Scalars("training/loss")) == 6
    assert [(event.step, event.value) for event in shown.Scalars("validation/loss")] == [(6, 0.75)]
    assert shown.Scalars("training/task/vqa")[0].value == 1.5


@pytest.mark.parametrize("logger", ["wandb", "mlflow", "trackio"])
def test_logger_writes_to_the_folder_of_the_run_only(logger, tmp_path, monkeypatch):
    if importlib.util.find_spec(LOGGERS[logger].package) is None:
        pytest.skip(f"needs the package {logger}, which is an option")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking.example:5000")
    monkeypatch.setenv("TRACKIO_SERVER_URL", "http://tracking.example:7860")
    train_with(logger, tmp_path / "run")
    assert not list((tmp_path / "elsewhere").rglob("*"))
    files = [path for path in (tmp_path / "run" / logger).rglob("*") if path.is_file() and path.suffix != ".log"]
    assert files
    for path in files:
        content = path.read_bytes()
        for word in {*REFUSED_IN_FILES, tmp_path.as_posix(), f'"{getpass.getuser()}"'}:
            assert word.encode() not in content, (path.name, word)


@pytest.mark.parametrize("logger", sorted(LOGGERS))
def test_missing_package_is_named_with_its_remedy(logger, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    package = LOGGERS[logger].package
    with pytest.raises(ValueError, match=rf"train.loggers has {logger}, .* run pip install {package}, or remove it"):
        require_loggers([logger], "train.loggers")


def test_installed_packages_are_accepted():
    require_loggers(["tensorboard"], "train.loggers")
    require_loggers([], "train.loggers")
