"""Sections that adapt and train consist of."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from refrad.config.section import Section, Share

__all__ = [
    "AugmentOptions",
    "BestOptions",
    "CheckpointOptions",
    "Count",
    "LeakOptions",
    "Loggers",
    "LoraOptions",
    "Name",
    "Part",
    "Positive",
    "PublicOptions",
    "Tasks",
    "check_parts",
    "parts_without_freeze",
]

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Part = Literal["language", "attention", "embeddings", "tokens", "projector", "tower"]  # of a model, see train.trained


def _unique(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("names a logger twice")
    return names


Loggers = Annotated[list[Literal["tensorboard", "wandb", "mlflow", "trackio"]], AfterValidator(_unique)]


class Tasks(Section):
    """Share of each task in the training batches."""

    locate: Share = Field(description="Share, 0 to 1, of batches that ask for the box or mask of a named structure.")
    detect: Share = Field(description="Share, 0 to 1, of batches that ask for a caption with boxes or masks.")
    vqa: Share = Field(description="Share, 0 to 1, of batches that ask a question.")
    caption: Share = Field(default=0.0, description="Share, 0 to 1, of batches that ask for a caption without boxes.")

    @model_validator(mode="after")
    def a_task_has_a_share(self) -> "Tasks":
        """Shares are relative to their sum."""
        if not self.locate + self.detect + self.vqa + self.caption:
            raise ValueError("needs a task with a share above 0")
        return self


class CheckpointOptions(Section):
    """States of a running training, and the weights of its result."""

    RENAMED: ClassVar[dict[str, str]] = {"use": "weights"}

    steps: Count | None = Field(description="Steps, 1 or more, between two saved states, or null for none by steps.")
    seconds: Positive | None = Field(
        description="Least seconds, above 0, between two saved states, or null for none by time."
    )
    max_share: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Largest share of the time, above 0 up to 1, for which states by seconds may stop the training."
    )
    keep: Count = Field(description="Number of newest states, 1 or more, that are kept.")
    weights: Literal["best", "last"] = Field(
        description="Weights of the result: best (on validation patients) or last."
    )


class BestOptions(CheckpointOptions):
    """States of a running training, and the choice of the best weights."""

    metric: Literal["loss", "iou", "dice", "vqa"] = Field(
        default="loss",
        description="Choice of the best weights on validation patients: loss (lowest), iou (boxes of task locate; detection only), "
        "dice (masks of true phrases; segmentation only) or vqa (accuracy).",
    )
    validation_samples: Count = Field(
        default=256,
        description="Number of validation samples, 1 or more, where the shards have so many; tasks by their shares, at least a batch each.",
    )


def _rising(pair: list[float]) -> list[float]:
    if pair[0] > pair[1]:
        raise ValueError("the first of the two is the smaller one")
    return pair


Range = Annotated[list[Positive], Field(min_length=2, max_length=2), AfterValidator(_rising)]  # lowest and highest


class AugmentOptions(Section):
    """Augmentation of training images."""

    RENAMED: ClassVar[dict[str, str]] = {
        "gamma_chance": "gamma_probability",
        "brightness_chance": "brightness_probability",
        "kept": "min_box_share",
    }

    scale: Range = Field(
        description="Lowest and highest side of a view as a share of the image's; above 1 adds a black border."
    )
    stretch: Annotated[float, Field(ge=1)] = Field(
        description="Largest factor, 1 or more, between width and height of a view."
    )
    rotation: Annotated[float, Field(ge=0, le=45)] = Field(
        description="Largest rotation in degrees, 0 to 45, in both directions."
    )
    gamma: Range = Field(description="Lowest and highest exponent of the intensities (0 to 1).")
    gamma_probability: Share = Field(description="Share of views, 0 to 1, with a changed gamma.")
    contrast: Range = Field(description="Lowest and highest factor of the intensities about the middle of their range.")
    brightness: Share = Field(
        description="Largest amount added to or subtracted from the intensities, as a share, 0 to 1, of their range."
    )
    brightness_probability: Share = Field(description="Share of views, 0 to 1, with a changed brightness.")
    min_box_share: Share = Field(
        description="Lowest share, 0 to 1, of a box's area inside the view; boxes with less of it are dropped."
    )


class LeakOptions(Section):
    """Images of the training that are also test images."""

    RENAMED: ClassVar[dict[str, str]] = {"found": "action"}
    REPLACED: ClassVar[dict[str, tuple[str, Any]]] = {"difference": ("correlation", 0.75)}

    action: Literal["drop", "stop"] = Field(description="Action on a leak: drop (leave out and count) or stop the run.")
    correlation: Annotated[float, Field(gt=0, le=1)] = Field(
        description="Least correlation, 0 to 1, of the fine structure of the same image, as card.duplicate_correlation."
    )


class PublicOptions(Section):
    """Questions of public benchmarks, in addition to the site's own data."""

    files: list[str] = Field(description="Parquet files that refrad public writes; their training split is read.")
    share: Annotated[float, Field(ge=0, lt=1)] = Field(
        description="Share of the samples, 0 to below 1, that come from these files."
    )


class LoraOptions(Section):
    """Low-rank adapters (LoRA, through peft) in the layers of the language model, whose own weights are frozen."""

    rank: Count = Field(description="Rank of the adapters, 1 or more.")
    alpha: Count = Field(
        default=32, description="Scale of the adapters, 1 or more: their product counts alpha / rank times."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="Share of an adapter's inputs, 0 to below 1, that a training step leaves out."
    )
    targets: Annotated[list[Annotated[str, Field(pattern=r"^\w+(\.\w+)*$")]], Field(min_length=1)] = Field(
        default=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        description="Matrices of each layer of the language model that get an adapter, by the end of their names.",
    )


def check_parts(parts: list[Part]) -> list[Part]:
    """The parts to train as they are, if none is named twice, also as a part of another."""
    if len(set(parts)) < len(parts):
        raise ValueError("names a part twice")
    for whole, inner in (("language", "attention"), ("embeddings", "tokens")):
        if whole in parts and inner in parts:
            raise ValueError(f"{inner} is a part of {whole}: name one of them")
    return parts


def parts_without_freeze(frozen: object) -> list[Part]:
    """The trained parts of a training with the earlier option `freeze_tower`."""
    parts: list[Part] = ["language", "embeddings", "projector"]
    return parts if frozen else [*parts, "tower"]
