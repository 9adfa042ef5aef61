"""Sample sentences with their mentions marked, and sample questions: report text, for pages whose owner has chosen to show it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import polars as pl
from markupsafe import Markup

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import MentionRow, rows_of
from refrad.dataset.shard_rows import ImageRow, QuestionStruct
from refrad.reporting.gallery import mark_spans

__all__ = ["SentenceSample", "sample_questions", "sample_sentences"]


@dataclass(frozen=True)
class SentenceSample:
    """A sentence as HTML, its section and tie, and of each span its words, classes and assertion."""

    language: str
    section: str
    tie: str
    text: Markup
    mentions: Sequence[tuple[str, str, str]]


def sample_sentences(
    captions: pl.LazyFrame, mentions: pl.LazyFrame, count: int, schema: Schema
) -> list[SentenceSample]:
    """`count` captions at most, languages in turn, always the same ones, with their mentions.

    Args:
        captions: CaptionTable.
        mentions: MentionTable.
        count: captions at most.
        schema: the class schema.
    """
    columns = ["caption", "language", "section", "tie", "text"]
    chosen = (
        captions.select(columns)
        .sort("caption")
        .with_columns(turn=pl.int_range(pl.len()).over("language"))
        .sort("turn", "caption")
        .head(count)
        .collect()
    )
    names = chosen["caption"].to_list()
    rows = mentions.filter(pl.col("caption").is_in(names)).sort("caption", "start", "class_id").collect()
    mentions_of: dict[str, list[MentionRow]] = {name: [] for name in names}
    for mention in rows_of(rows, MentionRow):
        mentions_of[mention["caption"]].append(mention)
    return [
        SentenceSample(language, section, tie, mark_spans(text, mentions_of[name]), _spans(mentions_of[name], schema))
        for name, language, section, tie, text in chosen.select(columns).iter_rows()
    ]


def sample_questions(rows: Iterable[ImageRow], count: int) -> list[tuple[str, QuestionStruct]]:
    """Image id and question: `count` at most, topics, kinds and languages in turn, always the same ones.

    Args:
        rows: of the dataset.
        count: questions at most.
    """
    of_kind: dict[tuple[str, str, str], list[tuple[str, QuestionStruct]]] = {}
    for row in rows:
        for question in row["questions"] or ():
            kind = question["topic"], question["kind"], question["language"]
            of_kind.setdefault(kind, []).append((row["image_id"], question))
    turns = zip_longest(*(of_kind[kind] for kind in sorted(of_kind)))
    return [sample for turn in turns for sample in turn if sample is not None][:count]


def _spans(mentions: Sequence[MentionRow], schema: Schema) -> list[tuple[str, str, str]]:
    spans: dict[tuple[int, int], list[MentionRow]] = {}
    for mention in mentions:
        spans.setdefault((mention["start"], mention["end"]), []).append(mention)
    return [
        (
            same[0]["text"],
            ", ".join(dict.fromkeys(schema.by_id[mention["class_id"]].english for mention in same)),
            same[0]["assertion"],
        )
        for _, same in sorted(spans.items())
    ]
