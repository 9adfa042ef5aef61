"""The model card of a checkpoint: what it is, what it was trained on and how, and what it must not be used for."""

from refrad.config import TrainOptions
from refrad.model.processor import GROUNDING_TOKENS
from refrad.model.training_account import TrainingAccount

__all__ = ["model_card"]

CARD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [radiology, grounding, paligemma]
---

# RadGrounder `{name}`

{origin} It reads one slice of a CT or MR study and answers in German or English, with {places}. Trained by RefRad on
{train:,} images of training patients, {steps:,} steps of {samples} samples; the weights are those of {weights}.

Research use only: not a medical device, and nothing that it says may guide care. It knows the scanners, the habits and the
patients of the archive that it was trained on; a model of patients may give away what it has read, so it stays where the
archive stays.

| | |
|---|---|
| images | {side} x {side} px ({resize}), three channels as in the shards, values scaled to -1..1 |
| coordinates | {coordinates}, 512 bins, `<p bbox=<locNNNN>x4 id=<segNNN>>phrase</p>` |
| tokens | PaliGemma's own `<locNNNN>` and `<segNNN>`; added: {added}; they begin as the mean of the tokens of their text |
| samples of each task | {tasks} |
| loss | {loss:.3f}; on {validation:,} images of validation patients {unseen} |
| optimizer | {optimizer}, learning rate {rate:g} at its highest, {warmup:.0%} warm-up, then half a cosine |
| weights | {parameters:,}, float32; multiplied in {compute_dtype} |

    from transformers import AutoProcessor, PaliGemmaForConditionalGeneration
    model = PaliGemmaForConditionalGeneration.from_pretrained(folder)
    processor = AutoProcessor.from_pretrained(folder)

How it came about stands in `training.json`. To ask it about an image: `refrad predict FOLDER IMAGE`.
"""


def model_card(account: TrainingAccount, options: TrainOptions) -> str:
    """The model card in Markdown, from the account of a training and its options."""
    last = account["curve"][-1]
    unseen = last["validation_loss"]
    tasks = ", ".join(f"{name} {number:,}" for name, number in sorted(account["tasks"].items()))
    return CARD.format(
        name=options.name,
        origin="A tiny PaliGemma 2 from scratch: a demonstration of the method, of no use on patients."
        if options.model == "tiny"
        else "A PaliGemma 2, trained on.",
        places="boxes" if options.variant == "detection" else "masks",
        train=account["images"]["train"],
        validation=account["images"]["validation"],
        steps=account["steps"],
        samples=options.batch * options.grad_accumulation,
        weights="the last step" if account["weights"] == "last" else f"the {account['weights']}",
        side=options.image_size,
        resize="squashed" if options.resize == "stretch" else "proportions kept, padded with black",
        coordinates=options.coordinates,
        added=", ".join(f"`{token}`" for token in GROUNDING_TOKENS),
        tasks=tasks,
        loss=last["loss"],
        unseen="unknown" if unseen is None else f"{unseen:.3f}",
        optimizer=options.optimizer,
        rate=options.learning_rate,
        warmup=options.warmup_ratio,
        parameters=account["parameters"],
        compute_dtype=options.compute_dtype,
    )
