"""The command `refrad audit`: a sheet of random triplets for a radiologist to tick, and the precision from the ticked sheet."""

from pathlib import Path

from refrad.anatomy.schema import load_schema
from refrad.core.files import atomic, write_json
from refrad.dataset.file_list import list_dataset
from refrad.dataset.shard_io import read_images, read_rows
from refrad.formats.spreadsheets import write_sheet
from refrad.reporting.audit_sheet import LEVEL, CaptionedImage, precision_of, sample_triplets
from refrad.reporting.gallery import build_card
from refrad.reporting.pages import render
from refrad.review.items import caption_digest

__all__ = ["main"]

COLUMNS = ("number", "image_id", "caption", "digest", "right", "comment")


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
        images: folder of the dataset, whose croissant.json names the files; or a Parquet file of it.
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
        precision = precision_of(sheet.read_text(encoding="utf-8-sig"), sheet.name)
        write_json(out / "precision.json", vars(precision))
        print(
            f"{precision.right} of {precision.judged} triplets are right: precision {precision.share:.3f}"
            f" ({LEVEL:.0%} interval {precision.low:.3f} to {precision.high:.3f}, Wilson); {precision.not_judged} not judged"
        )
        return
    files = list_dataset(images)
    triplets = sample_triplets(read_rows(files, CaptionedImage), count, seed)
    rows = {row["image_id"]: row for row in read_images(files, [image_id for image_id, _ in triplets])}
    sheet_rows = [
        (n, image_id, caption["caption"], caption_digest(image_id, caption), "", "")
        for n, (image_id, caption) in enumerate(triplets, 1)
    ]
    write_sheet(out / "sheet.csv", COLUMNS, sheet_rows)
    with atomic(out / "sheet.html") as temporary:
        anatomy = load_schema(schema)
        cards = [build_card(rows[image_id], anatomy, caption=caption) for image_id, caption in triplets]
        temporary.write_text(
            render("audit.html", title="Audit", up="../report/", there=[], cards=cards), encoding="utf-8"
        )
    print(f"{out / 'sheet.html'}: {len(triplets)} triplets; write yes or no in column right of {out / 'sheet.csv'}")
