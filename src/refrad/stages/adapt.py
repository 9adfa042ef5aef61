"""Adapt a SigLIP to the images and captions of the archive, so that its vision tower fits them before training."""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypedDict

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, SiglipModel
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

from refrad.config import AdaptOptions
from refrad.core.files import atomic_folder, write_json
from refrad.core.manifests import verify_folder, write_manifest
from refrad.dataset.example_rows import ExampleRows, examples_in
from refrad.dataset.set_origins import count_sets
from refrad.dataset.training_overlap import count_training_parts
from refrad.model.model_card import card_of_terms
from refrad.model.siglip import load_siglip, save_siglip, tiny_siglip
from refrad.model.training_account import TRAINING, TrainingResults
from refrad.training.account import sets_of_training
from refrad.training.caption_language import RowsInLanguage
from refrad.training.checkpoint import Checkpoints, load_final_weights
from refrad.training.contrastive import DIRECTIONS, Pairs, Retrieval, contrast_loss, measure_retrieval, pair_batches
from refrad.training.dataloader import DataPosition
from refrad.training.distributed import join_processes
from refrad.training.loggers import require_loggers
from refrad.training.provenance import identity_of, weights_digest
from refrad.training.recorded_overlap import find_recorded_overlap
from refrad.training.run_log import copy_logs
from refrad.training.stored_rows import own_parts, store_rows
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import train_loop
from refrad.training.validation import Validation
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 2
BEFORE = "retrieval-before.json"  # in the folder of the states: measured once, not at each resume
VALIDATION_PAIRS = 512  # for the validation loss
RETRIEVED = 1000  # validation images for retrieval, at most

log = logging.getLogger(__name__)


class ValidationRetrieval(TypedDict):
    """Retrieval among validation patients before and after the adaptation; None without validation pairs."""

    before: Retrieval | None
    after: Retrieval | None


class AdaptationAccount(TrainingResults):
    """The account of stage adapt; see `TrainingAccount` for the shared keys.

    training.json also has the `digest` of the weights, and `public_sets` where there are some.
    """

    fingerprint: str
    shards: str
    images: dict[str, int]
    pairs: dict[str, int]
    weights: str
    validation_retrieval: ValidationRetrieval
    parameters: int


def run(*, images: list[Path], checkpoint: Path, work: Path, metrics: Path, fingerprint: Fingerprint) -> None:
    """Write the checkpoint: a folder that SiglipModel and AutoTokenizer load, with its own account in training.json.

    Training uses pairs of training patients only. Retrieval between images and captions of validation patients is measured
    before and after. Saved states of an unfinished adaptation are in `work`; see stage train.

    Raises:
        ValueError: if there are no training pairs, or the options do not fit the model or the machine.
    """
    options = AdaptOptions.model_validate(fingerprint.options)
    if not options.steps:
        raise ValueError("adapt.steps is 0, which means no adaptation; set it to more")
    require_loggers(options.loggers, "adapt.loggers")
    torch.set_num_threads(options.threads)
    context = join_processes(options.gpus, "adapt.gpus")
    sets = sets_of_training(count_sets(images), [Path(options.model)] if options.model != "tiny" else [])
    tally = Tally("images")
    left_out = _left_out(options, work, images)
    identity, checkpoints = identity_of(fingerprint, images), options.checkpoints
    saved = Checkpoints(work, identity, checkpoints.keep, weights=checkpoints.weights)
    store = store_rows(work, images, left_out)
    divided = own_parts(store)
    parts = _in_language(options, divided)
    tokenizer, model = _initial_model(options, parts["train"])
    model.to(context.device)  # type: ignore[arg-type]
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable()
    pairs, unseen = (_pairs(options, part, tokenizer, augmented=split == "train") for split, part in parts.items())
    before = _retrieval_before(work / BEFORE, model, unseen, options)
    state = train_loop(
        model,
        partial(contrast_loss, compute_dtype=options.compute_dtype),
        lambda position: pair_batches(pairs, options.batch, position, options.workers),
        Validation({"pair": _val_batches(unseen, options.batch)}, {"pair": 1.0}),
        _train_config(options),
        saved,
        context,
    )
    weights = load_final_weights(model, saved, options.checkpoints.weights, state)
    after = measure_retrieval(model, unseen, RETRIEVED, options.compute_dtype) if len(unseen) else None
    account: AdaptationAccount = {
        "fingerprint": fingerprint.text,
        "shards": read_fingerprint(images[0]).text,
        "images": {split: len(part) for split, part in parts.items()},
        "pairs": {"train": len(pairs), "validation": len(unseen)},
        "weights": weights,
        "validation_retrieval": {"before": before, "after": after},
        "parameters": model.num_parameters(),
        **state.results(),
    }
    with atomic_folder(checkpoint) as folder:
        copy_logs(work, folder)
        save_siglip(tokenizer, model, folder)
        _image_processor(options.image_size).save_pretrained(folder)
        of_sets = {"public_sets": sets} if sets else {}
        write_json(folder / TRAINING, account | of_sets | {"digest": weights_digest(folder)})
        if card := card_of_terms(sets):
            (folder / "README.md").write_text(card, encoding="utf-8")
        write_manifest(folder)
    count_training_parts(tally, store, divided, parts)
    tally.make("steps", state.steps)
    if state.skipped:
        tally.make("steps skipped", state.skipped)
    tally.make("pairs seen", state.tasks["pair"])
    tally.make(f"captions cut to {tokenizer.model_max_length} tokens", pairs.count_cut() + unseen.count_cut())
    if before and after:
        _count_retrieval(tally, before, after)
    tally.seconds["adaptation"] = state.seconds
    tally.write(metrics, fingerprint)
    saved.clear()


def _left_out(options: AdaptOptions, work: Path, images: Sequence[Path]) -> frozenset[str]:
    """The ids of training images that are also test images; they are left out or stop the run."""
    overlap = find_recorded_overlap(work, images, images, options.leaks.correlation)
    if overlap.training_ids and options.leaks.action == "stop":
        raise ValueError(f"adapt: {overlap.sentence()}; set adapt.leaks.action to drop to leave them out")
    return overlap.training_ids


def _in_language(options: AdaptOptions, parts: Mapping[str, ExampleRows]) -> dict[str, ExampleRows]:
    """The rows with a caption in the language of the text tower, with these captions only.

    Raises:
        ValueError: if no training image has one.
    """
    if options.language == "all":
        return dict(parts)
    chosen: dict[str, ExampleRows] = {split: RowsInLanguage(part, options.language) for split, part in parts.items()}
    if not len(chosen["train"]):
        raise ValueError(
            f"adapt.language is {options.language}, but no training image has a caption in it: set it to the language of the"
            " captions, or to all"
        )
    return chosen


def _retrieval_before(path: Path, model: SiglipModel, unseen: Pairs, options: AdaptOptions) -> Retrieval | None:
    """Retrieval with the initial model, from the file of an interrupted run if there is one."""
    if not len(unseen):
        return None
    if path.exists():
        stored: Retrieval = json.loads(path.read_text(encoding="utf-8"))
        return stored
    before = measure_retrieval(model.eval(), unseen, RETRIEVED, options.compute_dtype)
    write_json(path, before)
    return before


def _pairs(options: AdaptOptions, rows: ExampleRows, tokenizer: PreTrainedTokenizerBase, augmented: bool) -> Pairs:
    augment = options.augment if augmented else None
    return Pairs(rows, tokenizer, options.image_size, options.seed, augment, options.resize)


def _count_retrieval(tally: Tally, before: Retrieval, after: Retrieval) -> None:
    """Count and log the retrieval among images of validation patients, before and after, next to that by chance."""
    for direction in DIRECTIONS:
        for name, recall in after[direction].items():
            values = {
                name: recall["found"],
                f"{name} before": before[direction][name]["found"],
                f"{name} by chance": recall["chance"],
            }
            for row, value in values.items():
                tally.add(f"{direction}, validation patients", row, value)
            log.info("%s: %s", direction, ", ".join(f"{row} {value:.3f}" for row, value in values.items()))


def _initial_model(options: AdaptOptions, rows: ExampleRows) -> tuple[PreTrainedTokenizerBase, SiglipModel]:
    """Tokenizer and model before adaptation: from scratch for "tiny", else from the folder."""
    if options.model == "tiny":
        texts = (caption.text for example in examples_in(rows) for caption in example.captions)
        return tiny_siglip(texts, options.image_size, options.seed)
    verify_folder(Path(options.model))
    tokenizer, model = load_siglip(Path(options.model))
    vision: Any = model.config.vision_config
    if (side := vision.image_size) != options.image_size:
        raise ValueError(f"adapt.image_size is {options.image_size}, but the model takes images of {side} px")
    return tokenizer, model


def _image_processor(side: int) -> SiglipImageProcessorPil:
    """The image processor whose output the tower was trained on."""
    return SiglipImageProcessorPil(size={"height": side, "width": side}, image_mean=[0.5] * 3, image_std=[0.5] * 3)


def _val_batches(pairs: Pairs, batch: int) -> list[dict[str, Tensor]]:
    """Full batches of pairs, as the loss of a small batch is lower; one smaller batch if there are too few pairs."""
    order = pairs.order(0)[:VALIDATION_PAIRS].tolist()
    size = min(batch, len(order))
    firsts = range(0, len(order) - size + 1, size) if size else ()
    return [pairs[DataPosition(), [(0, index) for index in order[first : first + size]]].tensors for first in firsts]


def _train_config(options: AdaptOptions) -> TrainConfig:
    return TrainConfig(
        steps=options.steps,
        max_seconds=None,
        batch=options.batch,
        grad_accumulation=1,  # each pair is contrasted with its batch: batches do not add up to a larger one
        learning_rate=options.learning_rate,
        seed=options.seed,
        optimizer=options.optimizer,
        weight_decay=options.weight_decay,
        warmup_ratio=options.warmup_ratio,
        max_grad_norm=options.max_grad_norm,
        save_steps=options.checkpoints.steps,
        save_seconds=options.checkpoints.seconds,
        max_save_share=options.checkpoints.max_share,
        loggers=tuple(options.loggers),
    )
