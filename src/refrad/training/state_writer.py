"""Writing the states of a running training in the background, for a limited share of its time."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.utils._pytree import tree_map

from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import DistributedContext
from refrad.training.state import SavedState
from refrad.training.state_files import StateFileError, is_lack_of_memory

__all__ = ["SaveSchedule", "StateWriter", "snapshot"]

log = logging.getLogger(__name__)

BestWeights = tuple[int, dict[str, Tensor]]  # step and weights


@dataclass
class SaveSchedule:
    """When states are due.

    steps: number of steps between two states; None for none by steps. seconds: least time between two states; None for none by time.
    max_share: largest share of the training's time for which states that are due by time may stop it.
    last: seconds of the training after the last state. blocked: seconds for which that state stopped the training.
    """

    steps: int | None
    seconds: float | None
    max_share: float
    last: float = 0.0
    blocked: float = 0.0

    def is_due_by_steps(self, step: int) -> bool:
        """Whether a state of this step is due, however long it takes."""
        return self.steps is not None and step % self.steps == 0

    def is_due_by_time(self, now: float) -> bool:
        """Whether a state is due at a number of seconds: after a state that took w seconds not before w / max_share more."""
        return self.seconds is not None and now - self.last >= max(self.seconds, self.blocked / self.max_share)

    def add(self, now: float, blocked: float) -> None:
        """Count a state that stopped the training for `blocked` seconds until `now`."""
        self.last, self.blocked = now, blocked


class StateWriter:
    """Writes states and best weights in a thread, one at a time; a context manager that waits for the last one.

    A write that fails leaves the states before it as they are. It is logged, and the next state is a new attempt; best weights
    that were not written stay in memory until then.

    Args:
        saved: where they are written; None for nowhere.
        clock: seconds.
    """

    def __init__(self, saved: Checkpoints | None, clock: Callable[[], float] = time.perf_counter) -> None:
        self.saved, self.clock = saved, clock
        self.blocked = 0.0  # seconds for which the last `write` stopped the caller
        self._threads = ThreadPoolExecutor(1, "state writer")
        self._running: Future[None] | None = None
        self._best: BestWeights | None = None
        self._failure: str | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a state is being written."""
        if self._running is not None and self._running.done():
            self.wait()
        return self._running is not None

    def add_best(self, step: int, weights: dict[str, Tensor]) -> None:
        """Write weights, which nobody else may change, as the best so far together with the next state."""
        if self.saved and self.saved.keeps_best:
            self._best = step, weights

    def best_of(self, step: int) -> dict[str, Tensor] | None:
        """The weights that `add_best` got for a step, if they are not written yet."""
        return self._best[1] if self._best and self._best[0] == step else None

    def write(self, take: Callable[[], SavedState]) -> None:
        """Start to write the state that `take` returns, a copy; first wait for the one before, so that no two are in memory."""
        began = self.clock()
        self.wait()
        state = take()
        best, self._best = self._best, None
        if self.saved and self.saved.is_main:
            self._running = self._threads.submit(self._write, state, best)
        self.blocked = self.clock() - began

    def wait(self) -> None:
        """Wait for the state that is being written, and log why it could not be."""
        if self._running is None:
            return
        error = self._running.exception()
        self._running = None
        self._failure = None
        if error is not None:
            self._failure = (isinstance(error, OSError) and error.strerror) or type(error).__name__
            log.warning(
                "a state could not be written (%s); those before it are kept, and the training goes on", self._failure
            )

    def _write(self, state: SavedState, best: BestWeights | None) -> None:
        assert self.saved is not None
        try:
            if best:
                self.saved.save_best(*best)
            self.saved.save(state)
        except BaseException:
            self._best = self._best or best
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait for the last state.

        Raises:
            ValueError: if it could not be written, unless there is another error.
        """
        self.wait()
        self._threads.shutdown()
        if self._failure and kind is None:
            raise ValueError(
                f"the last state of the training could not be written ({self._failure}); those before it are kept: free space or "
                "repair the storage, and start again to go on from them"
            )


def snapshot(context: DistributedContext, values: Any) -> Any:
    """Nested values with full tensors on the CPU, all of them copies: a later step changes none.

    Tensors that are the same in memory, such as tied weights, are the same in the copy, so that a file holds them once. All processes
    must call it; those that are not the main one get no copies.

    Raises:
        StateFileError: if memory is short.
    """
    gathered = context.gather_full(values)
    if not context.is_main:
        return gathered
    copies: dict[tuple[Any, ...], Tensor] = {}

    def copy(original: Any, value: Any) -> Any:
        if not isinstance(value, Tensor) or isinstance(original, DTensor):  # gathered ones are copies
            return value
        key = value.data_ptr(), value.shape, value.stride(), value.dtype, value.device
        if not value.numel() or key not in copies:
            try:
                copies[key] = value.detach().to("cpu", copy=True)
            except (MemoryError, RuntimeError) as error:
                if not is_lack_of_memory(error):
                    raise
                raise StateFileError(
                    "no memory for a copy of the training's state; all saved states are kept: give the job more memory and start again"
                ) from None
        return copies[key]

    return tree_map(copy, values, gathered)
