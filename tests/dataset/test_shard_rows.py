"""Typed rows of the shards follow their Arrow columns."""

from types import NoneType, UnionType
from typing import NotRequired, get_args, get_origin, get_type_hints, is_typeddict

import pyarrow as pa

from refrad.dataset.columns import COLUMNS
from refrad.dataset.shard_rows import BenchmarkImageRow, ImageRow

ARROW = {bool: pa.bool_(), bytes: pa.binary(), float: pa.float64(), str: pa.string()}


def assert_same(hint: object, kind: pa.DataType, name: str) -> None:
    if isinstance(hint, UnionType):
        (hint,) = set(get_args(hint)) - {NoneType}
    if get_origin(hint) is list:
        assert pa.types.is_list(kind), name
        assert_same(get_args(hint)[0], kind.value_type, name)
    elif is_typeddict(hint):
        assert {field.name for field in kind} == set(get_type_hints(hint)), name
        for field in kind:
            assert_same(get_type_hints(hint)[field.name], field.type, f"{name}.{field.name}")
    elif get_origin(hint) is dict:
        assert pa.types.is_struct(kind), name
        assert all(pa.types.is_string(field.type) for field in kind), name
    elif hint is int:
        assert pa.types.is_integer(kind), name
    else:
        assert ARROW[hint] == kind, name


def test_image_row_has_columns_of_shard():
    hints = get_type_hints(ImageRow, include_extras=True)
    assert sorted(hints) == sorted(column.name for column in COLUMNS)  # the file has their order from COLUMNS
    for column in COLUMNS:
        hint = hints[column.name]
        optional = get_origin(hint) is NotRequired
        assert optional == (column.format is not None), column.name
        assert_same(get_args(hint)[0] if optional else hint, column.kind, column.name)


def test_benchmark_row_has_columns_of_shard():
    kinds = {column.name: column.kind for column in COLUMNS}
    for name, hint in get_type_hints(BenchmarkImageRow, include_extras=True).items():
        assert_same(get_args(hint)[0] if get_origin(hint) is NotRequired else hint, kinds[name], name)
