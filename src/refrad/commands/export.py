"""The command `refrad export`: the dataset in the format of another tool."""

import logging
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import NotRequired, TypedDict, get_args

from refrad.anatomy.schema import load_schema
from refrad.config.public_sets import SetPart
from refrad.core.contracts import VolumeTable
from refrad.core.files import atomic_folder, flushed_at_end, write_json
from refrad.core.installation import resolve_shipped
from refrad.core.tables import read_table
from refrad.core.types import SPLITS
from refrad.dataset.accepted_terms import require_acceptance, with_accepted
from refrad.dataset.exports import EXPORTERS, ExportFormat, ExportSource
from refrad.dataset.exports.accompanying import card_licence, readme, terms_page
from refrad.dataset.exports.source import ClassNames, Pictures
from refrad.dataset.file_list import CARD, dataset_root, list_dataset
from refrad.dataset.leakage import find_leakage
from refrad.dataset.shard_io import read_class_names, read_rows
from refrad.dataset.terms import registered_sets

__all__ = ["main"]

logger = logging.getLogger(__name__)


class _OriginColumns(TypedDict):
    split: str
    public_set: NotRequired[str | None]  # earlier releases had none


def main(
    format: str,
    *,
    images: Path = Path("results/shards"),
    out: Path | None = None,
    pictures: Pictures = "square",
    schema: Path = Path("workflow/anatomy/classes.yaml"),
    volumes: Path = Path("results/volumes"),
    volume_store: Path = Path("stores/volumes"),
    correlation: float = 0.75,
    accept_terms: list[str] | None = None,
) -> None:
    """Write the dataset in the format of another tool; refuse if anything crosses the splits, or may not be redistributed.

    hf: the columns of the shards, one set of Parquet files a split, and the card.
    coco: instances with boxes and masks, captions with phrases; pictures with the width and height of the slice.
    fiftyone: boxes with masks, phrases, sentences and questions, tagged by split; pictures with the width and height of the slice.
    webdataset: tar files of 1,000 pictures and their rows as JSON.
    llava: conversations with boxes as shares, three decimals.
    qwen2.5-vl: conversations with boxes as JSON in pixels; sides of the pictures are multiples of 28 px.
    qwen3-vl: conversations with boxes as JSON in thousandths.
    internvl: conversations with <ref> and <box> in thousandths, and meta files.
    llamafactory: sharegpt conversations with dataset_info.json, each split for Qwen2.5-VL and for Qwen3-VL.
    swift: messages, images and objects, of which ms-swift makes the boxes of each model.
    authors: the layout of the paper's released code: DICOM in zstd, labels and tables; sentences in both languages only.

    Args:
        format: which one.
        images: folder of the dataset, whose croissant.json names the files; or a Parquet file of it.
        out: a folder that is empty or does not exist; results/export/<format> if not given.
        pictures: for conversations: square, as the project trains, or full, with the width and height of the slice.
        schema: for conversations and authors: the class schema, for the names of structures in both languages.
        volumes: only for authors: the tables of stage volumes.
        volume_store: only for authors: folder of the volumes.
        correlation: as `card.duplicate_correlation` of the config.
        accept_terms: a public set whose terms you have read and which allow you this copy, though its data may not be redistributed;
            once for each such set. The export states it.

    Raises:
        ValueError: for an unknown format, if the folder is not empty, the dataset is, if patients, studies or pictures are in more than one
            split, or if terms are not accepted.
        FileNotFoundError: if there is no dataset.
    """
    if format not in EXPORTERS:
        raise ValueError(
            f"no format {format}: there are {', '.join(EXPORTERS)} (refrad export --help has a sentence for each);"
            " DICOM SEG is made by refrad export-masks"
        )
    folder = (out or Path("results/export") / format).resolve()
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ValueError(f"{out or folder} is not empty: remove it, or name another folder with --out")
    files = list_dataset(images)
    origins = {(row["split"], row.get("public_set")) for row in read_rows(files, _OriginColumns)}
    if not origins:
        raise ValueError(f"{images}: the dataset holds no image; the report of the run says why")
    present, sources = {split for split, _ in origins}, {public_set for _, public_set in origins}
    accepted = require_acceptance(sources, get_args(SetPart), accept_terms or [], date.today())
    _refuse_leaks(files, correlation)
    card = with_accepted(_card(images), accepted)
    class_names = read_class_names(files[0])
    source = ExportSource(
        files=files,
        splits=[split for split in SPLITS if split in present],
        class_names=class_names,
        display_names=_display_names(resolve_shipped(schema), class_names) if EXPORTERS[format].needs_names else {},
        volume_files=_volume_files(volumes, volume_store) if EXPORTERS[format].needs_volumes else {},
        folder=folder,
        pictures=pictures,
        card=card,
        licence=card_licence(card),
        sets=registered_sets(sources),
        accepted=accepted,
    )
    with atomic_folder(folder) as temporary, flushed_at_end(temporary):
        EXPORTERS[format].write(source, temporary)
        source.tally.check()
        _write_accompanying(temporary, format, EXPORTERS[format], source)
    logger.info("%s: splits %s", out or folder, ", ".join(source.splits))
    for line in source.tally.lines():
        logger.info("%s", line)
    logger.info("open it: %s", EXPORTERS[format].opening.replace("FOLDER", str(out or folder)))
    if not card:
        logger.warning(
            "the dataset has no card, so the export states no terms: run `snakemake card` before you pass it on"
        )


def _refuse_leaks(files: list[Path], correlation: float) -> None:
    leakage = find_leakage(files, correlation)
    if leakage.total:
        raise ValueError(
            f"not exported: {len(leakage.patients)} patients, {len(leakage.studies)} studies and"
            f" {len(leakage.pictures)} pairs of copied pictures are in more than one split; leakage.json next to"
            " the shards names them"
        )


def _card(images: Path) -> str:
    """The text of the dataset's card; empty if there is none."""
    root = dataset_root(images if images.is_dir() else images.parent)
    return (root / CARD).read_text(encoding="utf-8") if root else ""


def _write_accompanying(folder: Path, name: str, form: ExportFormat, source: ExportSource) -> None:
    """The page that opens the export, the terms, the card and the counts; an own README.md of the format stays."""
    pages = {"README.md": readme(name, form.sentence, form.opening, source), "TERMS.md": terms_page(source)}
    if source.card:
        pages["CARD.md"] = source.card
    for file, text in pages.items():
        if not (folder / file).exists():
            (folder / file).write_text(text, encoding="utf-8")
    tally = source.tally
    left_out = [
        {"unit": unit, "reason": reason, "count": count} for (unit, reason), count in sorted(tally.left_out.items())
    ]
    counts = {"delivered": dict(tally.delivered), "written": dict(tally.written), "left_out": left_out}
    terms = {
        "public_sets": [entry.name for entry in source.sets],
        "accepted_terms": [
            {"public_set": entry.public_set.name, "address": entry.public_set.address, "date": entry.day.isoformat()}
            for entry in source.accepted
        ],
    }
    write_json(folder / "export.json", {"format": name, "splits": list(source.splits), **counts, **terms})


def _display_names(schema: Path, class_names: ClassNames) -> Mapping[str, ClassNames]:
    """Language to the names that people use; where the schema has no such class, the class's own name in words."""
    classes = load_schema(schema).by_name if schema.is_file() else {}
    if not schema.is_file():
        logger.warning("%s: no such schema, so structures are called by their class names", schema)

    def names(language: str) -> Iterator[tuple[int, str]]:
        for class_id, name in class_names.items():
            words = name.replace("_", " ")
            yield class_id, str(getattr(classes[name], language)) if name in classes else words

    return {"en": dict(names("english")), "de": dict(names("german"))}


def _volume_files(volumes: Path, volume_store: Path) -> Mapping[str, Path]:
    """Volume to its NIfTI file, of the tables of stage volumes that exist."""
    tables = [volumes] if volumes.is_file() else sorted(volumes.rglob("volumes.parquet"))
    return {
        volume: volume_store / file
        for path in tables
        for volume, file in read_table(path, VolumeTable).select("volume", "file").rows()
        if file
    }
