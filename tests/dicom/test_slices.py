import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from refrad.core.contracts import SliceTable
from refrad.core.tables import frame_of
from refrad.dicom.slices import SliceMap, image_at, part_name, slice_rows, stack_name


@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_slice_map_works_in_both_directions(counts):
    rows = []
    for volume, count in enumerate(counts):
        rows += slice_rows(f"v{volume}", [f"v{volume}i{k}" for k in range(count)], [None] * count)
    slice_map = SliceMap(frame_of(rows, SliceTable))
    for volume, count in enumerate(counts):
        for k in range(count):
            assert slice_map.position(f"v{volume}i{k}") == (f"v{volume}", k)
            assert slice_map.instance(f"v{volume}", k) == f"v{volume}i{k}"
        assert slice_map.instance(f"v{volume}", count) is None
    assert slice_map.position("unknown") is None


def test_slice_rows_keep_slice_order_and_instance_numbers():
    frame = frame_of(slice_rows("v", ["b", "a"], [7, None]), SliceTable)
    assert frame.select("instance", "index", "instance_number").rows() == [("b", 0, 7), ("a", 1, None)]
    assert frame["axis"].eq(2).all()
    assert frame.schema["axis"] == pl.Int8


def test_image_has_the_rows_and_columns_of_the_dicom_file():
    volume = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # 2 columns, 3 rows, 4 slices
    image = image_at(volume, 1)
    assert image.shape == (3, 2)
    assert image[2, 1] == volume[1, 2, 1]
    assert image_at(volume, 1, axis=0).tolist() == volume[1].T.tolist()


def test_part_name_contains_the_stack_name():
    assert stack_name(part_name("0123456789abcdef", 12)) == stack_name("0123456789abcdef") == "0123456789abcdef"
