"""How formats write a box: shares of the sides, thousandths of them, or pixels of the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from refrad.core.types import Box

__all__ = ["PIXELS", "SHARES", "THOUSANDTHS", "BoxUnit"]

Size = tuple[int, int]
"""Width and height, px."""


@dataclass(frozen=True)
class BoxUnit:
    """A unit of box coordinates (x_min, y_min, x_max, y_max), with the edges of the picture at 0 and at its end.

    Attributes:
        name: what the unit is called in sentences.
        steps: how many steps a side has; None for as many as the picture has pixels.
        divisor: a coordinate is written as its step divided by this, with three decimals; 1 for integers.
    """

    name: str
    steps: int | None
    divisor: int = 1

    def encode(self, box: Box, size: Size) -> list[str]:
        """The four coordinates as text; no further from the box than half a step, or a step where it would be empty.

        Args:
            box: shares of width and height, half-open.
            size: width and height of the picture that the reader of the format sees, px.
        """
        return [self._text(step) for step in self._grid(box, size)]

    def decode(self, coordinates: Sequence[float], size: Size) -> Box:
        """The box as shares of width and height, from its four coordinates."""
        across, down = self._steps(size)
        x_min, y_min, x_max, y_max = (value * self.divisor for value in coordinates)
        return x_min / across, y_min / down, x_max / across, y_max / down

    def _steps(self, size: Size) -> Size:
        return size if self.steps is None else (self.steps, self.steps)

    def _grid(self, box: Box, size: Size) -> tuple[int, int, int, int]:
        across, down = self._steps(size)
        x_min, x_max = _interval(box[0] * across, box[2] * across, across)
        y_min, y_max = _interval(box[1] * down, box[3] * down, down)
        return x_min, y_min, x_max, y_max

    def _text(self, step: int) -> str:
        return str(step) if self.divisor == 1 else f"{step / self.divisor:.3f}"


def _interval(low: float, high: float, end: int) -> tuple[int, int]:
    """The nearest steps, from 0 to `end`; an interval that becomes empty is a step wide."""
    start, stop = min(max(round(low), 0), end), min(max(round(high), 0), end)
    if start < stop:
        return start, stop
    start = min(max(int((low + high) / 2), 0), end - 1)
    return start, start + 1


SHARES = BoxUnit("shares of width and height, three decimals", 1000, 1000)
THOUSANDTHS = BoxUnit("thousandths of width and height, 0 to 1000", 1000)
PIXELS = BoxUnit("pixels of the picture", None)
