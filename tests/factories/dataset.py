"""A made-up dataset as the workflow leaves it: shards of several deliveries with their card."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.factories.options import SCHEMA, fingerprint

from refrad.anatomy.schema import load_schema
from refrad.core.types import SPLITS
from refrad.dataset.examples import ImageExample, example_of_row, read_image_table
from refrad.dataset.shard_io import write_shard
from refrad.stages import card
from refrad.workflow.fingerprint import Fingerprint

SHARDS = Fingerprint("shards", 2, {"image_size": 64}, {})


def write_shards(
    root: Path, shards: Mapping[str, Iterable[Any]], sources: Mapping[str, Fingerprint] | None = None
) -> list[Path]:
    """The files of shards, split by split as the rules list them; `shards` is "delivery/shard" to its rows.

    As stage shards does, it takes the card away, which no longer holds.
    """
    schema = load_schema(SCHEMA)
    for name in ("README.md", "croissant.json"):
        (root / name).unlink(missing_ok=True)
    rows = {shard: list(of_shard) for shard, of_shard in shards.items()}
    paths = []
    for split in SPLITS:
        for shard, of_shard in rows.items():
            paths.append(root / "data" / shard / f"{split}.parquet")
            write_shard(paths[-1], [row for row in of_shard if row["split"] == split], schema, SHARDS, sources)
    return paths


def describe_dataset(
    root: Path, images: Sequence[Path], persons: list[Path] | None = None, **options: Any
) -> dict[str, Any]:
    """Run stage card on the files of a dataset; its metrics."""
    metrics = root.with_name(f"{root.name}.json")
    card.run(
        images=list(images),
        card=root / "README.md",
        croissant_file=root / "croissant.json",
        crate=root / "ro-crate-metadata.json",
        leakage=root / "leakage.json",
        former=root.with_name(f"{root.name} of former deliveries"),
        metrics=metrics,
        fingerprint=fingerprint("card", **options),
        persons=persons,
    )
    return json.loads(metrics.read_text(encoding="utf-8"))


def examples_of(images: Path, split: str = "test") -> dict[str, ImageExample]:
    """Image id to the example of each image of a split."""
    rows = read_image_table([images], {split}).iter_rows(named=True)
    return {example.image_id: example for example in map(example_of_row, rows)}
