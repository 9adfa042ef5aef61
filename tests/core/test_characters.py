"""Characters of text from hospital systems, written in one way."""

import pytest

from refrad.core.characters import clean_characters


@pytest.mark.parametrize(
    ("written", "clean"),
    [
        ("vergro\u0308ßert", "vergrößert"),
        ("Pleura\u00aderguss", "Pleuraerguss"),
        ("Ple\u200bura", "Pleura"),
        ("\ufeffBefund", "Befund"),
        ("12\u00a0mm\u202fdick", "12 mm dick"),
        ("CT\u2011Angiographie", "CT-Angiographie"),
        ("Milz.\r\nLeber.\rNiere.\x0cHerz.", "Milz.\nLeber.\nNiere.\nHerz."),
        ("Milz\t12 cm", "Milz\t12 cm"),
        ("Milz\x01 normal", "Milz normal"),
    ],
)
def test_characters_are_written_in_one_way(written, clean):
    assert clean_characters(written) == clean
