"""The command `refrad audit`: a sheet of random triplets for a radiologist to tick, and the precision from what comes back."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import binomtest

from refrad.anatomy.schema import Schema, load_schema
from refrad.core.files import atomic, write_json
from refrad.dataset.shard_io import list_shards, read_rows
from refrad.reporting.gallery import ImageCard, build_card
from refrad.reporting.pages import render

__all__ = ["Precision", "main", "precision_of", "sample_triplets"]

COLUMNS = ("number", "image_id", "caption", "right", "comment")
YES = {"yes", "y", "ja", "j", "1", "x", "true", "right"}
NO = {"no", "n", "nein", "0", "false", "wrong"}
LEVEL = 0.95


@dataclass(frozen=True)
class Precision:
    """Share of right triplets among those that were judged, with its Wilson interval."""

    right: int
    judged: int
    not_judged: int
    share: float
    low: float
    high: float


def main(
    *,
    images: Path = Path("results/shards"),
    out: Path = Path("results/audit"),
    count: int = 100,
    seed: int = 0,
    schema: Path = Path("workflow/anatomy/classes.yaml"),
    sheet: Path | None = None,
) -> None:
    """Write sheet.html and sheet.csv with random triplets; or, with --sheet, the precision from the ticked sheet.csv.

    Args:
        images: a Parquet file of the dataset, or a folder of them.
        out: where the sheet goes, or precision.json.
        count: triplets on the sheet.
        seed: another one draws others.
        schema: the class schema.
        sheet: a sheet.csv whose column `right` holds yes or no.

    Raises:
        ValueError: if the sheet holds something else, or nothing.
        FileNotFoundError: if there is no dataset, or no sheet.
    """
    if sheet is not None:
        found = precision_of(sheet)
        write_json(out / "precision.json", vars(found))
        print(
            f"{found.right} of {found.judged} triplets are right: precision {found.share:.3f}"
            f" ({LEVEL:.0%} interval {found.low:.3f} to {found.high:.3f}, Wilson); {found.not_judged} not judged"
        )
        return
    chosen = sample_triplets(list_shards(images), count, seed)
    with atomic(out / "sheet.csv") as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((n, row["image_id"], caption["caption"], "", "") for n, (row, caption) in enumerate(chosen, 1))
    with atomic(out / "sheet.html") as temporary:
        cards = _cards(chosen, load_schema(schema))
        temporary.write_text(
            render("audit.html", title="Audit", up="../report/", there=[], cards=cards), encoding="utf-8"
        )
    print(f"{out / 'sheet.html'}: {len(chosen)} triplets; write yes or no in column right of {out / 'sheet.csv'}")


def sample_triplets(files: Sequence[Path], count: int, seed: int) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows and one of their captions each: pairs of image and caption, each as likely as any other, in random order."""
    pairs = [
        (row["image_id"], caption["caption"])
        for row in read_rows(files, ["image_id", "captions"])
        for caption in row["captions"]
    ]
    order = np.random.default_rng(seed).permutation(len(pairs))[:count]
    wanted = pl.col("image_id").is_in([pairs[place][0] for place in order])
    rows = {row["image_id"]: row for path in files for row in pl.scan_parquet(path).filter(wanted).collect().to_dicts()}
    chosen = []
    for place in order:
        image, name = pairs[place]
        chosen.append((rows[image], next(one for one in rows[image]["captions"] if one["caption"] == name)))
    return chosen


def precision_of(sheet: Path) -> Precision:
    """The precision from a returned sheet (comma or semicolon, as spreadsheets save it).

    Raises:
        ValueError: naming the row whose mark is neither yes nor no, or if no row is judged.
    """
    text = sheet.read_text(encoding="utf-8-sig")
    header = text.splitlines()[0] if text else ""
    rows = list(csv.DictReader(text.splitlines(), delimiter=";" if header.count(";") > header.count(",") else ","))
    if not rows or "right" not in rows[0]:
        raise ValueError(f"{sheet.name}: no column right, so this is no sheet of refrad audit")
    marks = [(row["number"], (row["right"] or "").strip().lower()) for row in rows]
    if wrong := [number for number, mark in marks if mark and mark not in YES | NO]:
        raise ValueError(f"{sheet.name}: write yes or no in column right, or nothing: see number {wrong[0]}")
    judged = [mark in YES for _, mark in marks if mark]
    if not judged:
        raise ValueError(f"{sheet.name}: column right is empty")
    interval = binomtest(sum(judged), len(judged)).proportion_ci(LEVEL, method="wilson")
    share = sum(judged) / len(judged)
    return Precision(
        sum(judged), len(judged), len(marks) - len(judged), share, float(interval.low), float(interval.high)
    )


def _cards(chosen: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], schema: Schema) -> list[ImageCard]:
    return [build_card(row, schema, caption=caption) for row, caption in chosen]
