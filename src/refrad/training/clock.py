"""The time that a training has used."""

import time

__all__ = ["Clock"]


class Clock:
    """Seconds of a training, with those before it was resumed."""

    def __init__(self, seconds: float, cpu_seconds: float) -> None:
        self._start, self._cpu_start = time.perf_counter() - seconds, time.process_time() - cpu_seconds

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self._start

    @property
    def cpu_seconds(self) -> float:
        return time.process_time() - self._cpu_start
