"""Let a SigLIP learn which captions belong to which images, so that its vision tower knows the archive before training."""

import dataclasses
import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import torch
from transformers import PreTrainedTokenizerBase, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from refrad.config import AdaptOptions
from refrad.core.files import atomic_folder, write_json
from refrad.dataset.examples import read_image_table
from refrad.dataset.training_overlap import count_training_parts, find_training_overlap, split_for_training
from refrad.model.model_card import TRAINING
from refrad.model.siglip import load_siglip, save_siglip, tiny_siglip
from refrad.training.checkpoint import Checkpoints
from refrad.training.contrastive import Pairs, contrast_loss, pair_batches, recalls
from refrad.training.dataloader import DataPosition
from refrad.training.distributed import join_processes
from refrad.training.provenance import identity_of, weights_digest
from refrad.training.trainer import TrainConfig, load_final_weights, train_loop
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 1
VALIDATION_PAIRS = 512  # of which the loss is known
RETRIEVED = 1000  # validation images among which captions are sought, at most

log = logging.getLogger(__name__)


def run(*, images: list[Path], checkpoint: Path, work: Path, metrics: Path, fingerprint: Fingerprint) -> None:
    """Write the checkpoint: a folder that SiglipModel and AutoTokenizer load, with its own account in training.json.

    Pairs of training patients alone are learned from; on validation patients it is seen how well images and captions find
    each other, before and after. States of the adaptation under way lie in `work`; see stage train.

    Raises:
        ValueError: if there is nothing to learn from, or the options do not fit the model or the machine.
    """
    options = AdaptOptions.model_validate(fingerprint.options)
    if not options.steps:
        raise ValueError("adapt.steps is 0, which means no adaptation; set it to more")
    torch.set_num_threads(options.threads)
    context = join_processes(options.gpus)
    tally = Tally("images")
    frame = read_image_table(images)
    seen = find_training_overlap(images, images, options.leaks.difference)
    if seen.training_ids and options.leaks.action == "stop":
        raise ValueError(f"adapt: {seen.sentence()}; set adapt.leaks.action to drop to leave them out")
    parts = split_for_training(frame, seen)
    tokenizer, model = _start(options, parts["train"])
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable()
    pairs, unseen = (
        Pairs(
            part,
            tokenizer,
            options.image_size,
            options.seed,
            options.augment if split == "train" else None,
            options.resize,
        )
        for split, part in parts.items()
    )
    saved = Checkpoints(work, identity_of(fingerprint, images), options.checkpoints.keep)
    before = recalls(model.eval(), unseen, RETRIEVED) if len(unseen) else None
    trained = train_loop(
        model,
        partial(contrast_loss, compute_dtype=options.compute_dtype),
        lambda position: pair_batches(pairs, options.batch, position, options.workers),
        _val_batches(unseen, options.batch),
        _recipe(options),
        saved,
        context,
    )
    used = load_final_weights(model, saved, options.checkpoints.weights, trained)
    after = recalls(model, unseen, RETRIEVED) if len(unseen) else None
    account: dict[str, Any] = {
        "fingerprint": fingerprint.text,
        "shards": read_fingerprint(images[0]).text,
        "images": {split: len(part) for split, part in parts.items()},
        "pairs": {"train": len(pairs), "validation": len(unseen)},
        "weights": used,
        "validation_retrieval": {"before": before, "after": after},
        "parameters": model.num_parameters(),
    }
    with atomic_folder(checkpoint) as folder:
        save_siglip(tokenizer, model, folder)
        _pictures(options.image_size).save_pretrained(folder)
        write_json(folder / TRAINING, account | {"digest": weights_digest(folder)} | dataclasses.asdict(trained))
    count_training_parts(tally, frame, parts)
    tally.make("steps", trained.steps)
    tally.make("pairs seen", trained.tasks["pair"])
    if before and after:
        _tell(tally, before, after)
    tally.seconds["adaptation"] = trained.seconds
    tally.write(metrics, fingerprint)
    saved.clear()


def _tell(tally: Tally, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Retrieval among the images of validation patients, to the page and to the log."""
    for way in ("image to caption", "caption to image"):
        for name, one in after[way].items():
            values = {
                name: one["found"],
                f"{name} before": before[way][name]["found"],
                f"{name} by chance": one["chance"],
            }
            for row, value in values.items():
                tally.add(f"{way}, validation patients", row, value)
            log.info("%s: %s", way, ", ".join(f"{row} {value:.3f}" for row, value in values.items()))


def _start(options: AdaptOptions, frame: pl.DataFrame) -> tuple[PreTrainedTokenizerBase, SiglipModel]:
    """Tokenizer and model before adaptation: from scratch for "tiny", else from the folder."""
    if options.model == "tiny":
        texts = (one["text"] for captions in frame["captions"] for one in captions)
        return tiny_siglip(texts, options.image_size, options.seed)
    tokenizer, model = load_siglip(Path(options.model))
    vision: Any = model.config.vision_config
    if (side := vision.image_size) != options.image_size:
        raise ValueError(f"adapt.image_size is {options.image_size}, but the model sees images of {side} px")
    return tokenizer, model


def _pictures(side: int) -> SiglipImageProcessorPil:
    """What makes of an image what the tower was taught with."""
    return SiglipImageProcessorPil(size={"height": side, "width": side}, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def _val_batches(pairs: Pairs, batch: int) -> list[dict[str, Any]]:
    """Whole batches of pairs, as a loss over few others is easy; one smaller batch if there are not so many."""
    order = pairs.order(0)[:VALIDATION_PAIRS].tolist()
    size = min(batch, len(order))
    firsts = range(0, len(order) - size + 1, size) if size else ()
    return [pairs[DataPosition(), [(0, index) for index in order[first : first + size]]].tensors for first in firsts]


def _recipe(options: AdaptOptions) -> TrainConfig:
    return TrainConfig(
        steps=options.steps,
        max_seconds=None,
        batch=options.batch,
        grad_accumulation=1,  # a batch is what each pair is told apart from: batches do not add up to a larger one
        learning_rate=options.learning_rate,
        seed=options.seed,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        warmup_ratio=options.warmup_ratio,
        max_grad_norm=options.max_grad_norm,
        save_steps=options.checkpoints.steps,
        save_seconds=options.checkpoints.seconds,
    )
