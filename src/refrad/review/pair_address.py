"""Addresses of the review pages, and what they name."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request

from refrad.review.desk import PairKey
from refrad.review.pair_selection import PairSelection
from refrad.review.volume_shelf import ShardKey

__all__ = ["address", "key_of", "key_query", "pair_address", "shard_of", "whole_number"]


def address(path: str, values: Mapping[str, object] | Sequence[tuple[str, object]] = ()) -> str:
    """A path of the server with its query; values that are None or empty are left out."""
    pairs = values.items() if isinstance(values, Mapping) else values
    query = urlencode([(name, value) for name, value in pairs if value not in (None, "")])
    return f"{path}?{query}" if query else path


def pair_address(key: PairKey, selection: PairSelection, number: int = 0, queue: str = "") -> str:
    """The page of a pair, with its number in a selection or in a queue."""
    turn = [("number", number or ""), ("queue", queue)]
    return address("/pair", [*key_query(key), *vars(selection).items(), *turn])


def key_query(key: PairKey) -> list[tuple[str, object]]:
    """What of an address names a pair."""
    return [("of", key.delivery), ("shard", key.shard), ("image", key.image_id), ("caption", key.caption)]


def key_of(request: Request) -> PairKey:
    """The pair that an address names."""
    query = request.query_params
    return PairKey(*shard_of(request), query.get("image", ""), query.get("caption", ""))


def shard_of(request: Request) -> ShardKey:
    """The shard that an address names."""
    query = request.query_params
    return ShardKey(query.get("of", ""), whole_number(query.get("shard", "")))


def whole_number(text: str) -> int:
    """A number from 0 on; -1 for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else -1
