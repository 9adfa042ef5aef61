"""Write question-answer pairs for the images that have a grounded caption."""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import Schema, load_schema
from refrad.config import VqaOptions
from refrad.core.contracts import CaptionTable, EntityTable, QuestionTable, StructureTable, TripletTable, VolumeTable
from refrad.core.tables import frame_of, read_table, write_table
from refrad.grounding.vqa_checks import ImageFacts, VqaChecks, VqaPair
from refrad.grounding.vqa_llm import ask_model
from refrad.grounding.vqa_templates import write_questions
from refrad.language.rule_classes import schema_warnings
from refrad.llm import open_models
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 2

logger = logging.getLogger(__name__)


def run(
    *,
    captions: Path,
    triplets: Path,
    entities: Path,
    volumes: Path,
    structures: Path,
    lexicon: Path,
    schema: Path,
    questions: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    llm: str | None = None,
) -> None:
    """Write the questions of one shard. A pair that fails a check stays in the table with its reason, and goes no further."""
    options = VqaOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    words = load_lexicon(lexicon, anatomy)
    for warning in schema_warnings(words, anatomy):
        logger.warning("vqa: %s", warning)
    checks = VqaChecks(anatomy, words)
    images = _images(captions, triplets, entities, volumes, structures)
    tally = Tally("images")
    rows = []
    for image, pairs in zip(images, _write(images, options, llm, anatomy, tally), strict=True):
        tally.take()
        good = 0
        for one in pairs:
            with tally.timed("checks"):
                problem = checks.problem_of(one, image)
            tally.add("checks", problem or "passed")
            told = {key: value for key, value in vars(one).items() if key != "evidence"}
            rows.append(told | {"instance": image.instance, "choices": list(one.choices), "reason": problem})
            if problem is None:
                tally.add("kind", f"{one.topic}, {one.kind}")
                if one.kind == "yesno":
                    tally.add("answers to yes-no questions", one.answer)
                good += 1
        tally.use() if good else tally.put_aside("no_question")
    tally.make("questions", sum(row["reason"] is None for row in rows))
    tally.make("questions kept out", sum(row["reason"] is not None for row in rows))
    write_table(questions, frame_of(rows, QuestionTable), QuestionTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d questions for %d images", tally.made["questions"], tally.used)


def _write(
    images: Sequence[ImageFacts], options: VqaOptions, llm: str | None, schema: Schema, tally: Tally
) -> Iterator[list[VqaPair]]:
    """The pairs of each image: all by templates, or those from the findings by the model and those of the slice by templates."""
    if options.writer == "templates":
        for image in images:
            yield write_questions(image, schema, options.findings, options.metadata)
        return
    asked = [(image, language) for image in images for language in sorted(image.named)]
    with open_models(llm) as models:
        written: dict[str, list[VqaPair]] = {}
        for (image, _), found in zip(asked, ask_model(asked, models, schema, options.findings), strict=True):
            if found is None:
                tally.add("checks", "model_failed")
            written.setdefault(image.instance, []).extend(found or [])
        models.account(tally)
    for image in images:
        yield written[image.instance] + write_questions(image, schema, 0, options.metadata)


def _images(captions: Path, triplets: Path, entities: Path, volumes: Path, structures: Path) -> list[ImageFacts]:
    """What is known of each image that has a grounded caption, in the order of their names."""
    told = {row["caption"]: row for row in read_table(captions, CaptionTable).iter_rows(named=True)}
    kept = read_table(triplets, TripletTable).filter(pl.col("reason").is_null())
    named = read_table(entities, EntityTable).join(kept, on="triplet").sort("instance", "caption", "start", "class_id")
    about = {row["volume"]: row for row in read_table(volumes, VolumeTable).iter_rows(named=True)}
    visible = read_table(structures, StructureTable).partition_by("instance", as_dict=True)
    images = []
    for (instance, volume), group in named.group_by(["instance", "volume"], maintain_order=True):
        classes: dict[str, list[int]] = {}
        texts: dict[str, list[str]] = {}
        for caption, class_id in group.select("caption", "class_id").rows():
            classes.setdefault(told[caption]["language"], []).append(class_id)
        for caption in group["caption"].unique(maintain_order=True):
            texts.setdefault(told[caption]["language"], []).append(told[caption]["text"])
        seen = about[volume]
        there = visible[(instance,)]
        widths = there.select("class_id", (pl.col("x_max") - pl.col("x_min")) * seen["spacing_x"])
        images.append(
            ImageFacts(
                str(instance),
                seen["modality"],
                seen["plane"],
                seen["contrast"],
                dict(there.select("class_id", "area").rows()),
                classes,
                dict(widths.rows()),
                texts,
            )
        )
    return images
