"""The state of a training: its results so far, and the content of a saved state."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import TypedDict, cast

from torch import Tensor

from refrad.model.training_account import TrainingResults

__all__ = ["OptimizerState", "Point", "SavedState", "TrainState"]


@dataclass(frozen=True)
class Point:
    """A point of the loss curve: mean training loss since the point before, and the loss on validation samples (or None)."""

    step: int
    seconds: float
    loss: float
    validation_loss: float | None
    learning_rate: float


@dataclass
class TrainState:
    """Results of a training so far.

    curve: loss at points of the training. tasks: samples of each task. best_step: the step with the lowest validation loss, or
    None. resumed: number of resumes. prepared: losses of the pretraining, which took `pretraining_seconds`.
    """

    curve: list[Point] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_step: int | None = None
    resumed: int = 0
    prepared: list[float] = field(default_factory=list)
    pretraining_seconds: float = 0.0

    def best_loss(self) -> float:
        """The lowest validation loss of the curve."""
        return min((point.validation_loss for point in self.curve if point.validation_loss is not None), default=inf)

    def results(self) -> TrainingResults:
        """The state as a dictionary for JSON and saved states."""
        return cast(TrainingResults, asdict(self))

    @classmethod
    def resumed_from(cls, results: TrainingResults) -> "TrainState":
        """The state of a training that resumes from saved `results`."""
        state = cls(**(results | {"curve": [Point(**point) for point in results["curve"]]}))  # type: ignore[arg-type]
        state.resumed += 1
        return state


class OptimizerState(TypedDict):
    """The state of a torch optimizer: values of each weight by its number, and the groups of weights."""

    state: Mapping[int, Mapping[str, Tensor | int | float]]
    param_groups: list[dict[str, object]]


class SavedState(TypedDict):
    """The content of a file `step-*.pt`.

    model: weights. losses: since the last point of the curve. place: epoch and batch of the next batch. random: state of torch's
    random numbers.
    """

    model: dict[str, Tensor]
    optimizer: OptimizerState
    trained: TrainingResults
    losses: list[float]
    place: tuple[int, int]
    random: Tensor
    step: int
