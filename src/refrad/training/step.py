"""Training RadGrounder: its loss, and its samples through the loop."""

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.model.box_tokens import COORDINATE_BINS
from refrad.model.collate import collate
from refrad.model.forward import encode
from refrad.model.mask_head import mask_loss
from refrad.model.radgrounder import head_of
from refrad.training.checkpoint import Checkpoints
from refrad.training.dataloader import Batch, BatchOptions, DataPosition, load_batches
from refrad.training.distributed import SINGLE_PROCESS, DistributedContext
from refrad.training.losses import SoftLabels, labelled_loss
from refrad.training.samples import Samples
from refrad.training.state import TrainState
from refrad.training.train_config import TrainConfig
from refrad.training.trainer import Pretraining, train_loop

__all__ = ["VALIDATION_SAMPLES", "batch_loss", "train"]

VALIDATION_SAMPLES = 64


def train(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    samples: Samples,
    validation: Samples | None,
    recipe: TrainConfig,
    saved: Checkpoints | None = None,
    context: DistributedContext = SINGLE_PROCESS,
    pretrain: Pretraining | None = None,
) -> TrainState:
    """Train `model` in place on samples; see `train_loop`."""
    options = BatchOptions(recipe.batch, recipe.seed, recipe.workers, context.rank, context.size, recipe.pack_tokens)

    def batches_from(position: DataPosition) -> Iterator[Batch]:
        return load_batches(samples, processor, options, position)

    loss_of = partial(
        batch_loss,
        soft_labels=_soft_labels(processor, recipe.soft_label_sigma),
        compute_dtype=recipe.compute_dtype,
        mask_weight=recipe.mask_weight,
    )
    val_batches = _val_batches(processor, validation, recipe.batch) if validation and len(validation) else []
    return train_loop(model, loss_of, batches_from, val_batches, recipe, saved, context, pretrain)


def batch_loss(
    model: PaliGemmaForConditionalGeneration,
    batch: Mapping[str, Tensor],
    soft_labels: SoftLabels | None = None,
    compute_dtype: str = "float32",
    mask_weight: float = 1.0,
) -> Tensor:
    """Loss of a batch of `collate`, packed or not: of the text, and if the model has a mask head `mask_weight` times that of the masks.

    With compute_dtype "bfloat16" the layers multiply in it; weights and loss (a scalar) stay float32.
    """
    inputs = {name: tensor.to(model.device, non_blocking=True) for name, tensor in batch.items()}
    labels, masks = inputs.pop("labels"), inputs.pop("masks", None)
    patches, hidden = encode(model, inputs, compute_dtype)
    softcap = model.config.get_text_config().final_logit_softcapping
    loss = labelled_loss(hidden.float(), model.lm_head.weight, labels, softcap, soft_labels)
    head = head_of(model)
    if head is None or masks is None:
        return loss
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        ends = (labels == head.end).nonzero()
        images = inputs["sample_ids"][tuple(ends.T)] if "sample_ids" in inputs else ends[:, 0]
        logits = head(patches, hidden, ends, masks.shape[-1], images)
    every = sum(
        parameter.sum() for parameter in head.parameters()
    )  # processes must agree on which weights have a gradient
    return loss + mask_weight * mask_loss(logits, masks) + 0 * every


def _soft_labels(processor: PaliGemmaProcessor, sigma: float) -> SoftLabels | None:
    return SoftLabels(processor.tokenizer.convert_tokens_to_ids("<loc0000>"), COORDINATE_BINS, sigma) if sigma else None


def _val_batches(processor: PaliGemmaProcessor, validation: Samples, batch: int) -> list[dict[str, Tensor]]:
    keys = [(0, index) for index in range(len(validation))][:: max(1, len(validation) // VALIDATION_SAMPLES)]
    return [collate(processor, [validation[key] for key in keys[i : i + batch]]) for i in range(0, len(keys), batch)]
