"""Train RadGrounder on the training patients of all shards."""

import dataclasses
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import TrainOptions
from refrad.core.files import atomic_folder, write_json
from refrad.dataset.examples import ImageExample, example_of_row, read_image_table
from refrad.dataset.training_overlap import count_training_parts, find_training_overlap, split_for_training
from refrad.inference.generate import mask_dice
from refrad.model.model_card import TRAINING, model_card
from refrad.model.processor import load_processor, tiny_processor
from refrad.model.prompts import every_prompt
from refrad.model.radgrounder import PATCH, add_head, load_model, save_model, tiny_model
from refrad.model.siglip import replace_vision_tower
from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import join_processes
from refrad.training.provenance import identity_of, weights_digest
from refrad.training.samples import Samples, surface_forms
from refrad.training.step import VALIDATION_SAMPLES, train
from refrad.training.tower_pretraining import pretrain_vision_tower
from refrad.training.trainer import TrainConfig, load_final_weights
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 2
TOWER_BATCH, TOWER_RATE = 16, 2.5e-3

log = logging.getLogger(__name__)


def run(
    *,
    images: list[Path],
    schema: Path,
    checkpoint: Path,
    work: Path,
    metrics: Path,
    fingerprint: Fingerprint,
    tower: Path | None = None,
    public: list[Path] | None = None,
    tested: list[Path] | None = None,
) -> None:
    """Write the checkpoint: a folder that `from_pretrained` loads, with the training's own account in training.json.

    States of the training under way lie in `work`, which outlives a killed job: the next one goes on from the newest. The
    folder is removed when the checkpoint is complete. Under torchrun each process comes here, and the first one writes.
    `tower` is what stage adapt made: the model begins with its vision tower.

    Of `public`, benchmarks as `refrad public` writes them, the training questions join. Images of either that are test images as
    well, of the shards, of `public` or of `tested` (benchmarks to evaluate on), are left out, or end the run.

    Raises:
        ValueError: if there is nothing to train on, or the options do not fit the model or the machine; if a training image is a
            test image and the options say to stop.
    """
    options = TrainOptions.model_validate(fingerprint.options)
    torch.set_num_threads(options.threads)
    context = join_processes(options.gpus)
    logging.getLogger().setLevel(logging.INFO if context.is_main else logging.WARNING)
    tally = Tally("images")
    frame = read_image_table(images)
    leaks, benchmarks = options.leaks, public or []
    seen = find_training_overlap([*images, *benchmarks], [*images, *benchmarks, *(tested or [])], leaks.difference)
    if seen.training_ids and leaks.action == "stop":
        raise ValueError(f"train: {seen.sentence()}; set train.leaks.action to drop to leave them out of the training")
    log.info("leaks: of %d images looked at, %s", seen.compared, seen.sentence())
    parts = split_for_training(frame, seen)
    joined = _with_public(parts["train"], benchmarks, seen.training_ids)
    anatomy = load_schema(schema)
    pictures = [example_of_row(row) for row in joined.iter_rows(named=True)]
    names = surface_forms(pictures, anatomy)
    processor, model = _start(options, pictures, anatomy)
    if tower:
        replace_vision_tower(model, tower)
    side = processor.image_processor.size["height"]
    shares = options.tasks.model_dump()
    masks = options.variant == "segmentation"
    samples, val_batches = (
        Samples(
            part,
            names,
            side,
            None if masks else options.coordinates,
            shares,
            options.seed,
            options.augment if split == "train" else None,
            options.resize,
            options.public.share,
        )
        for split, part in (parts | {"train": joined}).items()
    )
    identity = ""
    if context.is_main:
        more = weights_digest(tower) if tower else None, sorted(seen.training_ids)
        identity = identity_of(fingerprint, [*images, *benchmarks], *more)
    saved = Checkpoints(work, identity, options.checkpoints.keep, context.is_main)
    see = partial(
        pretrain_vision_tower,
        model,
        processor,
        parts["train"],
        names,
        options.tower_pretraining_steps,
        TOWER_BATCH,
        TOWER_RATE,
        options.seed,
        options.augment,
        options.resize,
        options.compute_dtype,
        options.mask_lr_scale,
    )
    pretrain = (
        (lambda limit: see(max_seconds=limit)) if options.model == "tiny" and options.tower_pretraining_steps else None
    )
    if options.compile:
        for layer in model.model.language_model.layers:
            layer.compile()
    if options.freeze_tower:
        model.model.vision_tower.requires_grad_(False)
    trained = train(model, processor, samples, val_batches, _recipe(options), saved, context, pretrain)
    if not context.is_main:
        return
    drawn = sum(trained.tasks.values())
    mixture = ", ".join(f"{task} {number:,} ({number / drawn:.0%})" for task, number in sorted(trained.tasks.items()))
    log.info("samples of each task: %s", mixture)
    if options.sharding == "fsdp2" and context.size > 1:  # what was trained lies in parts with all processes
        _, model = _start(options, pictures, anatomy)
        model.load_state_dict(saved.load(trained.steps)["model"])
    used = load_final_weights(model, saved, options.checkpoints.weights, trained)
    account: dict[str, Any] = {
        "fingerprint": fingerprint.text,
        "shards": read_fingerprint(images[0]).text,
        "images": {split: len(part) for split, part in parts.items()},
        "classes": {one.id: one.name for one in anatomy.classes},
        "weights": used,
        "tower": json.loads((tower / TRAINING).read_text(encoding="utf-8"))["fingerprint"] if tower else None,
        "public": dict(Counter(joined["image_id"].str.split(":").list.first().gather(samples.public))),
        "leaks": {
            "looked": seen.compared,
            "found": len(seen.training_ids),
            "tested": [path.name for path in tested or []],
        },
    }
    if masks:
        unseen = [val_batches[0, index] for index in range(min(len(val_batches), VALIDATION_SAMPLES))]
        account["validation_dice"] = mask_dice(model, processor, unseen) if unseen else None
        log.info("Dice of the masks of true phrases, on validation patients: %s", account["validation_dice"])
    account |= {"parameters": model.num_parameters(), **dataclasses.asdict(trained)}
    with atomic_folder(checkpoint) as folder:
        save_model(model, processor, folder)
        write_json(folder / TRAINING, account)
        (folder / "README.md").write_text(model_card(account, options), encoding="utf-8")
    count_training_parts(tally, frame, parts)
    for name, number in sorted(account["public"].items()):
        tally.add("public images", name, number)
    tally.make("steps", trained.steps)
    for task, number in sorted(trained.tasks.items()):
        tally.make("samples", number)
        tally.add("task", task, number)
    tally.seconds["training"] = trained.seconds
    tally.write(metrics, fingerprint)
    saved.clear()


def _recipe(options: TrainOptions) -> TrainConfig:
    return TrainConfig(
        steps=options.steps,
        max_seconds=options.max_seconds,
        batch=options.batch,
        grad_accumulation=options.grad_accumulation,
        learning_rate=options.learning_rate,
        seed=options.seed,
        soft_label_sigma=options.soft_label_sigma,
        compute_dtype=options.compute_dtype,
        mask_weight=options.mask_weight,
        mask_lr_scale=options.mask_lr_scale,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        warmup_ratio=options.warmup_ratio,
        max_grad_norm=options.max_grad_norm,
        workers=options.workers,
        pack_tokens=options.pack_tokens,
        save_steps=options.checkpoints.steps,
        save_seconds=options.checkpoints.seconds,
        sharding=options.sharding,
    )


def _with_public(frame: pl.DataFrame, benchmarks: Sequence[Path], leaking: Collection[str]) -> pl.DataFrame:
    """The site's own rows, and after them those of the training split of benchmarks that are no test images.

    Raises:
        ValueError: if nothing is left of a benchmark.
    """
    found = [frame]
    for path in benchmarks:
        rows = read_image_table([path], {"train"})
        rows = rows.filter(~rows["image_id"].is_in(leaking) & rows["questions"].list.len().gt(0))
        if rows.is_empty():
            raise ValueError(f"{path}: train.public: no training question in it that is not one of a test image")
        found.append(rows)
    return pl.concat(found, how="diagonal_relaxed")


def _start(
    options: TrainOptions, pictures: Iterable[ImageExample], anatomy: Schema
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration]:
    """Processor and model before training, with a head if masks are to be learned."""
    processor, model = _without_head(options, pictures, anatomy)
    if options.variant == "segmentation":
        add_head(model, processor, options.seed)
    return processor, model


def _without_head(
    options: TrainOptions, pictures: Iterable[ImageExample], anatomy: Schema
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration]:
    """From scratch for "tiny", else from the folder."""
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
    return processor, load_model(folder, processor, options.attention)


def _texts(pictures: Iterable[ImageExample], anatomy: Schema) -> Iterable[str]:
    """All that a model from scratch may have to read or write."""
    yield from every_prompt()
    for one in anatomy.classes:
        yield from (one.english, one.german)
    for picture in pictures:
        for caption in picture.captions:
            yield from (caption.text, caption.indication or "", caption.question or "")
        for question in picture.questions:
            yield from (question.question, *question.choices, question.answer)
