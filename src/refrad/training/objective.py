"""What a training of RadGrounder minimises: the loss of a batch."""

from collections.abc import Mapping

import torch
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration

from refrad.model.forward import encode
from refrad.model.mask_head import mask_loss
from refrad.model.radgrounder import DTYPES, head_of
from refrad.training.losses import SoftLabels, labelled_loss

__all__ = ["batch_loss"]


def batch_loss(
    model: PaliGemmaForConditionalGeneration,
    batch: Mapping[str, Tensor],
    soft_labels: SoftLabels | None = None,
    compute_dtype: str = "float32",
    mask_weight: float = 1.0,
) -> Tensor:
    """Loss of a batch of `collate`, packed or not: of the text, and if the model has a mask head `mask_weight` times that of the masks.

    With compute_dtype "bfloat16" the layers and the vocabulary multiply in it; weights and loss (a scalar) stay float32.
    """
    labels = batch["labels"]
    inputs = {name: tensor.to(model.device, non_blocking=True) for name, tensor in batch.items() if name != "labels"}
    masks = inputs.pop("masks", None)
    patches, hidden = encode(model, inputs, compute_dtype)
    softcap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    loss = labelled_loss(hidden.to(DTYPES[compute_dtype]), model.lm_head.weight, labels, softcap, soft_labels)
    head = head_of(model)
    if head is None or masks is None:
        return loss
    with torch.autocast(model.device.type, torch.bfloat16, enabled=compute_dtype == "bfloat16"):
        ends = (labels == head.end).nonzero().to(model.device, non_blocking=True)
        images = inputs["sample_ids"][tuple(ends.T)] if "sample_ids" in inputs else ends[:, 0]
        logits = head(patches, hidden, ends, masks.shape[-1], images)
    every = sum(
        parameter.sum() for parameter in head.parameters()
    )  # processes must agree on which weights have a gradient
    return loss + mask_weight * mask_loss(logits, masks) + 0 * every
