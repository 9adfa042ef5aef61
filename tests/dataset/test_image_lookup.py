import os

import numpy as np
import pytest
from tests.factories import fingerprint, image_row

from refrad.core.checksums import TableError
from refrad.dataset.image_lookup import PICTURES, ImageLookup
from refrad.dataset.shard_io import read_rows, write_shard


@pytest.fixture
def file(tmp_path, schema):
    def write(count, seed=0):
        rng = np.random.default_rng(seed)
        rows = [image_row(number, "train", rng) for number in range(count)]
        write_shard(tmp_path / "train.parquet", rows, schema, fingerprint("shards"), formats=("png",))
        return tmp_path / "train.parquet"

    return write


def test_row_is_the_one_of_the_file_without_pictures(file):
    path, lookup = file(1203), ImageLookup()
    rows = {row["image_id"]: row for row in read_rows([path])}
    for image_id in ("i0000", "i0999", "i1000", "i1202"):
        row = lookup.row(path, image_id)
        assert row == {name: value for name, value in rows[image_id].items() if name not in PICTURES}
        assert lookup.pictures(path, image_id)["image"] == rows[image_id]["image"]
        assert "structures" not in lookup.row(path, image_id, ["structures"])


def test_unknown_image_is_an_error(file):
    with pytest.raises(KeyError):
        ImageLookup().row(file(3), "i0009")


def test_changed_file_is_read_again(file):
    path, lookup = file(5), ImageLookup()
    before = lookup.row(path, "i0001")
    os.utime(file(7, seed=1), ns=(1, 1))
    after = lookup.row(path, "i0001")
    assert after["structures"] != before["structures"]
    assert lookup.row(path, "i0006")["image_id"] == "i0006"


def test_damaged_file_is_not_shown(file):
    path = file(5)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(TableError):
        read_all(path, 5)


def read_all(path, count):
    lookup = ImageLookup()
    for number in range(count):
        lookup.row(path, f"i{number:04d}")
        lookup.pictures(path, f"i{number:04d}")
