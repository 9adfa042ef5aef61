"""Write the dataset: Parquet with the images inside, one row for each image that has a caption, a file for each split."""

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import numpy as np
import polars as pl
from cyclopts import Parameter
from numpy.typing import NDArray

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import ShardsOptions
from refrad.core.contracts import (
    MaskTable,
    StructureTable,
    TripletTable,
    VolumeTable,
)
from refrad.core.table_rows import (
    StructureRow,
    TripletRow,
    rows_of,
)
from refrad.core.tables import frame_of, read_public_set, read_table, write_table
from refrad.core.types import TASK_OF
from refrad.dataset.image_rows import (
    TurnedGrid,
    build_geometry,
    build_structure,
    encode_picture,
)
from refrad.dataset.image_texts import ImageTexts, VolumeWithLabels, grouped
from refrad.dataset.set_origins import refuse_generated_reports
from refrad.dataset.shard_io import fingerprint_digest, write_shard
from refrad.dataset.shard_rows import (
    ImageRow,
    StructureStruct,
)
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.grounding.caption_images import is_paired
from refrad.review.left_out import LeftOutTable
from refrad.review.shard_review import ShardReview
from refrad.segmentation.labels import load_labels
from refrad.segmentation.structure_finder import OutlierRule, classes_of_slice
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["ShardFiles", "run"]

VERSION = 6

R = TypeVar("R")
logger = logging.getLogger(__name__)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ShardFiles:
    """Files of one shard; each is a flag of the command.

    Args:
        captions: table of stage captions.
        mentions: table of stage mentions.
        triplets: table of stage grounded.
        entities: table of stage grounded.
        questions: table of stage vqa.
        volumes: table of stage volumes.
        structures: table of stage structures.
        masks: table of stage masks.
        schema: the class schema.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
    """

    captions: Path
    mentions: Path
    triplets: Path
    entities: Path
    questions: Path
    volumes: Path
    structures: Path
    masks: Path
    schema: Path
    volume_store: Path
    mask_store: Path


def run(
    *,
    files: ShardFiles,
    train: Path,
    validation: Path,
    test: Path,
    left_out: Path,
    card: Path,
    croissant: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    verdicts: Path | None = None,
    until: int | None = None,
) -> None:
    """Write the images of one shard, one volume in memory at a time. A split without images is a file without rows.

    Args:
        files: of the shard.
        train: the Parquet file to write with the images of training patients.
        validation: that of validation patients.
        test: that of test patients.
        left_out: table of the items that verdicts reject.
        card: the dataset card, and
        croissant: the list of the files; both no longer hold and are removed, until stage card writes them again.
        metrics: counts for the report.
        fingerprint: of stage shards.
        verdicts: file of the verdicts of reviewers, or none.
        until: number of the last verdict to use.

    Raises:
        ValueError: if a patient of a public set whose reports were made from masks does not train.
    """
    options = ShardsOptions.model_validate(fingerprint.options)
    for path in (card, croissant):
        path.unlink(missing_ok=True)
    anatomy = load_schema(files.schema)
    tally = Tally("images")
    tables = (
        *(files.volumes, files.masks, files.structures),
        *(files.captions, files.mentions, files.triplets, files.questions),
    )
    sources = {source.stage: source for source in map(read_fingerprint, tables)}
    digests: dict[str, str | None] = {
        stage: fingerprint_digest(source) for stage, source in (sources | {"shards": fingerprint}).items()
    }
    shard = _Shard(files, digests, anatomy, options, ShardReview(verdicts, until))
    images = {"train": train, "validation": validation, "test": test}
    for split, path in images.items():
        tally.make("rows", write_shard(path, shard.rows(split, tally), anatomy, fingerprint, sources, options.formats))
    write_table(left_out, frame_of(shard.review.left_out, LeftOutTable), LeftOutTable, fingerprint)
    tally.write(metrics, fingerprint, [*images.values(), left_out])
    logger.info("%d images with %d captions", tally.used, tally.made.get("captions", 0))


class _Shard:
    """The images of a shard that have a pair with a caption."""

    def __init__(
        self,
        files: ShardFiles,
        digests: dict[str, str | None],
        schema: Schema,
        options: ShardsOptions,
        review: ShardReview,
    ) -> None:
        self.files, self.options, self.review = files, options, review
        self.texts = ImageTexts(files.captions, files.mentions, files.entities, files.questions, digests)
        triplets = read_table(files.triplets, TripletTable).filter(is_paired(options.pairs))
        self.triplets = grouped(triplets.sort("volume", "index", "caption"), "volume", TripletRow)
        self.structures = grouped(read_table(files.structures, StructureTable), "instance", StructureRow)
        # The outlier rule is part of the structures; masks must follow the same.
        structure_options = read_fingerprint(files.structures).options
        self.rule = OutlierRule(structure_options["minimum_area_mm2"], structure_options["minimum_share"])
        self.luts = {task: schema.native_lut(task) for task in TASK_OF.values()}
        labelled = read_table(files.masks, MaskTable).select(
            "volume", "task", "segmenter", "weights", mask="file", mask_digest="digest"
        )
        volumes = read_table(files.volumes, VolumeTable).filter(pl.col("volume").is_in(list(self.triplets)))
        self.volumes = volumes.join(labelled, on="volume").sort("volume")
        self.public_set = read_public_set(files.masks)
        splits = Counter((self.public_set, split) for split in self.volumes["split"])
        refuse_generated_reports(splits, "volumes")

    def rows(self, split: str, tally: Tally) -> Iterator[ImageRow]:
        """The rows of a split, volume by volume, in the order of the slices."""
        for volume in rows_of(self.volumes.filter(pl.col("split") == split), VolumeWithLabels):
            values, affine = read_volume(self.files.volume_store / volume["file"])
            labels = load_labels(self.files.mask_store / volume["mask"], volume["mask_digest"])
            grid, geometry = build_geometry(volume, affine, self.options.orientation)
            for index, group in groupby(self.triplets[volume["volume"]], key=itemgetter("index")):
                triplets = list(group)
                tally.take()
                with tally.timed("masks"):
                    structs = self._structures(volume, labels[:, :, index], triplets[0]["instance"], grid)
                with tally.timed("pictures"):
                    pictures = encode_picture(
                        grid.turn.image(image_at(values, index)), volume["modality"], self.options
                    )
                row: ImageRow = {
                    "image_id": triplets[0]["instance"],
                    "volume": volume["volume"],
                    "study": volume["study"],
                    "patient": volume["patient"],
                    "split": volume["split"],
                    "public_set": self.public_set,
                    "modality": volume["modality"],
                    "plane": volume["plane"],
                    "index": index,
                    "body_part": volume["body_part"],
                    "contrast": volume["contrast"],
                    **geometry,
                    **pictures,
                    "structures": structs,
                    **self.texts.columns(volume, triplets, grid),
                }
                reviewed = self.review.apply(row, tally)
                if reviewed is None:
                    tally.quarantine("rejected")
                    continue
                _count(tally, reviewed)
                yield reviewed

    def _structures(
        self, volume: VolumeWithLabels, labels: NDArray[np.uint8], instance: str, grid: TurnedGrid
    ) -> list[StructureStruct]:
        """The structures of a slice with their masks."""
        classes = classes_of_slice(
            labels, self.luts[volume["task"]], volume["spacing_x"] * volume["spacing_y"], self.rule
        )
        classes = grid.turn.image(classes)
        return [build_structure(structure, classes, grid) for structure in self.structures.get(instance, ())]


def _count(tally: Tally, row: ImageRow) -> None:
    tally.use()
    tally.make("captions", len(row["captions"]))
    for caption in row["captions"]:
        tally.add("captions", "grounded" if caption["grounded"] else "ungrounded")
    tally.make("entities", sum(len(caption["entities"]) for caption in row["captions"]))
    tally.make("questions", len(row["questions"]))
    tally.add("split", row["split"])
    tally.add("modality", row["modality"])
    tally.add("plane", str(row["plane"]))
