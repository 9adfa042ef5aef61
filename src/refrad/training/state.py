"""The state of a training: its results so far, and the content of a saved state."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import inf
from typing import NotRequired, TypedDict, cast

import torch
from isal import isal_zlib
from torch import Tensor, nn

from refrad.model.training_account import TrainingResults

__all__ = [
    "OptimizerState",
    "Point",
    "SavedState",
    "TrainState",
    "frozen_digest",
    "load_weights",
    "weights_to_save",
]


@dataclass(frozen=True)
class Point:
    """A point of the loss curve.

    loss: mean training loss since the point before, without skipped steps; if all were skipped, that of the point before.
    validation_loss: None without validation samples, or if it is not finite; task_losses: the finite ones of the tasks.
    score: of the metric that chooses the best weights, or None if that is the validation loss or not finite.
    """

    step: int
    seconds: float
    loss: float
    validation_loss: float | None
    learning_rate: float
    task_losses: dict[str, float] = field(default_factory=dict)
    metric: str = "loss"
    score: float | None = None

    @property
    def merit(self) -> float:
        """The value whose maximum chooses the best weights: the score of the metric, or minus the validation loss; -inf without one."""
        if self.metric != "loss":
            return -inf if self.score is None else self.score
        return -inf if self.validation_loss is None else -self.validation_loss

    def describe(self, steps: int, progress: float) -> str:
        """The point for the log, in a training of `steps` at a progress of 0 to 1."""
        validation = "" if self.validation_loss is None else f", on validation patients {self.validation_loss:.3f}"
        share = f"{self.seconds:.0f} s ({100 * min(progress, 1):.0f} %)"
        score = "" if self.score is None else f", {self.metric} {self.score:.3f}"
        return f"step {self.step} of {steps}, {share}, mean loss {self.loss:.3f}{validation}{score}"


@dataclass
class TrainState:
    """Results of a training so far.

    curve: loss at points of the training. tasks: samples of each task. best_step: the step with the best validation, see
    `Point.merit`, or None. resumed: number of resumes. skipped: steps whose loss or gradient was not finite.
    prepared: losses of the pretraining, which took `pretraining_seconds`.
    """

    curve: list[Point] = field(default_factory=list)
    tasks: dict[str, int] = field(default_factory=dict)
    steps: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    best_step: int | None = None
    resumed: int = 0
    skipped: int = 0
    prepared: list[float] = field(default_factory=list)
    pretraining_seconds: float = 0.0

    def best_merit(self) -> float:
        """The highest merit of the points of the curve; -inf if none has any."""
        return max((point.merit for point in self.curve), default=-inf)

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

    model: weights of `weights_to_save`. frozen: `frozen_digest` of the others. losses: since the last point of the curve.
    place: epoch and batch of the next batch. random: state of torch's random numbers.
    """

    model: dict[str, Tensor]
    optimizer: OptimizerState
    trained: TrainingResults
    losses: list[float]
    place: tuple[int, int]
    random: Tensor
    step: int
    frozen: NotRequired[str]


def weights_to_save(model: nn.Module, whole: bool = False) -> dict[str, Tensor]:
    """Weights and buffers by name, without copies: the trained ones, as the frozen ones can be read again from where they are from.

    Args:
        model: its parameters with requires_grad are trained.
        whole: whether the frozen ones are returned too, since a pretraining has changed them.
    """
    frozen = {name for name, weight in model.named_parameters(remove_duplicate=False) if not weight.requires_grad}
    return {name: value for name, value in model.state_dict().items() if whole or name not in frozen}


def load_weights(model: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Load weights of `weights_to_save` into the model: either all of them, or exactly those that are not frozen.

    Raises:
        ValueError: if names or shapes are not those of the model.
    """
    names, trained = model.state_dict().keys(), weights_to_save(model).keys()
    if weights.keys() != names and weights.keys() != trained:
        missing, surplus = sorted(trained - weights.keys()), sorted(weights.keys() - trained)
        raise ValueError(
            f"the saved weights are not those of this model: {len(missing)} missing, {len(surplus)} unexpected "
            f"({(missing or surplus)[0]}); all saved states are kept: use the version of RefRad that wrote them"
        )
    try:
        model.load_state_dict(dict(weights), strict=False)
    except RuntimeError as error:
        raise ValueError(
            f"the saved weights are not those of this model: {str(error).splitlines()[-1].strip()}"
        ) from None


def frozen_digest(model: nn.Module) -> str:
    """CRC-32, 8 hexadecimal digits, of the frozen weights: a state without them is useless with others."""
    crc = 0
    for name, weight in model.named_parameters():
        if not weight.requires_grad:
            content = weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            crc = isal_zlib.crc32(content.numpy(), isal_zlib.crc32(name.encode(), crc))
    return f"{crc:08x}"
