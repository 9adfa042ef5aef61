"""Damage anywhere in a table is noticed before a value of it is used."""

from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from refrad.core import tables
from refrad.core.checksums import TableError, remedy, verify
from refrad.core.contracts import InstanceTable, QuestionTable, SliceTable
from refrad.core.tables import frame_of, read_frame, read_table, scan_table, write_frame, write_parts
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint

FINGERPRINT = Fingerprint("volumes", 1, {}, {})
SLICES = [{"instance": f"i{k}", "volume": "v", "axis": 2, "index": k, "instance_number": k or None} for k in range(50)]


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A slice table of several row groups."""
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 20)
    write_parts(tmp_path / "slices.parquet", ([row] for row in SLICES), SliceTable, FINGERPRINT)
    return tmp_path / "slices.parquet"


def damage(path, at, bit=0):
    content = bytearray(path.read_bytes())
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_a_bit_flipped_anywhere_is_noticed(table):
    whole = table.read_bytes()
    for at in range(len(whole)):
        damage(table, at, at % 8)
        with pytest.raises(
            TableError, match=r"slices.parquet (is damaged: delete it and run snakemake --force |has no checksums)"
        ):
            read_table(table, SliceTable)
        table.write_bytes(whole)
    assert read_table(table, SliceTable).equals(frame_of(SLICES, SliceTable))


@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.5, 0.9, 0.999])
def test_a_cut_or_empty_table_is_noticed(table, share):
    whole = table.read_bytes()
    table.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(TableError, match="is damaged"):
        read_table(table, SliceTable)
    with pytest.raises(TableError, match="is damaged"):
        read_fingerprint(table)


@pytest.mark.parametrize("content", [b"no table " * 900, bytes(5000), b"PAR1" + bytes(999) + b"PAR1", b"PAR1"])
def test_other_content_is_noticed(tmp_path, content):
    (tmp_path / "t.parquet").write_bytes(content)
    with pytest.raises(TableError, match="is damaged"):
        read_frame(tmp_path / "t.parquet")


def test_bytes_added_or_lost_in_the_middle_are_noticed(table):
    whole = table.read_bytes()
    for changed in (whole[:100] + b"\0" + whole[100:], whole[:100] + whole[101:], whole + whole[-8:], whole + b"\0"):
        table.write_bytes(changed)
        with pytest.raises(TableError, match="is damaged"):
            read_table(table, SliceTable)


def test_a_table_without_checksums_is_refused(table):
    frame_of(SLICES, SliceTable).write_parquet(table)
    with pytest.raises(TableError, match="has no checksums"):
        read_table(table, SliceTable)


def test_file_of_other_program_is_read_with_warning(table, caplog):
    frame = frame_of(SLICES, SliceTable)
    frame.write_parquet(table)
    assert read_frame(table).equals(frame)
    assert "slices.parquet has no checksums" in caplog.text


def test_damage_after_a_first_reading_is_noticed(table):
    read_table(table, SliceTable)
    damage(table, 60)
    with pytest.raises(TableError, match="is damaged"):
        read_table(table, SliceTable)


def test_only_the_columns_and_groups_in_use_are_verified(table):
    first = pq.read_metadata(table).row_group(0).column(0)
    damage(table, first.data_page_offset + 5)
    assert read_frame(table, ["index"])["index"].to_list() == list(range(50))
    verify(table, groups=[1, 2])
    with pytest.raises(TableError):
        verify(table, ["instance"])
    with pytest.raises(TableError):
        verify(table, groups=[0])


def test_rows_of_a_shard_are_all_found_and_verified(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 10)
    empty = dict.fromkeys(InstanceTable.to_schema().columns)
    rows = [empty | {"file": f"f{k}", "frame": 0, "slices": 1, "shard": None if k > 45 else k // 7} for k in range(50)]
    path = tmp_path / "instances.parquet"
    write_parts(path, ([row] for row in rows), InstanceTable, FINGERPRINT)
    whole, offset = path.read_bytes(), pq.read_metadata(path).row_group(4).column(0).data_page_offset
    for shard in range(8):
        path.write_bytes(whole)
        wanted = [row["file"] for row in rows if row["shard"] == shard]
        assert scan_table(path, InstanceTable, shard).collect()["file"].to_list() == wanted
        damage(path, offset + 20)
        if shard in (5, 6):  # rows of the last row group
            with pytest.raises(TableError):
                scan_table(path, InstanceTable, shard)
        else:
            assert scan_table(path, InstanceTable, shard).collect()["file"].to_list() == wanted


def test_lists_and_tables_without_rows_have_checksums(tmp_path):
    row = dict.fromkeys(QuestionTable.to_schema().columns, "x") | {"choices": ["a", "b"], "language": "de"}
    row |= {"topic": "findings", "kind": "open"}
    for rows in ([], [row]):
        frame = frame_of(rows, QuestionTable)
        tables.write_table(tmp_path / "q.parquet", frame, QuestionTable, FINGERPRINT)
        assert read_table(tmp_path / "q.parquet", QuestionTable).equals(frame)
    write_frame(tmp_path / "f.parquet", pl.DataFrame({"a": [{"b": 1, "c": [1]}, None]}))
    damage(tmp_path / "f.parquet", 30)
    with pytest.raises(TableError):
        read_frame(tmp_path / "f.parquet")


def test_a_missing_table_is_missing_not_damaged(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_table(tmp_path / "t.parquet", SliceTable)


def test_equal_tables_have_equal_bytes(table, tmp_path):
    write_parts(tmp_path / "again.parquet", ([row] for row in SLICES), SliceTable, FINGERPRINT)
    assert (tmp_path / "again.parquet").read_bytes() == table.read_bytes()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("results/former/data/a/0/train.parquet", "delete it: it is of a former delivery or shard"),
        ("results/former/metrics/a/0/metrics.json", "delete it: it is of a former delivery or shard"),
        ("results/volumes/former/0/volumes.parquet", "delete it and run snakemake --force results/volumes/former/0"),
        ("results/shards/data/former/0/train.parquet", "delete it and run snakemake --force results/shards/data"),
    ],
)
def test_remedy_for_a_file_that_no_rule_makes_names_no_rule(path, words):
    assert remedy(Path(path)).startswith(words)
