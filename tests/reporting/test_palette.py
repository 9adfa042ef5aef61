import numpy as np
import pytest

from refrad.core.types import SEG_TOKENS
from refrad.reporting.palette import class_colour, class_palette, colour_lab, css_colour


def distances():
    lab = colour_lab(class_palette()[1:])
    return np.linalg.norm(lab[:, None] - lab, axis=2)


def test_each_class_has_a_colour_that_differs_from_all_others():
    apart = distances() + 1e9 * np.eye(SEG_TOKENS - 1)
    assert len(apart) == SEG_TOKENS - 1 and apart.min() > 10  # CIELAB; some 2 are just seen


def test_adjacent_classes_differ_in_colour():
    """Lobes, vertebrae and ribs have adjacent ids and are in the same picture."""
    apart = distances()
    for step in range(1, 11):
        assert np.diagonal(apart, step).min() > 12


def test_colours_are_seen_on_black_and_on_white():
    lightness = colour_lab(class_palette()[1:])[:, 0]
    assert lightness.min() > 45 and lightness.max() < 90


@pytest.mark.parametrize(
    ("colour", "lab"),
    [((255, 255, 255), (100, 0, 0)), ((0, 0, 0), (0, 0, 0)), ((255, 0, 0), (53.24, 80.09, 67.20))],
)
def test_lab_of_known_colours(colour, lab):
    assert colour_lab(np.array([colour], np.uint8))[0] == pytest.approx(lab, abs=0.05)


@pytest.mark.parametrize("class_id", [1, 127, 128, 300])
def test_any_number_has_a_colour(class_id):
    assert css_colour(class_id) == "rgb({},{},{})".format(*class_colour(class_id)) != "rgb(0,0,0)"
