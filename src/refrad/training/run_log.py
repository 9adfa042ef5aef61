"""The log of a training: a line of JSON for each step, and the same numbers for TensorBoard and other loggers.

The files are in the work folder while the training runs, and in the checkpoint afterwards.
"""

import json
import math
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from refrad.core.files import atomic
from refrad.model.training_account import LOGS, STEPS
from refrad.training.loggers import MetricLogger, open_loggers
from refrad.training.state import Point
from refrad.training.step_log import StepRecord
from refrad.training.train_config import TrainConfig

__all__ = ["RunLog", "copy_logs"]

FLUSHED = 10.0  # seconds after which lines are visible to other programs


class RunLog:
    """The log of a training from one start to its end, a context manager. It keeps the lines of earlier starts.

    A line is of one step and has no second: those after the step from which the training resumes are dropped, since these steps
    are done again. So is a last line that was cut off. Lines are not flushed to the disk: after a power cut some may be missing.

    Args:
        folder: of the log, or None for none.
        config: of the training; its numbers are passed to the loggers that `loggers` names.
        step: the last step before this start.
    """

    def __init__(self, folder: Path | None, config: TrainConfig, step: int) -> None:
        self._file, self._loggers = None, list[MetricLogger]()
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        _drop_lines_after(folder / STEPS, step)
        self._file = (folder / STEPS).open("a", encoding="utf-8")
        self._flushed = time.monotonic()
        self._loggers = open_loggers(config.loggers, folder, _numbers_of(config), step)

    def add(self, record: StepRecord, point: Point | None = None) -> None:
        """Log a step, and the point of the curve at it, if there is one."""
        if self._file is None:
            return
        values = _line_of(record) | ({"validation": _validation_of(point)} if point else {})
        self._file.write(json.dumps(_finite(values)) + "\n")
        scalars = dict(_scalars(values))
        for logger in self._loggers:
            logger.add(record.step, scalars)
        if time.monotonic() - self._flushed > FLUSHED:
            self.flush()

    def flush(self) -> None:
        """Make all lines visible to other programs: a killed training then has them up to its saved state."""
        if self._file is not None:
            self._file.flush()
            self._flushed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the files, also after an error."""
        if self._file is not None:
            self._file.close()
        for logger in self._loggers:
            logger.close()


def copy_logs(work: Path, checkpoint: Path) -> None:
    """Copy the logs of a training from its work folder, if there are any, into its checkpoint.

    Names of TensorBoard's event files contain the name of the machine; those of the copies do not.
    """
    if not (work / LOGS).is_dir():
        return
    shutil.copytree(work / LOGS, checkpoint / LOGS)
    for number, path in enumerate(sorted((checkpoint / LOGS).rglob("events.out.tfevents.*"))):
        path.rename(path.with_name(f"events.out.tfevents.{path.name.split('.')[3]}.{number:03}"))


def _line_of(record: StepRecord) -> dict[str, Any]:
    """The values of a line, in their order."""
    values = asdict(record)
    seconds = values.pop("seconds")
    samples, tokens = values.pop("samples"), values.pop("tokens")
    return values | {
        "samples_per_second": samples / seconds if seconds else None,
        "tokens_per_second": tokens / seconds if seconds else None,
        "seconds_left": record.seconds_left,
    }


def _validation_of(point: Point) -> dict[str, Any]:
    return {"loss": point.validation_loss, "task": point.task_losses, "score": point.score}


def _finite(value: Any) -> Any:
    """Nested values with None for numbers that JSON has not."""
    if isinstance(value, Mapping):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value


def _scalars(values: Mapping[str, Any], prefix: str = "training/") -> Iterator[tuple[str, float]]:
    """Name and value of each finite number of a line: "training/loss", "training/task/locate", "validation/loss"."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _scalars(value, "validation/" if name == "validation" else f"{prefix}{name}/")
        elif name != "step" and isinstance(value, int | float) and math.isfinite(value):
            yield f"{prefix}{name}", float(value)


def _numbers_of(config: TrainConfig) -> dict[str, float]:
    """The options of a training that are numbers: no other value is passed to a logger."""
    return {name: float(value) for name, value in vars(config).items() if isinstance(value, int | float)}


def _drop_lines_after(path: Path, step: int) -> None:
    """Rewrite a log without the lines after a step, damaged ones, and all but the first of a step."""
    if not path.exists():
        return
    last = 0
    with atomic(path) as temporary, path.open("rb") as lines, temporary.open("wb") as rest:
        for line in lines:
            number = _step_of(line)
            if number is not None and last < number <= step:
                rest.write(line)
                last = number


def _step_of(line: bytes) -> int | None:
    """The step of a complete line, or None."""
    try:
        number = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError):
        return None
    return number if line.endswith(b"\n") and isinstance(number, int) else None
