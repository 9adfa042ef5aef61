"""A training of RadGrounder from its options: model, samples, pretraining, and weights of the result."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.anatomy.schema import Schema
from refrad.config import TrainOptions
from refrad.dataset.row_store import RowStore, StoredRows
from refrad.dataset.training_overlap import TrainingOverlap
from refrad.model.base_model import BaseModel, base_model_of
from refrad.model.canary import check_image_input
from refrad.model.collate import Sample
from refrad.model.siglip import replace_vision_tower
from refrad.training.adapter_export import Adapter
from refrad.training.checkpoint import Checkpoints, load_final_weights
from refrad.training.dataloader import Keys
from refrad.training.distributed import DistributedContext
from refrad.training.initial_model import initial_model
from refrad.training.pretraining import Pretraining
from refrad.training.samples import SampleOptions, Samples, SurfaceForms, surface_forms
from refrad.training.state import TrainState, load_weights
from refrad.training.step import train
from refrad.training.tower_pretraining import TowerPretraining, pretrain_vision_tower
from refrad.training.train_config import TrainConfig
from refrad.training.trained_weights import TrainedWeights
from refrad.training.validation import METRIC_TASKS, Score, Validation, collate_validation, draw_validation

__all__ = ["TrainingData", "TrainingSession", "prepare_session"]

TOWER_BATCH, TOWER_RATE = 16, 2.5e-3


class TrainingData(NamedTuple):
    """The rows of a training.

    store: of all of them. parts: the shards' rows of splits train and validation. train: training rows of shards and benchmarks.
    overlap: of the training with test images, which are in none of these; known to the main process only.
    """

    store: RowStore
    parts: dict[str, StoredRows]
    train: StoredRows
    overlap: TrainingOverlap


@dataclass
class TrainingSession:
    """Model, samples and pretraining of a training.

    model: with frozen weights and adapters as the options say; a plain PaliGemma in float32 after `load_result`.
    trained: its trained weights.
    drawn: keys of the validation samples of each task, see `draw_validation`.
    pretrain: pretraining of the tiny model's vision tower within a number of seconds; None if there is none.
    build: makes processor, model and the choice of its trained weights as they are before training.
    tower: folder of the adapted vision tower that the model began with, or None.
    adapter: of the result, if it is an adapter of the model in a folder; known after `load_result`.
    """

    options: TrainOptions
    processor: PaliGemmaProcessor
    model: PaliGemmaForConditionalGeneration
    trained: TrainedWeights
    samples: Samples
    validation: Samples
    drawn: dict[str, Keys]
    pretrain: Pretraining | None
    build: Callable[[], tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration, TrainedWeights]]
    tower: Path | None = None
    adapter: Adapter | None = None

    def train(self, saved: Checkpoints, context: DistributedContext, score: Score | None = None) -> TrainState:
        """Train the model in place, from the newest saved state if there is one; returns the final state.

        Args:
            saved: folder of the saved states.
            context: the processes.
            score: metric that chooses the best weights; None: the validation loss does.
        """
        config = _train_config(self.options)
        batches = collate_validation(self.validation, self.processor, self.drawn, config.batch, config.length_multiple)
        validation = Validation(batches, self.options.tasks.model_dump(), score)
        return train(self.model, self.processor, self.samples, validation, config, saved, context, self.pretrain)

    def load_result(self, saved: Checkpoints, context: DistributedContext, state: TrainState) -> str:
        """Load the weights of the result into the model of the main process; returns their description for the account."""
        if self.options.sharding == "fsdp2" and context.size > 1:  # each process holds a share of the trained weights
            _, self.model, self.trained = self.build()
            load_weights(self.model, saved.load(state.steps)["model"])
        weights = load_final_weights(self.model, saved, self.options.checkpoints.weights, state)
        self.adapter = self._adapter()
        self.trained.merge()
        return weights

    def _adapter(self) -> Adapter | None:
        """The adapter before it is merged. There is none of a model from scratch, nor one that holds the embeddings of all words."""
        options, base = self.options, base_model_of(self.model)
        if options.lora is None or options.model == "tiny" or "embeddings" in options.trained:
            return None
        differing = [*base.projector(self.model)] if "projector" in options.trained else []
        if "tower" in options.trained or self.tower is not None:
            differing += base.tower(self.model)
        modules = [
            name for name, module in self.model.named_modules() if any(module is changed for changed in differing)
        ]
        return Adapter(self.trained.adapter(), options.lora, self.trained.tokens, modules)

    def held_out(self, metric: str) -> list[Sample]:
        """The validation samples that a metric, a key of METRIC_TASKS, is measured on."""
        return [self.validation[key] for task in METRIC_TASKS[metric] for key in self.drawn.get(task, ())]


def prepare_session(options: TrainOptions, data: TrainingData, anatomy: Schema, tower: Path | None) -> TrainingSession:
    """The training of a model on `data`, ready to start.

    Args:
        options: of stage train.
        data: the rows.
        anatomy: class schema, for the names of the classes.
        tower: folder of an adapted SigLIP, whose vision tower replaces that of the model; None for none.

    Raises:
        ValueError: if the options do not fit the model, or the installed transformers ignores images.
    """
    names = surface_forms(data.train.classes.meanings, anatomy)
    build = partial(_build, options, data.train, anatomy, tower)
    processor, model, trained = build()
    base = base_model_of(model)
    samples = Samples(data.train, names, _sample_options(options, base, processor, augmented=True))
    validation = Samples(data.parts["validation"], names, _sample_options(options, base, processor, augmented=False))
    drawn = _drawn(options, validation)
    pretrain = _pretraining(options, model, processor, data.parts["train"], names)
    if options.gradient_checkpointing:
        model.activation_checkpointing_enable()  # the frozen tower has no graph, so nothing of it is recomputed
    if options.compile:
        for layer in model.model.language_model.layers:
            layer.compile()
    return TrainingSession(options, processor, model, trained, samples, validation, drawn, pretrain, build, tower)


def _drawn(options: TrainOptions, validation: Samples) -> dict[str, Keys]:
    """The validation samples.

    Raises:
        ValueError: if there are none for the metric of the best weights.
    """
    shares, choice = options.tasks.model_dump(), options.checkpoints
    drawn = draw_validation(validation, shares, choice.validation_samples, options.batch)
    tasks = METRIC_TASKS.get(choice.metric, ())
    if tasks and not any(task in drawn for task in tasks):
        raise ValueError(
            f"train.checkpoints.metric is {choice.metric}, but no image of a validation patient serves task {' or '.join(tasks)}: "
            "set it to loss"
        )
    return drawn


def _build(
    options: TrainOptions, rows: StoredRows, anatomy: Schema, tower: Path | None
) -> tuple[PaliGemmaProcessor, PaliGemmaForConditionalGeneration, TrainedWeights]:
    """Processor and model before training, with the adapted vision tower if there is one, and the choice of trained weights."""
    processor, model = initial_model(options, rows, anatomy)
    if tower:
        replace_vision_tower(model, tower)
    check_image_input(model)
    return processor, model, TrainedWeights(model, processor, options)


def _sample_options(
    options: TrainOptions, base: BaseModel, processor: PaliGemmaProcessor, augmented: bool
) -> SampleOptions:
    return SampleOptions(
        size=base.image_side(processor),
        order=None if options.variant == "segmentation" else base.box_format(options.coordinates),
        shares=options.tasks.model_dump(),
        seed=options.seed,
        augment=options.augment if augmented else None,
        resize=options.resize,
        public_share=options.public.share,
    )


def _pretraining(
    options: TrainOptions,
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    rows: StoredRows,
    names: SurfaceForms,
) -> Pretraining | None:
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
    return partial(pretrain_vision_tower, model, processor, rows, names, config)


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
        length_multiple=options.length_multiple,
        save_steps=options.checkpoints.steps,
        save_seconds=options.checkpoints.seconds,
        max_save_share=options.checkpoints.max_share,
        sharding=options.sharding,
        loggers=tuple(options.loggers),
    )
