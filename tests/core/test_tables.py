import polars as pl
import pytest

from refrad.core import contracts, tables
from refrad.core.contracts import MaskTable, StructureTable
from refrad.core.tables import TableError, frame_of, read_table, write_table
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint

FINGERPRINT = Fingerprint("masks", 1, {"variant": "fastest"}, {})
MASK = {
    "volume": "v1",
    "task": "total",
    "segmenter": "precomputed",
    "weights": None,
    "digest": "d",
    "file": "f",
    "labels": 3,
    "reason": None,
}
STRUCTURE = {
    "instance": "i1",
    "volume": "v1",
    "index": 0,
    "class_id": 5,
    "x_min": 2,
    "y_min": 3,
    "x_max": 4,
    "y_max": 6,
    "area": 5,
    "area_mm2": 5.0,
    "components": 1,
}


@pytest.mark.parametrize("contract", contracts.Table.__subclasses__(), ids=lambda contract: contract.__name__)
def test_an_empty_table_is_valid_and_keeps_its_types(contract, tmp_path):
    write_table(tmp_path / "t.parquet", frame_of([], contract), contract, FINGERPRINT)
    assert read_table(tmp_path / "t.parquet", contract).schema == frame_of([], contract).schema


def test_a_table_carries_the_fingerprint_that_made_it(tmp_path):
    write_table(tmp_path / "t.parquet", frame_of([MASK], MaskTable), MaskTable, FINGERPRINT)
    assert read_fingerprint(tmp_path / "t.parquet") == FINGERPRINT


@pytest.mark.parametrize(
    ("breakage", "words"),
    [
        (lambda f: f.drop("digest"), "digest"),
        (lambda f: f.with_columns(pl.lit("head").alias("task")), "task"),
        (lambda f: pl.concat([f, f]), "volume"),
        (lambda f: f.cast({"labels": pl.Int64}), "labels"),
        (lambda f: f.with_columns(pl.lit(1).alias("extra")), "extra"),
    ],
    ids=["column lost", "unknown task", "volume twice", "wrong type", "column too many"],
)
def test_a_broken_column_is_named_and_nothing_is_written(breakage, words, tmp_path):
    broken = breakage(frame_of([MASK], MaskTable))
    with pytest.raises(TableError, match=f"MaskTable.*{words}"):
        write_table(tmp_path / "t.parquet", broken, MaskTable, FINGERPRINT)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_box_is_refused(tmp_path):
    row = STRUCTURE | {"x_max": 2}
    with pytest.raises(TableError, match="boxes_are_not_empty"):
        write_table(tmp_path / "t.parquet", frame_of([row], StructureTable), StructureTable, FINGERPRINT)


def test_the_error_never_repeats_a_value(tmp_path):
    row = MASK | {"task": "Frau Muster hat Bauchschmerzen"}
    with pytest.raises(TableError) as caught:
        write_table(tmp_path / "t.parquet", frame_of([row], MaskTable), MaskTable, FINGERPRINT)
    assert "Muster" not in str(caught.value)


def test_reading_another_kind_of_table_says_what_it_lacks(tmp_path):
    write_table(tmp_path / "t.parquet", frame_of([MASK], MaskTable), MaskTable, FINGERPRINT)
    with pytest.raises(TableError, match="not a StructureTable, lacks instance"):
        read_table(tmp_path / "t.parquet", StructureTable)


def test_a_table_written_in_parts_is_the_same_table(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "ROWS_A_GROUP", 3)
    rows = [{"instance": f"i{k}", "volume": "v", "axis": 2, "index": k, "instance_number": None} for k in range(8)]
    fingerprint = Fingerprint("volumes", 1, {}, {})
    tables.write_parts(tmp_path / "p", [rows[:2], rows[2:7], [], rows[7:]], contracts.SliceTable, fingerprint)
    assert tables.read_table(tmp_path / "p", contracts.SliceTable).equals(tables.frame_of(rows, contracts.SliceTable))
    assert read_fingerprint(tmp_path / "p") == fingerprint
    with pytest.raises(tables.TableError, match="index"):
        tables.write_parts(tmp_path / "q", [[rows[0] | {"index": -1}]], contracts.SliceTable, fingerprint)
    assert not (tmp_path / "q").exists()
