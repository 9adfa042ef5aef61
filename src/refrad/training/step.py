"""Training RadGrounder: its samples through the loop."""

from collections.abc import Iterator
from functools import partial

from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.model.box_tokens import COORDINATE_BINS
from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import Batch, BatchOptions, DataPosition, load_batches
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext
from refrad.training.losses import SoftLabels
from refrad.training.objective import batch_loss
from refrad.training.pretraining import Pretraining
from refrad.training.samples import Samples
from refrad.training.state import TrainState
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import train_loop
from refrad.training.validation import Validation

__all__ = ["train"]


def train(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    samples: Samples,
    validation: Validation,
    recipe: TrainConfig,
    saved: Checkpoints | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    pretrain: Pretraining | None = None,
) -> TrainState:
    """Train `model` in place on samples; see `train_loop`."""
    options = BatchOptions(
        recipe.batch,
        recipe.seed,
        recipe.workers,
        context.rank,
        context.size,
        recipe.pack_tokens,
        recipe.length_multiple,
    )

    def batches_from(position: DataPosition) -> Iterator[Batch]:
        return load_batches(samples, processor, options, position)

    loss_of = partial(
        batch_loss,
        soft_labels=_soft_labels(processor, recipe.soft_label_sigma),
        compute_dtype=recipe.compute_dtype,
        mask_weight=recipe.mask_weight,
    )
    return train_loop(model, loss_of, batches_from, validation, recipe, saved, context, pretrain)


def _soft_labels(processor: PaliGemmaProcessor, sigma: float) -> SoftLabels | None:
    return SoftLabels(processor.tokenizer.convert_tokens_to_ids("<loc0000>"), COORDINATE_BINS, sigma) if sigma else None
