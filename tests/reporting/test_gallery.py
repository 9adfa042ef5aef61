"""Cards of the gallery."""

import numpy as np
import pytest
from tests.factories.images import image_row

from refrad.reporting.card_pictures import SlicePicture
from refrad.reporting.gallery import build_card


@pytest.mark.parametrize(
    ("via", "one_sided", "note"),
    [
        ("exact", False, ""),
        ("part", False, "part"),
        ("whole", False, "coarser"),
        ("exact", True, "one of two sides"),
        ("whole", True, "coarser, one of two sides"),
    ],
)
def test_class_on_a_card_says_how_its_box_differs_from_the_phrase(schema, via, one_sided, note):
    row = image_row(0, "train", np.random.default_rng(0))
    row["captions"][0]["entities"][0] |= {"via": via, "one_sided": one_sided}
    card = build_card(row, schema, SlicePicture("", 1.0))
    assert [chip.note for chip in card.chips] == [note, ""]
