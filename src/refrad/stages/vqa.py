"""Write question-answer pairs for the images that have a caption, grounded or not."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from cyclopts import Parameter

from refrad.anatomy.lexicon import load_lexicon
from refrad.anatomy.schema import Schema, load_schema
from refrad.config import VqaOptions
from refrad.core.contracts import (
    CaptionTable,
    EntityTable,
    MentionTable,
    QuestionTable,
    StructureTable,
    TripletTable,
    VolumeTable,
)
from refrad.core.table_rows import (
    AcceptedVolumeRow,
    CaptionRow,
    MentionRow,
    QuestionRow,
    StructureRow,
    TripletRow,
    rows_of,
)
from refrad.core.tables import frame_of, read_table, write_table
from refrad.grounding.caption_images import is_paired
from refrad.grounding.image_facts import PairedCaption, image_facts
from refrad.grounding.vqa_checks import ImageFacts, VqaChecks, VqaPair
from refrad.grounding.vqa_llm import generate_pairs
from refrad.grounding.vqa_templates import write_questions
from refrad.language.rule_classes import schema_warnings
from refrad.llm import open_models
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 4

logger = logging.getLogger(__name__)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class VqaFiles:
    """Files of one shard; each is a flag of the command.

    Args:
        captions: table of stage captions.
        mentions: table of stage mentions.
        triplets: table of stage grounded.
        entities: table of stage grounded.
        volumes: table of stage volumes.
        structures: table of stage structures.
        lexicon: the words of the classes.
        schema: the class schema.
    """

    captions: Path
    mentions: Path
    triplets: Path
    entities: Path
    volumes: Path
    structures: Path
    lexicon: Path
    schema: Path


def run(*, files: VqaFiles, questions: Path, metrics: Path, fingerprint: Fingerprint, llm: str | None = None) -> None:
    """Write the questions of one shard. A pair that fails a check stays in the table with its reason and is used nowhere else."""
    options = VqaOptions.model_validate(fingerprint.options)
    anatomy = load_schema(files.schema)
    words = load_lexicon(files.lexicon, anatomy)
    for warning in schema_warnings(words, anatomy):
        logger.warning("vqa: %s", warning)
    checks = VqaChecks(anatomy, words)
    images = _image_facts(files, anatomy)
    tally = Tally("images")
    rows: list[QuestionRow] = []
    for image, pairs in zip(images, _write_pairs(images, options, llm, checks, tally), strict=True):
        tally.take()
        passed = 0
        for pair in pairs:
            with tally.timed("checks"):
                problem = checks.check_pair(pair, image)
            tally.add("checks", problem or "passed")
            rows.append(_question_row(image.instance, pair, problem))
            if problem is None:
                tally.add("kind", f"{pair.topic}, {pair.kind}")
                if pair.kind == "yesno":
                    tally.add("answers to yes-no questions", pair.answer)
                passed += 1
        tally.use() if passed else tally.quarantine("no_question")
    tally.make("questions", sum(row["reason"] is None for row in rows))
    tally.make("questions kept out", sum(row["reason"] is not None for row in rows))
    write_table(questions, frame_of(rows, QuestionTable), QuestionTable, fingerprint)
    tally.write(metrics, fingerprint)
    logger.info("%d questions for %d images", tally.made["questions"], tally.used)


def _question_row(instance: str, pair: VqaPair, reason: str | None) -> QuestionRow:
    """A row of the table of questions; a pair with a reason is used nowhere else."""
    return {
        "instance": instance,
        "language": pair.language,
        "topic": pair.topic,
        "kind": pair.kind,
        "question": pair.question,
        "choices": list(pair.choices),
        "answer": pair.answer,
        "backend": pair.backend,
        "reason": reason,
    }


def _write_pairs(
    images: Sequence[ImageFacts], options: VqaOptions, llm: str | None, checks: VqaChecks, tally: Tally
) -> Iterator[list[VqaPair]]:
    """The pairs of each image: all by templates, or those on findings by the model and those on metadata by templates.

    The model is not asked about images without a grounded caption, which not every dataset has: templates write all of their questions.
    """
    if options.writer == "templates":
        yield from write_questions(images, checks.schema, options.findings, options.metadata)
        return
    grounded = [image for image in images if image.grounded]
    ungrounded = [image for image in images if not image.grounded]
    requests = [(image, language) for image in grounded for language in sorted(image.named)]
    with open_models(llm) as models:
        generated: dict[str, list[VqaPair]] = {}
        replies = generate_pairs(requests, models, checks, options.findings)
        for (image, _), pairs in zip(requests, replies, strict=True):
            if pairs is None:
                tally.add("checks", "model_failed")
            generated.setdefault(image.instance, []).extend(pairs or [])
        models.account(tally)
    for group, findings in ((grounded, 0), (ungrounded, options.findings)):
        for image, pairs in zip(group, write_questions(group, checks.schema, findings, options.metadata), strict=True):
            generated[image.instance] = generated.get(image.instance, []) + pairs
    yield from (generated[image.instance] for image in images)


def _image_facts(files: VqaFiles, schema: Schema) -> list[ImageFacts]:
    """The facts of each image that has a caption, in the order of the pseudonyms of images."""
    caption_of = {row["caption"]: row for row in rows_of(read_table(files.captions, CaptionTable), CaptionRow)}
    mentions_of: dict[str, list[MentionRow]] = {}
    for mention in rows_of(read_table(files.mentions, MentionTable), MentionRow):
        mentions_of.setdefault(mention["caption"], []).append(mention)
    accepted = read_table(files.volumes, VolumeTable).filter(pl.col("reason").is_null())
    volume_of = {row["volume"]: row for row in rows_of(accepted, AcceptedVolumeRow)}
    structures_of = read_table(files.structures, StructureTable).partition_by("instance", as_dict=True)
    classes_of: dict[str, list[int]] = {}
    for triplet, class_id in read_table(files.entities, EntityTable).select("triplet", "class_id").rows():
        classes_of.setdefault(triplet, []).append(class_id)
    pairs = read_table(files.triplets, TripletTable).filter(is_paired("all")).sort("instance", "caption")
    images = []
    for (instance, volume), group in pairs.group_by(["instance", "volume"], maintain_order=True):
        structures = list(rows_of(structures_of[(instance,)], StructureRow)) if (instance,) in structures_of else []
        captions = [
            PairedCaption(
                caption_of[pair["caption"]],
                mentions_of.get(pair["caption"], ()),
                classes_of.get(pair["triplet"], ()),
            )
            for pair in rows_of(group, TripletRow)
        ]
        images.append(image_facts(str(instance), volume_of[volume], structures, captions, schema))
    return images
