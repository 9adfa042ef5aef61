"""Train RadGrounder on the training patients of all shards."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from refrad.anatomy.schema import load_schema
from refrad.config import TrainOptions
from refrad.core.files import atomic_folder, write_json
from refrad.core.manifests import verify_folder, write_manifest
from refrad.dataset.set_origins import count_sets, refuse_generated_reports
from refrad.dataset.training_overlap import TrainingOverlap, count_training_parts
from refrad.evaluation.validation_scores import ScoredAnswers
from refrad.inference.generate import mask_dice
from refrad.model.base_model import base_model_of
from refrad.model.model_card import card_of_terms, model_card
from refrad.model.radgrounder import save_model
from refrad.model.training_account import TRAINING, LoraFacts, ModelFacts, TrainingAccount
from refrad.training.account import count_results, data_facts, sets_of_training, task_mixture, tower_fingerprint
from refrad.training.adapter_export import ADAPTER_FOLDER, write_adapter
from refrad.training.checkpoint import Checkpoints
from refrad.training.distributed import join_processes
from refrad.training.loggers import require_loggers
from refrad.training.provenance import identity_of, weights_digest
from refrad.training.recorded_overlap import find_recorded_overlap
from refrad.training.run_log import copy_logs
from refrad.training.session import TrainingData, TrainingSession, prepare_session
from refrad.training.stored_rows import own_parts, store_rows, training_rows
from refrad.training.validation import Score
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.tally import Tally

__all__ = ["run"]

VERSION = 4

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
        tested: benchmarks to evaluate on. Test images, also of the shards, are left out of the training or stop the run.

    Raises:
        ValueError: if there is nothing to train on, the options do not fit the model or the machine, a model to start from is
            damaged, a test image stops the run, or reports of validation or test images were made from masks.
    """
    tally = Tally("images")
    options = TrainOptions.model_validate(fingerprint.options)
    require_loggers(options.loggers, "train.loggers")
    torch.set_num_threads(options.threads)
    context = join_processes(options.gpus)
    torch.set_float32_matmul_precision("high" if options.tf32 and options.gpus else "highest")
    starts = [folder for folder in (tower, Path(options.model or "tiny")) if folder not in (None, Path("tiny"))]
    for folder in starts:
        verify_folder(folder)
    logging.getLogger().setLevel(logging.INFO if context.is_main else logging.WARNING)

    overlap, identity, sets = TrainingOverlap(), "", {}
    if context.is_main:
        counts = count_sets(images)
        refuse_generated_reports(counts)
        sets = sets_of_training(counts, starts)
        overlap = _overlap(options, work, images, public or [], tested or [])
        identity = _identity(fingerprint, [*images, *(public or [])], tower, overlap)
    saved = Checkpoints(work, identity, options.checkpoints.keep, context.is_main, options.checkpoints.weights)
    store = store_rows(work, images, overlap.training_ids, public or [], context)
    data = TrainingData(store, own_parts(store), training_rows(store, public or []), overlap)
    anatomy = load_schema(schema)
    session = prepare_session(options, data, anatomy, tower)
    with context.watching_peers():
        state = session.train(saved, context, _score(session))
        if not context.is_main:
            context.leave()  # after the main process, whose end would look like a failure to the others
            return
    log.info("samples of each task: %s", task_mixture(state))
    account: TrainingAccount = {
        "fingerprint": fingerprint.text,
        "shards": read_fingerprint(images[0]).text,
        "tower": tower_fingerprint(tower),
        "weights": session.load_result(saved, context, state),
        **data_facts(data, session, anatomy, tested or [], sets),
        **_model_facts(session),
        **state.results(),
    }
    _write_checkpoint(checkpoint, session, account, work)
    count_training_parts(tally, data.store, data.parts)
    count_results(tally, account)
    tally.write(metrics, fingerprint)
    saved.clear()
    context.leave()


def _overlap(
    options: TrainOptions, work: Path, images: Sequence[Path], benchmarks: Sequence[Path], tested: Sequence[Path]
) -> TrainingOverlap:
    """The training images that are also test images; they are left out or stop the run."""
    training = [*images, *benchmarks]
    overlap = find_recorded_overlap(work, training, [*training, *tested], options.leaks.correlation)
    if overlap.training_ids and options.leaks.action == "stop":
        raise ValueError(
            f"train: {overlap.sentence()}; set train.leaks.action to drop to leave them out of the training"
        )
    log.info("leaks: %d images compared, %s", overlap.compared, overlap.sentence())
    return overlap


def _identity(fingerprint: Fingerprint, images: Sequence[Path], tower: Path | None, overlap: TrainingOverlap) -> str:
    """The identity of the training, from which its saved states are recognised."""
    start = weights_digest(tower) if tower else None, sorted(overlap.training_ids)
    return identity_of(fingerprint, images, *start)


def _write_checkpoint(checkpoint: Path, session: TrainingSession, account: TrainingAccount, work: Path) -> None:
    with atomic_folder(checkpoint) as folder:
        copy_logs(work, folder)
        save_model(session.model, session.processor, folder)
        _write_adapter(session, folder / ADAPTER_FOLDER, account)
        write_json(folder / TRAINING, account)
        (folder / "README.md").write_text(model_card(account, session.options), encoding="utf-8")
        write_manifest(folder)


def _write_adapter(session: TrainingSession, folder: Path, account: TrainingAccount) -> None:
    """The adapter of the model in the folder `train.model`, in peft's format, with the terms that may bind it if it is copied alone."""
    if session.adapter is None or session.options.model is None:
        return
    if not write_adapter(session.adapter, session.model, Path(session.options.model), folder):
        log.info("no folder %s: the vocabulary of train.model had to grow", folder.name)
    elif card := card_of_terms(account["public_sets"]):
        (folder / "README.md").write_text(card, encoding="utf-8")


def _model_facts(session: TrainingSession) -> ModelFacts:
    """Facts of the trained model, in the segmentation variant with the Dice of its masks on validation patients."""
    options, lora = session.options, session.options.lora
    facts: ModelFacts = {
        "base_model": {
            "type": session.model.config.model_type,
            "folder": Path(options.model or "").name,
            "image_size": options.image_size,
        },
        "parameters": session.model.num_parameters(),
        "trained": {
            "parameters": session.trained.count,
            "parts": list(options.trained),
            "lora": cast(LoraFacts, lora.model_dump()) if lora else None,
        },
    }
    if session.options.variant == "segmentation":
        held_out = session.held_out("dice")
        facts["validation_dice"] = mask_dice(session.model, session.processor, held_out) if held_out else None
        log.info("Dice of the masks of true phrases, on validation patients: %s", facts["validation_dice"])
    return facts


def _score(session: TrainingSession) -> Score | None:
    """The metric that chooses the best weights, or None if the loss does."""
    options = session.options
    if (metric := options.checkpoints.metric) == "loss":
        return None
    samples, box_format = session.held_out(metric), base_model_of(session.model).box_format(options.coordinates)
    answers = ScoredAnswers(metric, session.model, session.processor, samples, box_format, options.compute_dtype)
    return Score(metric, answers.of_part)
