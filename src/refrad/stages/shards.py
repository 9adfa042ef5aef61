"""Write the dataset: Parquet with the images inside, one row for each image that has a grounded caption."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import ShardsOptions
from refrad.core.contracts import (
    CaptionTable,
    EntityTable,
    MaskTable,
    MentionTable,
    QuestionTable,
    StructureTable,
    TripletTable,
    VolumeTable,
)
from refrad.core.tables import read_table
from refrad.core.types import TASK_OF
from refrad.dataset.image_codec import encode_mask, encode_pixels, encode_png, perceptual_hash, window_image
from refrad.dataset.shard_io import fingerprint_digest, write_shard
from refrad.dicom.slices import image_at
from refrad.segmentation.labels import load_labels
from refrad.segmentation.structure_finder import OutlierRule, keep_components
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 2

logger = logging.getLogger(__name__)


def run(
    *,
    captions: Path,
    mentions: Path,
    triplets: Path,
    entities: Path,
    questions: Path,
    volumes: Path,
    structures: Path,
    masks: Path,
    volume_store: Path,
    mask_store: Path,
    schema: Path,
    images: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Write the images of one shard, one volume in memory at a time."""
    options = ShardsOptions.model_validate(fingerprint.options)
    tally = Tally("images")
    tables = _Tables(captions, mentions, triplets, entities, questions, structures)
    labelled = read_table(masks, MaskTable).select("volume", "task", "segmenter", "weights", mask="file")
    about = read_table(volumes, VolumeTable).join(labelled, on="volume")
    anatomy = load_schema(schema)
    origins = {"volumes": volumes, "masks": masks, "structures": structures, "captions": captions}
    origins |= {"mentions": mentions, "grounded": triplets, "vqa": questions}
    sources = {stage: read_fingerprint(path) for stage, path in origins.items()}
    digests = {stage: fingerprint_digest(one) for stage, one in sources.items()} | {
        "shards": fingerprint_digest(fingerprint)
    }
    rows = _rows(tables, about, digests, volume_store, mask_store, anatomy, options, tally)
    tally.make("rows", write_shard(images, rows, anatomy, fingerprint, sources, options.formats))
    tally.write(metrics, fingerprint)
    logger.info("%d images with %d captions", tally.used, tally.made.get("captions", 0))


class _Tables:
    """What is told about each image, looked up by its instance."""

    def __init__(
        self, captions: Path, mentions: Path, triplets: Path, entities: Path, questions: Path, structures: Path
    ) -> None:
        # The outlier rule is part of the structures; masks must follow the same.
        rule = read_fingerprint(structures).options
        self.rule = OutlierRule(rule["minimum_area_mm2"], rule["minimum_share"])
        self.captions = {row["caption"]: row for row in read_table(captions, CaptionTable).iter_rows(named=True)}
        self.entities = _grouped(read_table(entities, EntityTable), "triplet")
        self.questions = _grouped(
            read_table(questions, QuestionTable).filter(pl.col("reason").is_null()).drop("reason"), "instance"
        )
        self.structures = _grouped(read_table(structures, StructureTable), "instance")
        self.kept = read_table(triplets, TripletTable).filter(pl.col("reason").is_null())
        self.finders = dict(read_table(mentions, MentionTable).select("caption", "backend").rows())


def _grouped(frame: pl.DataFrame, key: str) -> dict[str, list[dict[str, Any]]]:
    return {name[0]: group.to_dicts() for name, group in frame.group_by([key], maintain_order=True)}  # type: ignore[misc]


def _rows(
    tables: _Tables,
    about: pl.DataFrame,
    digests: dict[str, str],
    volume_store: Path,
    mask_store: Path,
    schema: Schema,
    options: ShardsOptions,
    tally: Tally,
) -> Iterator[dict[str, Any]]:
    """The rows, volume by volume, in the order of the slices."""
    by_volume = _grouped(tables.kept.sort("volume", "index", "caption"), "volume")
    luts = {task: schema.native_lut(task) for task in TASK_OF.values()}
    for volume in about.sort("volume").iter_rows(named=True):
        triplets = by_volume.get(volume["volume"], [])
        if not triplets:
            continue
        image: Any = nib.load(volume_store / volume["file"])  # type: ignore[attr-defined]
        values = np.asarray(image.dataobj, np.int16)
        labels = load_labels(mask_store / volume["mask"])
        spacing = volume["spacing_x"], volume["spacing_y"]
        for index in sorted({one["index"] for one in triplets}):
            here = [one for one in triplets if one["index"] == index]
            instance = here[0]["instance"]
            tally.take()
            captions = [tables.captions[one["caption"]] for one in here]
            with tally.timed("masks"):
                classes = _kept_classes(labels[:, :, index], luts[volume["task"]], spacing, tables.rule)
                structures = [
                    {key: one[key] for key in ("class_id", "x_min", "y_min", "x_max", "y_max", "area")}
                    | {"rle": encode_mask(classes == one["class_id"])}
                    for one in tables.structures[instance]
                ]
            row = {
                key: volume[key]
                for key in ("volume", "study", "patient", "split", "modality", "plane", "body_part", "contrast")
            }
            row |= {"image_id": instance, "index": index, "width": volume["columns"], "height": volume["rows"]}
            row |= {"spacing_x": spacing[0], "spacing_y": spacing[1], "structures": structures}
            with tally.timed("pictures"):
                row |= _pictures(image_at(values, index), volume["modality"], options)
            row["captions"] = [
                {key: caption[key] for key in ("caption", "sentence", "language", "text", "indication", "question")}
                | {"tie": one["tie"], "entities": tables.entities[one["triplet"]]}
                for one, caption in zip(here, captions, strict=True)
            ]
            row["questions"] = tables.questions.get(instance, [])
            row["provenance"] = {
                "segmenter": volume["segmenter"],
                "weights": volume["weights"],
                "mentions": _all({tables.finders[one["caption"]] for one in here}),
                "rewriter": _all({caption["rewriter"] for caption in captions}),
                "translator": _all({caption["translator"] for caption in captions}),
                "vqa": _all({one["backend"] for one in row["questions"]}),
                "fingerprints": digests,
            }
            tally.use()
            tally.make("captions", len(captions))
            tally.make("entities", sum(len(one["entities"]) for one in row["captions"]))
            tally.make("questions", len(row["questions"]))
            for table in ("split", "modality", "plane"):
                tally.add(table, str(volume[table]))
            yield row


def _kept_classes(
    labels: NDArray[np.uint8], lut: NDArray[np.uint8], spacing: tuple[float, float], rule: OutlierRule
) -> NDArray[np.uint8]:
    """The classes of a slice uint8 [row, column], as the DICOM image lies, without outliers: one look for all classes."""
    pieces, kept = keep_components(lut[labels], spacing[0] * spacing[1], rule)
    owner = np.zeros(max((number for number, *_ in kept), default=0) + 1, np.uint8)
    for number, class_id, *_ in kept:
        owner[number] = class_id
    return owner[pieces].T


def _pictures(image: NDArray[np.int16], modality: str, options: ShardsOptions) -> dict[str, Any]:
    """The columns that hold an image [row, column], and its perceptual hash."""
    square = window_image(image, modality, options.windows, options.image_size)
    row: dict[str, Any] = {"perceptual_hash": perceptual_hash(square)}
    if "png" in options.formats:
        row["image"] = {"bytes": encode_png(square), "path": None}
    if "raw" in options.formats:
        row["pixels"] = encode_pixels(square)
    if "full" in options.formats:
        row["image_full"] = {"bytes": encode_png(window_image(image, modality, options.windows, None)), "path": None}
    return row


def _all(names: set[str]) -> str:
    return " + ".join(sorted(names))
