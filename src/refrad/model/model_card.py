"""The model card of a checkpoint: model, training data with their terms, training, and limits of use."""

from collections.abc import Mapping

from refrad.config import TrainOptions
from refrad.config.public_sets import PUBLIC_SETS
from refrad.model.base_model import BaseModel, base_model_of_type
from refrad.model.training_account import TrainedFacts, TrainingAccount

__all__ = ["card_of_terms", "model_card"]

CARD = """\
---
library_name: transformers
pipeline_tag: image-text-to-text
{licence}tags: [radiology, grounding, {tag}]
---

# RadGrounder `{name}`

{origin} Input: a slice of a CT or MR study and a prompt. Output: an answer in German or English, with {regions}. Trained
with RefRad on {train:,} images of training patients, in {steps:,} steps of {samples} samples; the weights are those of {weights}.

Research use only: this is not a medical device, and its answers must not guide care. It fits the scanners, protocols and
patients of its training archive and may fail elsewhere. Its answers may reveal text or images of patients in the training data,
so keep the weights under the same access rules as the archive.
{public_sets}
| | |
|---|---|
| base model | {base} |
| images | {side} x {side} px ({resize}), three channels as in the shards, values scaled to -1..1 |
| coordinates | {coordinates} |
| tokens | {tokens} |
| samples of each task | {tasks} |
| loss | {loss:.3f}; {validation_loss} on {validation:,} images of validation patients |
| optimizer | {optimizer}, peak learning rate {rate:g}, {warmup:.0%} warm-up, cosine decay |
| weights | {parameters:,}, float32; matrix products in {compute_dtype}{tf32} |
| trained | {trained} |

{loading}

`training.json` has the options and the loss curve of the training. Prediction for an image: `refrad predict FOLDER IMAGE`.
"""


def model_card(account: TrainingAccount, options: TrainOptions) -> str:
    """The model card in Markdown, from the account of a training and its options."""
    last = account["curve"][-1]
    validation_loss = last["validation_loss"]
    tasks = ", ".join(f"{name} {number:,}" for name, number in sorted(account["tasks"].items()))
    base = base_model_of_type(account["base_model"]["type"])
    return CARD.format(
        name=options.name,
        origin="A tiny PaliGemma 2 from scratch: a demonstration of the method, of no use on patients."
        if options.model == "tiny"
        else f"A fine-tuned {base.title}.",
        licence=_licence("" if options.model == "tiny" else base.licence, account["public_sets"]),
        public_sets=_public_sets(account["public_sets"]),
        tag=account["base_model"]["type"],
        base=_base(base, account, options),
        tokens=base.tokens,
        loading="\n".join(f"    {line}" for line in base.loading),
        regions="boxes" if options.variant == "detection" else "masks",
        train=account["images"]["train"],
        validation=account["images"]["validation"],
        steps=account["steps"],
        samples=options.batch * options.grad_accumulation,
        weights="the last step" if account["weights"] == "last" else f"the {account['weights']}",
        side=options.image_size,
        resize="stretched to the square" if options.resize == "stretch" else "proportions kept, padded with black",
        coordinates=base.describe_boxes(options.coordinates),
        tasks=tasks,
        loss=last["loss"],
        validation_loss="unknown" if validation_loss is None else f"{validation_loss:.3f}",
        optimizer=options.optimizer,
        rate=options.learning_rate,
        warmup=options.warmup_ratio,
        parameters=account["parameters"],
        compute_dtype=options.compute_dtype,
        tf32=", those in float32 in TF32" if options.tf32 else "",
        trained=_trained(account["trained"], options.frozen_dtype),
    )


def card_of_terms(public_sets: Mapping[str, int]) -> str:
    """README.md of weights that have no card of their own: the public sets that they were trained on; empty without any."""
    section = _public_sets(public_sets)
    return f"---\n{_licence('', public_sets)}---\n{section}" if section else ""


def _licence(base: str, public_sets: Mapping[str, int]) -> str:
    """The lines of the front matter about the license; the terms of public sets of the training data go with it."""
    if not public_sets:
        return f"license: {base}\n" if base else ""
    names = [*([base] if base else []), f"terms of the training data of {', '.join(public_sets)}"]
    return f"license: other\nlicense_name: {', and the '.join(names)}\n"


def _public_sets(public_sets: Mapping[str, int]) -> str:
    """A section about the public sets that the model was trained on, with their terms and citations; empty without any."""
    if not public_sets:
        return ""
    lines = []
    for name, count in public_sets.items():
        entry = PUBLIC_SETS[name]
        generated = " Its reports were generated from masks." if entry.reports_of_masks else ""
        lines.append(
            f"- [{entry.title}]({entry.address}), {count:,} images. {entry.describe_terms()}.{generated} To be cited:"
            f" {'; '.join(entry.citations)}"
        )
    return (
        "\n## Public sets in the training data\n\nTheir terms may bind the weights too: where a set is for non-commercial use, so is this"
        f" model, unless its makers say otherwise.\n\n{chr(10).join(lines)}\n"
    )


def _trained(trained: TrainedFacts, frozen_dtype: str) -> str:
    """What was trained, in words."""
    parts = [f"the {part}" for part in trained["parts"]]
    if lora := trained["lora"]:
        of = ", ".join(f"`{target}`" for target in lora["targets"])
        scale = f"rank {lora['rank']}, alpha {lora['alpha']}, dropout {lora['dropout']:g}"
        parts.append(f"adapters (LoRA, {scale}) of {of} of the language model, merged into the weights")
    frozen = f"; frozen matrices were {frozen_dtype}" if frozen_dtype != "float32" else ""
    return f"{trained['parameters']:,} weights: {'; '.join(parts)}{frozen}"


def _base(base: BaseModel, account: TrainingAccount, options: TrainOptions) -> str:
    """The base model of the training, and the licence of its published weights."""
    if options.model == "tiny":
        return f"{base.title}, tiny, random weights"
    return f"{base.title}, from folder `{account['base_model']['folder']}`; published weights are under licence `{base.licence}`"
