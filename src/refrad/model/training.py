"""Training RadGrounder: its loss, and its samples through the loop."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PaliGemmaForConditionalGeneration, PaliGemmaProcessor

from refrad.grounding.targets import BINS
from refrad.model.batches import Place, collate, load_batches
from refrad.model.checkpoints import Checkpoints
from refrad.model.loop import Recipe, Trained, run_loop
from refrad.model.loss import Hills, labelled_loss
from refrad.model.masks import mask_loss
from refrad.model.packing import packed_mask
from refrad.model.radgrounder import head_of
from refrad.model.samples import Samples
from refrad.model.team import ALONE, Team

__all__ = ["VALIDATION_SAMPLES", "batch_loss", "encode", "train"]

VALIDATION_SAMPLES = 64


def train(
    model: PaliGemmaForConditionalGeneration,
    processor: PaliGemmaProcessor,
    samples: Samples,
    validation: Samples | None,
    recipe: Recipe,
    saved: Checkpoints | None = None,
    team: Team = ALONE,
    prepare: Callable[[], list[float]] | None = None,
) -> Trained:
    """Train `model` in place on samples; see `run_loop`."""

    def batches_from(place: Place):  # type: ignore[no-untyped-def]
        own = team.rank, team.size
        return load_batches(samples, processor, recipe.batch, recipe.seed, place, recipe.workers, *own, recipe.pack)

    loss_of = partial(
        batch_loss,
        hills=_hills(processor, recipe.spread),
        precision=recipe.precision,
        mask_weight=recipe.mask_weight,
    )
    held_out = _held_out(processor, validation, recipe.batch) if validation and len(validation) else []
    return run_loop(model, loss_of, batches_from, held_out, recipe, saved, team, prepare)


def batch_loss(
    model: PaliGemmaForConditionalGeneration,
    batch: Mapping[str, Tensor],
    hills: Hills | None = None,
    precision: str = "float32",
    mask_weight: float = 1.0,
) -> Tensor:
    """Loss of a batch of `collate`, packed or not: of the text, and if the model has a mask head `mask_weight` times that of the masks.

    With precision "bfloat16" the layers multiply in it; weights and loss stay float32.
    """
    inputs = {name: tensor.to(model.device, non_blocking=True) for name, tensor in batch.items()}
    labels, masks = inputs.pop("labels"), inputs.pop("masks", None)
    patches, hidden = encode(model, inputs, precision)
    softcap = model.config.get_text_config().final_logit_softcapping
    loss = labelled_loss(hidden.float(), model.lm_head.weight, labels, softcap, hills)
    head = head_of(model)
    if head is None or masks is None:
        return loss
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        ends = (labels == head.end).nonzero()
        images = inputs["sample_ids"][tuple(ends.T)] if "sample_ids" in inputs else ends[:, 0]
        logits = head(patches, hidden, ends, masks.shape[-1], images)
    every = sum(one.sum() for one in head.parameters())  # processes must agree on which weights have a gradient
    return loss + mask_weight * mask_loss(logits, masks) + 0 * every


def encode(
    model: PaliGemmaForConditionalGeneration, inputs: Mapping[str, Tensor], precision: str = "float32"
) -> tuple[Tensor, Tensor]:
    """What the tower says of each patch [images, patches, width], and the language model's last hidden state.

    A tower without weights that learn is run without a graph.
    """
    tower = model.model.vision_tower
    learns = torch.is_grad_enabled() and any(one.requires_grad for one in tower.parameters())
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        with torch.set_grad_enabled(learns):
            seen = tower(pixel_values=inputs["pixel_values"])
        seen.pooler_output = model.model.multi_modal_projector(seen.last_hidden_state)
        words: dict[str, Any] = {name: tensor for name, tensor in inputs.items() if name != "pixel_values"}
        if "sample_ids" in words:
            how = model.config.get_text_config()._attn_implementation
            words["attention_mask"] = packed_mask(words.pop("sample_ids"), words.pop("token_type_ids"), how)
        hidden = model.model(**words, mm_encoder_outputs={"image": seen}, use_cache=False).last_hidden_state
    return seen.last_hidden_state, hidden


def _hills(processor: PaliGemmaProcessor, spread: float) -> Hills | None:
    return Hills(processor.tokenizer.convert_tokens_to_ids("<loc0000>"), BINS, spread) if spread else None


def _held_out(processor: PaliGemmaProcessor, validation: Samples, batch: int) -> list[dict[str, Tensor]]:
    keys = [(0, index) for index in range(len(validation))][:: max(1, len(validation) // VALIDATION_SAMPLES)]
    return [collate(processor, [validation[key] for key in keys[i : i + batch]]) for i in range(0, len(keys), batch)]
