"""Programs that show the numbers of a training: TensorBoard, Weights & Biases, MLflow and trackio.

All write to a folder of the run only. They get numbers and the names of options, never a path, a name or a text; their telemetry
and their records of the machine are off. Somebody who may publish the numbers can upload the folders afterwards.
"""

import importlib.util
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

__all__ = ["LOGGERS", "MetricLogger", "open_loggers", "require_loggers"]

PROJECT = "refrad"
MOST = 1000  # metrics of a transaction of MLflow
TOGETHER = 20.0  # seconds of steps that are written to a database at once


def _now() -> int:
    """Milliseconds since 1970."""
    return int(1000 * time.time())


class MetricLogger(Protocol):
    """A logger from one start of a training to its end."""

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Log the numbers of a step, by name; steps come in rising order."""

    def close(self) -> None:
        """Write what is left."""


class _TensorBoard:
    """Event files."""

    def __init__(self, folder: Path, numbers: Mapping[str, float], step: int) -> None:  # noqa: ARG002 - a common signature
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import SummaryWriter

        self._summary = Summary
        # Events of later steps in the files of an earlier start are hidden, since these steps are done again.
        self._writer: Any = SummaryWriter(str(folder), purge_step=step + 1, flush_secs=30)  # type: ignore[no-untyped-call]

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        # One event for all numbers: an event for each takes ten times as long.
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._writer.file_writer.add_summary(self._summary(value=values), step)

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A run of Weights & Biases in offline mode."""

    def __init__(self, folder: Path, numbers: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        os.environ["WANDB_ERROR_REPORTING"] = "false"
        import wandb

        settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            save_code=False,
            silent=True,
            host="none",
            username="none",
            email="none",
            program="none",
            x_disable_machine_info=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        )
        self._run: Any = wandb.init(
            project=PROJECT, dir=str(folder), mode="offline", config=dict(numbers), settings=settings
        )

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


class _Mlflow:
    """A run of MLflow in an SQLite file."""

    def __init__(self, folder: Path, numbers: Mapping[str, float], step: int) -> None:
        os.environ |= {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
        from mlflow.entities import Metric, Param, RunStatus
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        self._metric, self._finished = Metric, RunStatus.FINISHED
        # There are no artifacts; a client of MLflow would store a path of the site for them.
        self._store: Any = SqlAlchemyStore(f"sqlite:///{(folder / 'mlflow.db').absolute()}", "file:///none")
        experiment = self._store.get_experiment_by_name(PROJECT)
        number = experiment.experiment_id if experiment else self._store.create_experiment(PROJECT)
        info = self._store.create_run(number, user_id="none", start_time=_now(), tags=[], run_name=f"step {step}").info
        self._run = info.run_id
        self._store.log_batch(self._run, [], [Param(name, str(value)) for name, value in numbers.items()], [])
        self._metrics: list[Any] = []
        self._written = time.monotonic()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        self._metrics += [self._metric(name, value, _now(), step) for name, value in scalars.items()]
        if time.monotonic() - self._written > TOGETHER:  # a transaction takes as long as a step of a small model
            self._write()

    def _write(self) -> None:
        for first in range(0, len(self._metrics), MOST):
            self._store.log_batch(self._run, self._metrics[first : first + MOST], [], [])
        self._metrics, self._written = [], time.monotonic()

    def close(self) -> None:
        self._write()
        self._store.update_run_info(self._run, self._finished, _now(), None)


class _Trackio:
    """A run of trackio in an SQLite file."""

    def __init__(self, folder: Path, numbers: Mapping[str, float], step: int) -> None:  # noqa: ARG002
        for name in [name for name in os.environ if name.startswith("TRACKIO_")]:  # among them addresses of servers
            del os.environ[name]
        os.environ |= {"TRACKIO_DIR": str(folder), "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        import trackio

        self._run: Any = trackio.init(
            project=PROJECT, config=dict(numbers), embed=False, auto_log_gpu=False, auto_log_cpu=False
        )

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log(dict(scalars), step=step)

    def close(self) -> None:
        self._run.finish()


class _Entry(NamedTuple):
    """The package that a logger needs, and the function that starts it: of folder, numbers of the training, and its last step."""

    package: str
    start: Callable[[Path, Mapping[str, float], int], MetricLogger]


LOGGERS = {
    "tensorboard": _Entry("tensorboard", _TensorBoard),
    "wandb": _Entry("wandb", _Wandb),
    "mlflow": _Entry("mlflow", _Mlflow),
    "trackio": _Entry("trackio", _Trackio),
}


def require_loggers(names: Sequence[str], option: str) -> None:
    """Check that the packages of loggers are installed.

    Args:
        names: of the loggers.
        option: that names them, such as "train.loggers".

    Raises:
        ValueError: if one is not.
    """
    for name in names:
        package = LOGGERS[name].package
        if importlib.util.find_spec(package) is None:
            raise ValueError(
                f"{option} has {name}, but the package {package} is not installed: run pip install {package}, or remove it there"
            )


def open_loggers(names: Sequence[str], folder: Path, numbers: Mapping[str, float], step: int) -> list[MetricLogger]:
    """The loggers of these names, each with a folder of its name.

    Args:
        names: keys of `LOGGERS`.
        folder: of the run.
        numbers: name of each numeric option to its value.
        step: the last step before this start; logged steps follow it.
    """
    loggers = []
    for name in names:
        (folder / name).mkdir(exist_ok=True)
        loggers.append(LOGGERS[name].start(folder / name, numbers, step))
    return loggers
