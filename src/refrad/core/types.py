"""Types that several packages share."""

__all__ = ["Box"]

Box = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max, half-open; in px or as shares of width and height, as the docstring that uses it says."""
