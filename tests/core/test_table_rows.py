"""Typed rows follow the contracts of their tables."""

from datetime import date
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints

import polars as pl
import pytest

from refrad.core import contracts, table_rows
from refrad.core.contracts import VolumeTable
from refrad.core.tables import frame_of

ROW_OF = {name.removesuffix("Row"): getattr(table_rows, name) for name in table_rows.__all__ if name.endswith("Row")}
TABLES = {name.removesuffix("Table"): getattr(contracts, name) for name in contracts.__all__ if name != "Table"}
PYTHON = {bool: pl.Boolean, date: pl.Date, float: pl.Float64, str: pl.String}


def kinds_of(hint: object) -> tuple[set[type], bool]:
    """The types that a hint allows, without None, and whether it allows None."""
    kinds = set(get_args(hint)) if isinstance(hint, UnionType) else {hint}
    return kinds - {NoneType}, NoneType in kinds


def test_table_has_a_typed_row_each():
    assert set(TABLES) == set(ROW_OF) - {"Box", "Stack", "AcceptedVolume", "AcceptedMask"}


@pytest.mark.parametrize("name", TABLES)
def test_typed_row_has_columns_of_contract(name):
    hints = get_type_hints(ROW_OF[name])
    columns = TABLES[name].to_schema().columns
    assert set(hints) == set(columns)
    for column, field in columns.items():
        (kind,), nullable = kinds_of(hints[column])
        assert nullable == field.nullable, column
        if field.dtype.type.is_integer():
            assert kind is int, column
        elif get_origin(kind) is list:
            assert field.dtype.type == pl.List(PYTHON[get_args(kind)[0]]), column
        else:
            assert PYTHON[kind] == field.dtype.type, column


@pytest.mark.parametrize("name", ["Volume", "Mask"])
def test_accepted_row_narrows_the_row_of_its_table(name):
    accepted, row = get_type_hints(ROW_OF[f"Accepted{name}"]), get_type_hints(ROW_OF[name])
    assert set(accepted) == set(row)
    for column, hint in accepted.items():
        kinds, nullable = kinds_of(hint)
        assert kinds <= kinds_of(row[column])[0], column
        assert not nullable or kinds_of(row[column])[1], column
    assert accepted["reason"] is NoneType


def test_rows_come_in_order_of_frame():
    columns = [{"volume": name, "slices": number} for number, name in enumerate("cab", 1)]
    frame = frame_of(columns, VolumeTable)
    volumes = list(table_rows.rows_of(frame, table_rows.VolumeRow))
    assert [volume["volume"] for volume in volumes] == ["c", "a", "b"]
    assert volumes[0]["file"] is None


def test_rows_need_columns_of_their_type():
    with pytest.raises(KeyError, match=r"VolumeRow: the frame lacks age, .*, volume"):
        table_rows.rows_of(pl.DataFrame({"slices": [1]}), table_rows.VolumeRow)
