"""Log lines of a loop of optimizer steps."""

import logging
import time

__all__ = ["StepLog"]


class StepLog:
    """Logs step, mean loss, learning rate, gradient norm, samples per second and time left, at most once in `every` seconds.

    Args:
        logger: writes the lines, such as "training: step 120 of 3200, loss 2.31, ...".
        name: of the loop.
        total: steps of the loop.
        done: steps before a resume.
        every: seconds between lines.
    """

    def __init__(self, logger: logging.Logger, name: str, total: int, done: int = 0, every: float = 10.0) -> None:
        self.logger, self.name, self.total, self.every = logger, name, total, every
        self.start = self.last = time.perf_counter()
        self.step, self.progress_at_start = done, -1.0
        self.losses: list[float] = []
        self.samples = 0

    def add(self, loss: float, learning_rate: float, grad_norm: float, samples: int, progress: float) -> None:
        """Count a step.

        Args:
            loss: of the step.
            learning_rate: of the step.
            grad_norm: of the step's gradient, before clipping.
            samples: in the step.
            progress: before the step, 0 at the start of the loop and 1 at its end.
        """
        if self.progress_at_start < 0:
            self.progress_at_start = progress
        self.step += 1
        self.losses.append(loss)
        self.samples += samples
        now = time.perf_counter()
        if now - self.last < self.every:
            return
        gained = progress - self.progress_at_start
        left = (now - self.start) * (1 - progress) / gained if gained > 0 else float("nan")
        self.logger.info(
            "%s: step %d of %d, loss %.3f, learning rate %.2g, gradient norm %.2f, %.1f samples/s, %s left",
            self.name,
            self.step,
            self.total,
            sum(self.losses) / len(self.losses),
            learning_rate,
            grad_norm,
            self.samples / (now - self.last),
            f"{left:.0f} s" if gained > 0 else "unknown time",
        )
        self.last, self.samples = now, 0
        self.losses.clear()
