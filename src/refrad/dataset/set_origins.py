"""Public sets that the rows of a dataset are of, and where rows of some of them must not be."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from refrad.config.public_sets import PUBLIC_SETS
from refrad.dataset.shard_io import read_columns, read_schema

__all__ = ["count_sets", "refuse_generated_reports", "sets_of_images"]

COLUMNS = ["public_set", "split"]


def count_sets(files: Iterable[Path]) -> Counter[tuple[str | None, str]]:
    """Number of rows by public set and split. None represents a site's own data, as of files of earlier releases.

    Raises:
        TableError: if a file is damaged.
    """
    counts: Counter[tuple[str | None, str]] = Counter()
    for path in files:
        if set(COLUMNS) <= set(read_schema(path).names):
            counts.update(read_columns(path, COLUMNS).select(COLUMNS).iter_rows())
        else:
            counts.update((None, split) for (split,) in read_columns(path, ["split"]).iter_rows())
    return counts


def sets_of_images(files: Iterable[Path]) -> dict[str, str]:
    """Image id to its public set, of the images that are of one.

    Raises:
        TableError: if a file is damaged.
    """
    sets: dict[str, str] = {}
    for path in files:
        if "public_set" in read_schema(path).names:
            sets.update(read_columns(path, ["image_id", "public_set"]).drop_nulls().iter_rows())
    return sets


def refuse_generated_reports(counts: Mapping[tuple[str | None, str], int], unit: str = "images") -> None:
    """Refuse validation and test on reports that were made from masks: a score would measure what wrote them.

    Args:
        counts: number by public set and split.
        unit: that is counted.

    Raises:
        ValueError: if there are any.
    """
    for name, entry in PUBLIC_SETS.items():
        count = sum(n for (public_set, split), n in counts.items() if public_set == name and split != "train")
        if entry.reports_of_masks and count:
            raise ValueError(
                f"{count} {unit} of {name} are in validation or test, and its reports were made from masks, so that they can"
                " only train: run stage index again, which puts all of its patients in train"
            )
