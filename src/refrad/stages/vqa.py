"""Write question-answer pairs for the images that have a grounded caption."""

import logging
from pathlib import Path

import polars as pl

from refrad.anatomy.schema import load_schema
from refrad.config import VqaOptions
from refrad.fingerprint import Fingerprint
from refrad.grounding.questions import BACKEND, ImageFacts, problem_of, write_questions
from refrad.tables import (
    CaptionTable,
    EntityTable,
    QuestionTable,
    StructureTable,
    TripletTable,
    VolumeTable,
    frame_of,
    read_table,
    write_table,
)
from refrad.tally import Tally

__all__ = ["run"]

VERSION = 1

logger = logging.getLogger(__name__)


def run(
    *,
    captions: Path,
    triplets: Path,
    entities: Path,
    volumes: Path,
    structures: Path,
    schema: Path,
    questions: Path,
    metrics: Path,
    fingerprint: Fingerprint,
) -> None:
    """Write the questions of one shard. Pairs that fail a check are kept out and counted."""
    options = VqaOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    language = dict(read_table(captions, CaptionTable).select("caption", "language").rows())
    kept = read_table(triplets, TripletTable).filter(pl.col("reason").is_null())
    named = read_table(entities, EntityTable).join(kept, on="triplet").sort("instance", "caption", "start", "class_id")
    about = {row["volume"]: row for row in read_table(volumes, VolumeTable).iter_rows(named=True)}
    areas = (
        read_table(structures, StructureTable)
        .select("instance", "class_id", "area")
        .partition_by("instance", as_dict=True)
    )
    tally = Tally("images")
    rows = []
    for (instance, volume), group in named.group_by(["instance", "volume"], maintain_order=True):
        tally.take()
        classes: dict[str, list[int]] = {}
        for caption, class_id in group.select("caption", "class_id").rows():
            classes.setdefault(language[caption], []).append(class_id)
        seen = about[volume]
        visible = dict(areas[(instance,)].select("class_id", "area").rows())
        facts = ImageFacts(str(instance), seen["modality"], seen["plane"], seen["contrast"], visible, classes)
        good = 0
        for one in write_questions(facts, anatomy, options.findings, options.metadata):
            problem = problem_of(one)
            tally.add("checks", problem or "passed")
            if problem is None:
                rows.append(vars(one) | {"instance": instance, "choices": list(one.choices), "backend": BACKEND})
                tally.add("kind", f"{one.topic}, {one.kind}")
                if one.kind == "yesno":
                    tally.add("answers to yes-no questions", one.answer)
                good += 1
        tally.use() if good else tally.put_aside("no_question")
    tally.make("questions", len(rows))
    write_table(questions, frame_of(rows, QuestionTable), QuestionTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d questions for %d images", len(rows), tally.used)
