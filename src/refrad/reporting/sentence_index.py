"""Sample sentences with their mentions marked: report text, for pages whose owner has chosen to show it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from markupsafe import Markup

from refrad.anatomy.schema import Schema
from refrad.reporting.gallery import mark_spans

__all__ = ["SentenceSample", "sample_sentences"]


@dataclass(frozen=True)
class SentenceSample:
    """A sentence as HTML, and of each span its words, classes and assertion."""

    language: str
    text: Markup
    mentions: Sequence[tuple[str, str, str]]


def sample_sentences(
    captions: Sequence[Path], mentions: Sequence[Path], count: int, schema: Schema
) -> list[SentenceSample]:
    """`count` captions at most, languages in turn, always the same ones, with their mentions from stage mentions."""
    if not count or not captions:
        return []
    columns = ["caption", "language", "text"]
    chosen = (
        pl.concat([pl.scan_parquet(path).select(columns) for path in captions])
        .sort("caption")
        .with_columns(turn=pl.int_range(pl.len()).over("language"))
        .sort("turn", "caption")
        .head(count)
        .collect()
    )
    names = chosen["caption"].to_list()
    rows = pl.concat([pl.scan_parquet(path) for path in mentions]).filter(pl.col("caption").is_in(names)).collect()
    mentions_of: dict[str, list[Mapping[str, Any]]] = {name: [] for name in names}
    for row in rows.sort("caption", "start", "class_id").iter_rows(named=True):
        mentions_of[row["caption"]].append(row)
    return [
        SentenceSample(language, mark_spans(text, mentions_of[name]), _spans(mentions_of[name], schema))
        for name, language, text in chosen.select(columns).iter_rows()
    ]


def _spans(rows: Sequence[Mapping[str, Any]], schema: Schema) -> list[tuple[str, str, str]]:
    spans: dict[tuple[int, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        spans.setdefault((row["start"], row["end"]), []).append(row)
    return [
        (
            same[0]["text"],
            ", ".join(dict.fromkeys(schema.by_id[row["class_id"]].english for row in same)),
            same[0]["assertion"],
        )
        for _, same in sorted(spans.items())
    ]
