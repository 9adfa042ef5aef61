"""Opening the index of a finished run: its items and their signs."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import Schema, load_schema
from refrad.core.checksums import table_digest
from refrad.core.contracts import CaptionTable, FlagTable, MentionTable
from refrad.core.files import digest_bytes
from refrad.core.private_files import only_for_the_owner
from refrad.core.tables import TableError, read_frame, read_table, write_frame
from refrad.language.mention_finder import find_mentions
from refrad.review.item_index import ItemIndex
from refrad.review.item_tables import collect_tables
from refrad.review.suspicion import Evidence, find_suspicions
from refrad.workflow.fingerprint import content_digest

__all__ = ["compare_with_lexicon", "open_index"]

UNNAMED = {"item_id": pl.String, "class_id": pl.Int16}


def open_index(files: Sequence[Path], results: Path, cache: Path, schema: Path, lexicon: Path) -> ItemIndex:
    """The index of a dataset.

    Args:
        files: Parquet files of the dataset, as `list_dataset` gives them.
        results: folder of the results, for the tables of stages structures, captions and mentions.
        cache: private folder where tables of unchanged files are kept, such as private/review/index.
        schema: the class schema.
        lexicon: the lexicon.

    Raises:
        TableError: if a file of the dataset is damaged.
    """
    tables = collect_tables(files, cache)
    shards = [
        (str(name), int(number))
        for name, number in tables.items.select("delivery", "shard").unique(maintain_order=True).rows()
    ]
    flags = [read_table(path, FlagTable) for path in _tables(results / "structures", shards, "flags.parquet")]
    anatomy = load_schema(schema)
    evidence = Evidence(
        tables,
        anatomy,
        pl.concat(flags)
        if flags
        else pl.DataFrame(schema={"volume": pl.String, "class_id": pl.Int16, "flag": pl.String}),
        pl.concat([pl.DataFrame(schema=UNNAMED), *_unnamed(results, cache, shards, anatomy, lexicon)]),
    )
    return ItemIndex(tables.items, find_suspicions(evidence))


def _tables(folder: Path, shards: Sequence[tuple[str, int]], name: str) -> list[Path]:
    """The tables of a stage for these shards that exist."""
    return [path for delivery, shard in shards if (path := folder / delivery / str(shard) / name).exists()]


def _unnamed(
    results: Path, cache: Path, shards: Sequence[tuple[str, int]], schema: Schema, lexicon: Path
) -> list[pl.DataFrame]:
    """For each shard whose mentions a language model found: captions and classes that it or the lexicon alone names; kept."""
    frames = []
    for path in _tables(results / "mentions", shards, "mentions.parquet"):
        mentions = read_table(path, MentionTable).filter(~pl.col("backend").str.starts_with("lexicon"))
        if not len(mentions):
            continue
        name = digest_bytes(f"{table_digest(path)} {content_digest(lexicon)}".encode())
        stored = cache / f"{name}.unnamed.parquet"
        try:
            frames.append(read_frame(stored))
        except (FileNotFoundError, TableError):
            captions = read_table(
                results / "captions" / path.relative_to(results / "mentions").parent / "captions.parquet", CaptionTable
            )
            frames.append(compare_with_lexicon(mentions, captions, schema, lexicon))
            with only_for_the_owner():
                write_frame(stored, frames[-1])
    return frames


def compare_with_lexicon(mentions: pl.DataFrame, captions: pl.DataFrame, schema: Schema, lexicon: Path) -> pl.DataFrame:
    """Captions, and classes that either the mentions or the lexicon names in them, but not both: `item_id`, `class_id`.

    Args:
        mentions: of a model, `MentionTable`; captions without any are not compared.
        captions: `CaptionTable`.
        schema: the classes.
        lexicon: file of the lexicon.
    """
    words = load_lexicon(lexicon, schema)
    by_model = dict(mentions.group_by("caption").agg("class_id").iter_rows())
    rows = [
        (caption, class_id)
        for caption, language, text in captions.select("caption", "language", "text").iter_rows()
        if caption in by_model
        for class_id in {
            schema.by_name[name].id for mention in find_mentions(text, language, words) for name in mention.classes
        }
        ^ set(by_model[caption])
    ]
    return pl.DataFrame(rows, schema=UNNAMED, orient="row")
