"""How many requests may be under way at once: fewer when the server is busy, slowly more when it is not, as TCP does it."""

import asyncio
import time
from collections import deque

__all__ = ["Gate"]

SHRINK = 0.5


class Gate:
    """At most `most` pass at once. `busy` halves the number, `fine` lets it grow again; waiting is first come, first served."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self._fast = float(most)  # below it the limit grows by one a success, above it by one a round
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last_cut = 0.0

    async def enter(self) -> float:
        """Wait for a turn; return the time of entering, for `leave`."""
        if self._under_way >= int(self.limit) or self._waiting:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._free()
                raise
        else:
            self._under_way += 1
        return time.monotonic()

    def leave(self, entered: float, *, busy: bool) -> None:
        """Give the turn back. Of the requests of one round only the first busy one counts."""
        if busy and entered >= self._last_cut:
            self.limit = self._fast = max(1.0, self.limit * SHRINK)
            self._last_cut = time.monotonic()
        elif not busy:
            self.limit = min(float(self.most), self.limit + (1.0 if self.limit < self._fast else 1.0 / self.limit))
        self._free()

    def _free(self) -> None:
        self._under_way -= 1
        while self._waiting and self._under_way < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self._under_way += 1
                turn.set_result(None)
