"""Train RadGrounder on the training patients of all shards."""

import dataclasses
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import TrainOptions
from refrad.files import atomic_folder, write_json
from refrad.fingerprint import Fingerprint
from refrad.model.processor import load_processor, tiny_processor
from refrad.model.prompts import every_prompt
from refrad.model.radgrounder import PATCH, load_model, tiny_model
from refrad.model.rows import Picture, picture_of, read_images
from refrad.model.samples import Samples, wordings
from refrad.model.seeing import teach_to_see
from refrad.model.training import Recipe, train
from refrad.tally import Tally

__all__ = ["TRAINING", "run"]

VERSION = 1
TOWER_BATCH, TOWER_RATE = 16, 2.5e-3
TRAINING = "training.json"  # inside the checkpoint: how it came about

log = logging.getLogger(__name__)


def run(*, images: list[Path], schema: Path, checkpoint: Path, metrics: Path, fingerprint: Fingerprint) -> None:
    """Write the checkpoint: a folder that `from_pretrained` loads, with the training's own account in training.json.

    Raises:
        ValueError: if no training patient has an image with a grounded caption.
    """
    options = TrainOptions.model_validate(fingerprint.options)
    torch.set_num_threads(options.threads)
    tally = Tally("images")
    frame = read_images(images)
    tally.take(len(frame))
    parts = {split: frame.filter(frame["split"] == split) for split in ("train", "validation")}
    if not len(parts["train"]):
        raise ValueError(
            "no image of a training patient has a grounded caption: see the report pages of grounded and shards"
        )
    anatomy = load_schema(schema)
    pictures = [picture_of(row) for row in parts["train"].iter_rows(named=True)]
    names = wordings(pictures, anatomy)
    processor, model = _start(options, pictures, anatomy)
    side = processor.image_processor.size["height"]
    shares = options.tasks.model_dump()
    samples, held_out = (
        Samples(part, names, side, options.coordinates, shares, options.seed, augment=split == "train")
        for split, part in parts.items()
    )
    recipe = Recipe(
        options.steps,
        options.seconds,
        options.batch,
        options.accumulate,
        options.learning_rate,
        options.seed,
        options.spread,
        options.precision,
    )
    seen: list[float] = []
    if options.model == "tiny" and options.tower_steps:
        with tally.timed("learning to see"):
            seen = teach_to_see(
                model,
                processor,
                parts["train"],
                names,
                options.tower_steps,
                TOWER_BATCH,
                TOWER_RATE,
                options.seed,
                options.precision,
            )
    if options.freeze_tower:
        model.model.vision_tower.requires_grad_(False)
    trained = train(model, processor, samples, held_out, recipe)
    account: dict[str, Any] = {
        "fingerprint": fingerprint.text,
        "images": {split: len(part) for split, part in parts.items()},
    }
    account |= {"parameters": model.num_parameters(), "tower_losses": seen, **dataclasses.asdict(trained)}
    with atomic_folder(checkpoint) as folder:
        model.save_pretrained(folder)
        processor.save_pretrained(folder)
        write_json(folder / TRAINING, account)
    tally.use(sum(len(part) for part in parts.values()))
    tally.put_aside("test_patient", tally.taken - tally.used)
    tally.make("steps", trained.steps)
    for split, part in parts.items():
        tally.add("split", split, len(part))
    for task, number in trained.tasks.items():
        tally.make("samples", number)
        tally.add("task", task, number)
    tally.seconds["training"] = trained.seconds
    tally.write(metrics, fingerprint)


def _start(
    options: TrainOptions, pictures: Iterable[Picture], anatomy: Schema
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration]:
    """Processor and model before training: from scratch for "tiny", else from the folder."""
    if options.model == "tiny":
        processor = tiny_processor(_texts(pictures, anatomy), options.image_size, PATCH)
        return processor, tiny_model(processor, options.seed)
    folder = Path(options.model)
    if not (folder / "config.json").exists():
        raise ValueError(f"train.model: {folder}: no config.json there; name a folder with a PaliGemma 2, or tiny")
    processor = load_processor(folder)
    if (side := processor.image_processor.size["height"]) != options.image_size:
        raise ValueError(
            f"train.image_size is {options.image_size}, but the model in {folder} sees images of {side} px"
        )
    return processor, load_model(folder, processor)


def _texts(pictures: Iterable[Picture], anatomy: Schema) -> Iterable[str]:
    """All that a model from scratch may have to read or write."""
    yield from every_prompt()
    for one in anatomy.classes:
        yield from (one.english, one.german)
    for picture in pictures:
        for caption in picture.captions:
            yield from (caption.text, caption.indication or "", caption.question or "")
        for question in picture.questions:
            yield from (question.question, *question.choices, question.answer)
