import pytest

from refrad.reporting.run_summary import FUNNELS, VOLUME_FUNNELS, funnels_of

# The unit of each count: items of one unit can only become fewer.
UNITS = {
    ("index", "taken"): "file",
    ("index", "used"): "file",
    ("index", "images"): "image",
    ("volumes", "slices"): "image",
    ("structures", "used"): "image",
    ("shards", "rows"): "image",
    ("captions", "taken"): "sentence",
    ("captions", "used"): "sentence",
    ("captions", "captions"): "caption",
    ("mentions", "used"): "caption",
    ("grounded", "used"): "caption",
    ("grounded", "pairs"): "pair",
    ("grounded", "triplets"): "pair",
    ("volumes", "taken"): "volume",
    ("volumes", "used"): "volume",
    ("copies", "used"): "volume",
}


@pytest.mark.parametrize("title", sorted({*FUNNELS, *VOLUME_FUNNELS}))
def test_funnel_counts_one_unit(title):
    for funnels in (FUNNELS, VOLUME_FUNNELS):
        assert len({UNITS[stage, count] for _, stage, count in funnels.get(title, ())}) <= 1


def test_unfinished_run_has_the_funnels_of_its_stages():
    index = {"made": {"images": 9}, "flow": {"taken": 5, "used": 3, "aside": {}}}
    expected = [("Files", [("files of the deliveries", 5), ("files with usable images", 3)])]
    assert funnels_of({"index": index}, FUNNELS) == [*expected, ("Images", [("CT and MR images", 9)])]
