"""Train RadGrounder on the training patients of all shards."""

import logging
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import torch
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.anatomy.schema import load_schema
from refrad.config import TrainOptions
from refrad.core.files import atomic_folder, write_json
from refrad.core.rows import rows_of
from refrad.dataset.examples import ExampleRow, example_of_row, read_image_table
from refrad.dataset.training_overlap import (
    TrainingOverlap,
    count_training_parts,
    find_training_overlap,
    split_for_training,
)
from refrad.inference.generate import mask_dice
from refrad.model.model_card import TRAINING, model_card
from refrad.model.radgrounder import save_model
from refrad.model.siglip import replace_vision_tower
from refrad.training.account import (
    benchmark_images,
    class_names,
    count_results,
    overlap_account,
    task_mixture,
    tower_fingerprint,
    training_account,
)
from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import join_processes
from refrad.training.initial_model import initial_model
from refrad.training.provenance import identity_of, weights_digest
from refrad.training.samples import SampleOptions, Samples, SurfaceForms, surface_forms
from refrad.training.step import VALIDATION_SAMPLES, train
from refrad.training.tower_pretraining import TowerPretraining, pretrain_vision_tower
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
    """Write the checkpoint: a folder that `from_pretrained` loads, with the account of the training in training.json.

    Under torchrun every process runs this, and the main one writes.

    Args:
        images: shards.
        schema: class schema.
        checkpoint: the folder to write.
        work: folder of the saved states; it outlives a killed job, and is removed when the checkpoint is complete.
        metrics: counts for the report.
        fingerprint: of stage train, with its options.
        tower: the folder that stage adapt made; the model starts with its vision tower.
        public: benchmarks as `refrad public` writes them, whose training questions join the training.
        tested: benchmarks to evaluate on. Training images that are also test images, of the shards or of any benchmark, are left
            out or stop the run.

    Raises:
        ValueError: if there is nothing to train on, if the options do not fit the model or the machine, or if a training image is
            a test image and the options say to stop.
    """
    options = TrainOptions.model_validate(fingerprint.options)
    torch.set_num_threads(options.threads)
    context = join_processes(options.gpus)
    logging.getLogger().setLevel(logging.INFO if context.is_main else logging.WARNING)
    tally = Tally("images")
    data = _read(options, images, public or [], tested or [])
    anatomy = load_schema(schema)
    examples = [example_of_row(row) for row in rows_of(data.train, ExampleRow)]
    names = surface_forms(examples, anatomy)
    processor, model = initial_model(options, examples, anatomy)
    if tower:
        replace_vision_tower(model, tower)
    samples, validation = (
        _samples(options, part, names, processor, augmented=split == "train")
        for split, part in (data.parts | {"train": data.train}).items()
    )
    identity = ""
    if context.is_main:
        start = weights_digest(tower) if tower else None, sorted(data.overlap.training_ids)
        identity = identity_of(fingerprint, [*images, *(public or [])], *start)
    saved = Checkpoints(work, identity, options.checkpoints.keep, context.is_main)
    pretrain = _pretraining(options, model, processor, data.parts["train"], names)
    if options.compile:
        for layer in model.model.language_model.layers:
            layer.compile()
    if options.freeze_tower:
        model.model.vision_tower.requires_grad_(False)
    state = train(model, processor, samples, validation, _train_config(options), saved, context, pretrain)
    if not context.is_main:
        return
    log.info("samples of each task: %s", task_mixture(state))
    if options.sharding == "fsdp2" and context.size > 1:  # each process holds a share of the trained weights
        _, model = initial_model(options, examples, anatomy)
        model.load_state_dict(saved.load(state.steps)["model"])
    inputs: dict[str, Any] = {
        "fingerprint": fingerprint.text,
        "shards": read_fingerprint(images[0]).text,
        "images": {split: len(part) for split, part in data.parts.items()},
        "classes": class_names(anatomy),
        "weights": load_final_weights(model, saved, options.checkpoints.weights, state),
        "tower": tower_fingerprint(tower),
        "public": benchmark_images(data.train, samples.public),
        "leaks": overlap_account(data.overlap, tested or []),
    }
    if options.variant == "segmentation":
        held_out = [validation[0, index] for index in range(min(len(validation), VALIDATION_SAMPLES))]
        inputs["validation_dice"] = mask_dice(model, processor, held_out) if held_out else None
        log.info("Dice of the masks of true phrases, on validation patients: %s", inputs["validation_dice"])
    account = training_account(inputs, model.num_parameters(), state)
    with atomic_folder(checkpoint) as folder:
        save_model(model, processor, folder)
        write_json(folder / TRAINING, account)
        (folder / "README.md").write_text(model_card(account, options), encoding="utf-8")
    count_training_parts(tally, data.frame, data.parts)
    count_results(tally, account, state)
    tally.write(metrics, fingerprint)
    saved.clear()


class _Data(NamedTuple):
    """Rows of the shards, their training and validation parts, the training rows with those of benchmarks, and the overlap."""

    frame: pl.DataFrame
    parts: dict[str, pl.DataFrame]
    train: pl.DataFrame
    overlap: TrainingOverlap


def _read(options: TrainOptions, images: Sequence[Path], benchmarks: Sequence[Path], tested: Sequence[Path]) -> _Data:
    """The rows to train on; those of images that are also test images are left out or stop the run."""
    frame = read_image_table(images)
    training = [*images, *benchmarks]
    overlap = find_training_overlap(training, [*training, *tested], options.leaks.difference)
    if overlap.training_ids and options.leaks.action == "stop":
        raise ValueError(
            f"train: {overlap.sentence()}; set train.leaks.action to drop to leave them out of the training"
        )
    log.info("leaks: %d images compared, %s", overlap.compared, overlap.sentence())
    parts = split_for_training(frame, overlap)
    joined = _with_public(parts["train"], benchmarks, overlap.training_ids)
    return _Data(frame, parts, joined, overlap)


def _samples(
    options: TrainOptions, frame: pl.DataFrame, names: SurfaceForms, processor: PaliGemmaProcessor, augmented: bool
) -> Samples:
    sample_options = SampleOptions(
        size=processor.image_processor.size["height"],
        order=None if options.variant == "segmentation" else options.coordinates,
        shares=options.tasks.model_dump(),
        seed=options.seed,
        augment=options.augment if augmented else None,
        resize=options.resize,
        public_share=options.public.share,
    )
    return Samples(frame, names, sample_options)


def _pretraining(
    options: TrainOptions,
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    frame: pl.DataFrame,
    names: SurfaceForms,
) -> Callable[[float | None], list[float]] | None:
    """Pretraining of the tiny model's vision tower within a number of seconds, or None if there is none."""
    if options.model != "tiny" or not options.tower_pretraining_steps:
        return None
    config = TowerPretraining(
        steps=options.tower_pretraining_steps,
        batch=TOWER_BATCH,
        learning_rate=TOWER_RATE,
        seed=options.seed,
        augment=options.augment,
        resize=options.resize,
        compute_dtype=options.compute_dtype,
        mask_lr_scale=options.mask_lr_scale,
    )
    return partial(pretrain_vision_tower, model, processor, frame, names, config)


def _train_config(options: TrainOptions) -> TrainConfig:
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
    """The site's own rows, followed by those of the benchmarks' training split that are no test images.

    Raises:
        ValueError: if nothing is left of a benchmark.
    """
    frames = [frame]
    for path in benchmarks:
        rows = read_image_table([path], {"train"})
        rows = rows.filter(~rows["image_id"].is_in(leaking) & rows["questions"].list.len().gt(0))
        if rows.is_empty():
            raise ValueError(f"{path}: train.public: no training question in it that is not one of a test image")
        frames.append(rows)
    return pl.concat(frames, how="diagonal_relaxed")
