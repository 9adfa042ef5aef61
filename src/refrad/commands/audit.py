"""The command `refrad audit`: a sheet of random triplets for a radiologist to tick, and the precision from the ticked sheet."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import polars as pl

from refrad.anatomy.schema import Schema, load_schema
from refrad.config.public_sets import SetPart
from refrad.core.contracts import VolumeTable
from refrad.core.files import atomic, write_json
from refrad.core.installation import resolve_shipped
from refrad.core.tables import read_table
from refrad.dataset.accepted_terms import accepted_pages
from refrad.dataset.file_list import list_dataset
from refrad.dataset.set_origins import count_sets
from refrad.dataset.shard_io import read_images, read_rows, read_source_fingerprints
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.formats.spreadsheets import write_sheet
from refrad.reporting.audit_sheet import LEVEL, CaptionedImage, SampledTriplet, precision_of, sample_triplets
from refrad.reporting.card_pictures import PictureSources, pictures_of_rows
from refrad.reporting.gallery import ImageCard, build_card
from refrad.reporting.pages import render
from refrad.review.items import caption_digest

__all__ = ["main"]

COLUMNS = ("number", "image_id", "caption", "digest", "right", "comment", "shard", "volume", "patient")


def main(
    *,
    images: Path = Path("results/shards"),
    out: Path = Path("results/audit"),
    count: int = 100,
    seed: int = 0,
    schema: Path = Path("workflow/anatomy/classes.yaml"),
    sheet: Path | None = None,
    volumes: Path = Path("results/volumes"),
    volume_store: Path = Path("stores/volumes"),
    accept_terms: list[str] | None = None,
) -> None:
    """Write sheet.html and sheet.csv with random triplets; or, with --sheet, the precision from the ticked sheet.csv.

    Args:
        images: folder of the dataset, whose croissant.json names the files; or a Parquet file of it.
        out: where the sheet goes, or precision.json.
        count: triplets on the sheet.
        seed: another one draws others.
        schema: the class schema.
        sheet: a sheet.csv whose column `right` holds yes or no.
        volumes: folder of the tables of stage volumes, for slices in full resolution; without it the sheet has the pictures of the dataset.
        volume_store: folder of the volumes.
        accept_terms: as of `refrad export`, since a sheet is a copy of images and sentences.

    Raises:
        ValueError: if the sheet holds something else, or nothing, the dataset is empty, or terms are not accepted.
        FileNotFoundError: if there is no dataset, or no sheet.
    """
    if sheet is not None:
        precision = precision_of(sheet.read_text(encoding="utf-8-sig"), sheet.name)
        write_json(out / "precision.json", vars(precision))
        print(
            f"{precision.right} of {precision.judged} triplets are right: precision {precision.share:.3f}"
            f" ({LEVEL:.0%} interval {precision.low:.3f} to {precision.high:.3f}, Wilson); {precision.not_judged} not judged"
        )
        return
    files = list_dataset(images)
    pages = accepted_pages({source for source, _ in count_sets(files)}, get_args(SetPart), accept_terms or [])
    triplets = sample_triplets((read_rows([path], CaptionedImage) for path in files), count, seed)
    if not triplets:
        raise ValueError(f"{images}: the dataset holds no triplet; the report of the run says why")
    cards = _cards(triplets, files, load_schema(resolve_shipped(schema)), volumes, volume_store)
    rows = []
    for number, (triplet, card) in enumerate(zip(triplets, cards, strict=True), 1):
        path = files[triplet.shard]
        shard = path.relative_to(images).as_posix() if images.is_dir() else path.name
        origin = shard, card.pseudonyms["volume"], card.pseudonyms["patient"]
        item = triplet.image_id, triplet.caption["caption"], caption_digest(triplet.image_id, triplet.caption)
        rows.append((number, *item, "", "", *origin))
    write_sheet(out / "sheet.csv", COLUMNS, rows)
    for name, text in pages.items():
        (out / name).write_text(text, encoding="utf-8")
    with atomic(out / "sheet.html") as temporary:
        text = render("audit.html", title="Audit", up="../report/", there=[], cards=cards)
        temporary.write_text(text, encoding="utf-8")
    print(f"{out / 'sheet.html'}: {len(triplets)} triplets; write yes or no in column right of {out / 'sheet.csv'}")
    if reduced := sum(bool(card.picture.note) for card in cards):
        print(f"{reduced} of them have the small picture of the dataset: see --volumes and --volume-store")


def _cards(
    triplets: Sequence[SampledTriplet], files: Sequence[Path], schema: Schema, volumes: Path, volume_store: Path
) -> list[ImageCard]:
    """The card of each triplet, in their order; one shard in memory at a time."""
    tables = [
        read_table(path, VolumeTable).select("volume", "file") for path in sorted(volumes.rglob("volumes.parquet"))
    ]
    frame = pl.concat(tables) if tables else PictureSources().volumes
    cards: dict[int, ImageCard] = {}
    for shard in sorted({triplet.shard for triplet in triplets}):
        of_shard = {number: triplet for number, triplet in enumerate(triplets) if triplet.shard == shard}
        options = read_source_fingerprints(files[shard])["shards"].options
        sources = PictureSources(frame, volume_store, options.get("windows", MEDGEMMA_WINDOWS), options["image_size"])
        image_ids = dict.fromkeys(triplet.image_id for triplet in of_shard.values())
        rows = {row["image_id"]: row for row in read_images([files[shard]], list(image_ids))}
        pictures = pictures_of_rows(rows.values(), sources, schema)
        for number, triplet in of_shard.items():
            name = triplet.image_id
            cards[number] = build_card(rows[name], schema, pictures[name], triplet.caption)
    return [cards[number] for number in range(len(triplets))]
