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


@pytest.mark.parametrize(
    ("public_set", "facts", "source"),
    [
        (None, [], "own data"),
        ("ct-rate", ["CT-RATE"], "CT-RATE"),
        ("abdomenatlas", ["AbdomenAtlas 3.0 Mini", "report made from masks"], "AbdomenAtlas 3.0 Mini"),
    ],
)
def test_card_names_its_public_set_and_reports_made_from_masks(schema, public_set, facts, source):
    row = image_row(0, "train", np.random.default_rng(0)) | {"public_set": public_set}
    card = build_card(row, schema, SlicePicture("", 1.0))
    assert card.facts == ["CT", "axial", "English", "train", "tied by structure", *facts]
    assert card.values["source"] == [source]
