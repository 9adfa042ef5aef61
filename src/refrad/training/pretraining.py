"""What runs before the first step of a training, in its time."""

from collections.abc import Callable

from refrad.training.clock import Clock
from refrad.training.distributed import DistributedContext
from refrad.training.state import TrainState
from refrad.training.train_config import TrainConfig

__all__ = ["Pretraining", "run_pretraining"]

Pretraining = Callable[[float | None], list[float]]  # from a number of seconds, or None for no limit, to losses


def run_pretraining(pretrain: Pretraining, config: TrainConfig, context: DistributedContext) -> TrainState:
    """The state after the pretraining, which the main process runs for at most half of the time limit."""
    clock = Clock(0.0, 0.0)
    limit = config.max_seconds / 2 if config.max_seconds else None
    losses = pretrain(limit) if context.is_main else []
    seconds = context.broadcast(clock.seconds)
    if limit is not None:
        seconds = min(seconds, limit)  # its last step may end later
    return TrainState(prepared=losses, pretraining_seconds=seconds)
