"""Rows leave a Parquet file, and all else of it stays."""

import os

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import image_row

from refrad.anatomy.schema import load_schema
from refrad.core.checksums import TableError, table_digest, verify
from refrad.core.row_removal import column_names, read_columns, remove_rows
from refrad.core.tables import write_frame
from refrad.dataset.shard_io import read_rows, write_shard
from refrad.workflow.fingerprint import Fingerprint


def of(*values):
    return lambda frame: frame["name"].is_in(list(values))


@given(st.lists(st.sampled_from("abc"), max_size=30))
def test_only_the_chosen_rows_are_removed(tmp_path_factory, names):
    path = tmp_path_factory.mktemp("rows") / "t.parquet"
    frame = pl.DataFrame({"name": names, "number": range(len(names))}, schema={"name": pl.String, "number": pl.Int64})
    write_frame(path, frame)
    assert remove_rows(path, ["name"], of("a", "c")) == sum(name in "ac" for name in names)
    verify(path)
    assert pl.read_parquet(path).equals(frame.filter(pl.col("name") == "b"))
    assert column_names(path) == ["name", "number"]


def test_file_without_such_rows_stays_as_it_is(tmp_path):
    path = tmp_path / "t.parquet"
    write_frame(path, pl.DataFrame({"name": ["a", "b"]}))
    before = path.read_bytes(), path.stat().st_ino
    assert remove_rows(path, ["name"], of("z")) == 0
    assert (path.read_bytes(), path.stat().st_ino) == before


def test_shard_keeps_metadata_compression_and_time(root, tmp_path):
    rng = np.random.default_rng(0)
    rows = [image_row(number, "train", rng) for number in range(5)]
    path = tmp_path / "train.parquet"
    schema = load_schema(root / "workflow" / "anatomy" / "classes.yaml")
    write_shard(path, rows, schema, Fingerprint("shards", 1, {}, {}))
    os.utime(path, ns=(1, 1_600_000_000_000_000_000))
    before, digest = pq.read_metadata(path), table_digest(path)
    assert remove_rows(path, ["image_id"], lambda frame: frame["image_id"] == rows[2]["image_id"]) == 1
    after = pq.read_metadata(path)
    assert [row["image_id"] for row in read_rows([path])] == [row["image_id"] for row in rows if row is not rows[2]]
    assert path.stat().st_mtime_ns == 1_600_000_000_000_000_000
    assert table_digest(path) != digest
    for key in (b"refrad.fingerprint", b"huggingface", b"refrad.fingerprints"):
        assert before.metadata[key] == after.metadata[key]
    for column in range(before.num_columns):
        old, new = (metadata.row_group(0).column(column) for metadata in (before, after))
        assert (old.compression, old.is_stats_set) == (new.compression, new.is_stats_set)


def test_removed_text_is_in_no_byte(tmp_path):
    path = tmp_path / "t.parquet"
    write_frame(path, pl.DataFrame({"name": ["Zyste im Segment", "Leber"]}))
    remove_rows(path, ["name"], of("Zyste im Segment"))
    assert list(tmp_path.iterdir()) == [path]
    assert "Zyste" not in next(read_columns(path, ["name"])).write_json()


def test_damaged_file_is_refused(tmp_path):
    path = tmp_path / "t.parquet"
    write_frame(path, pl.DataFrame({"name": ["a"] * 100}))
    content = bytearray(path.read_bytes())
    content[8] ^= 1
    path.write_bytes(content)
    with pytest.raises(TableError, match="is damaged"):
        remove_rows(path, ["name"], of("a"))
