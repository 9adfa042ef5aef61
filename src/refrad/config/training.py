"""Options of adapt, train and evaluate."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from refrad.config.section import Section, Share

__all__ = [
    "AdaptOptions",
    "AugmentOptions",
    "CheckpointOptions",
    "EvaluateOptions",
    "LeakOptions",
    "PublicOptions",
    "Tasks",
    "TrainOptions",
]


class Tasks(Section):
    """Share of each task in the training batches."""

    locate: Share
    detect: Share
    vqa: Share


class CheckpointOptions(Section):
    """States of a training under way, and which weights it ends with."""

    steps: Annotated[int, Field(ge=1)] | None
    seconds: Annotated[float, Field(gt=0)] | None
    keep: Annotated[int, Field(ge=1)]
    use: Literal["best", "last"]


def _rising(pair: list[float]) -> list[float]:
    if pair[0] > pair[1]:
        raise ValueError("the first of the two is the smaller one")
    return pair


Range = Annotated[
    list[Annotated[float, Field(gt=0)]], Field(min_length=2, max_length=2), AfterValidator(_rising)
]  # least and most


class AugmentOptions(Section):
    """How views of the training images are drawn."""

    scale: Range
    stretch: Annotated[float, Field(ge=1)]
    rotation: Annotated[float, Field(ge=0, le=45)]
    gamma: Range
    gamma_chance: Share
    contrast: Range
    brightness: Share
    brightness_chance: Share
    kept: Share


class LeakOptions(Section):
    """What to do about training images that are also test images."""

    found: Literal["drop", "stop"]
    difference: Annotated[float, Field(ge=0, le=255)]


class AdaptOptions(Section):
    """The adaptation of the vision tower."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    steps: Annotated[int, Field(ge=0)]
    model: str
    image_size: Annotated[int, Field(ge=16)]
    resize: Literal["stretch", "pad"]
    augment: AugmentOptions
    leaks: LeakOptions
    batch: Annotated[int, Field(ge=2)]
    optimizer: Literal["adamw", "adafactor"]
    learning_rate: Annotated[float, Field(gt=0)]
    warm_up: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Annotated[float, Field(gt=0)]
    precision: Literal["float32", "bfloat16"]
    recompute: bool
    checkpoints: CheckpointOptions
    seed: int
    gpus: Annotated[int, Field(ge=0, le=1)]
    workers: Annotated[int, Field(ge=0)]
    threads: Annotated[int, Field(ge=1)]


class PublicOptions(Section):
    """Questions of benchmarks in the training, beside the site's own data."""

    files: list[str]
    share: Annotated[float, Field(ge=0, lt=1)]


class TrainOptions(Section):
    """The training run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    model: str
    variant: Literal["detection", "segmentation"]
    image_size: Annotated[int, Field(ge=16)]
    resize: Literal["stretch", "pad"]
    augment: AugmentOptions
    coordinates: Literal["yxyx", "xyxy"]
    tasks: Tasks
    public: PublicOptions
    leaks: LeakOptions
    seconds: Annotated[float, Field(gt=0)] | None
    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    accumulate: Annotated[int, Field(ge=1)]
    pack: Annotated[int, Field(ge=64)] | Literal[False]
    optimizer: Literal["adamw", "adafactor"]
    learning_rate: Annotated[float, Field(gt=0)]
    warm_up: Share
    weight_decay: Annotated[float, Field(ge=0)]
    clip: Annotated[float, Field(gt=0)]
    spread: Annotated[float, Field(ge=0)]
    mask_weight: Annotated[float, Field(ge=0)]
    mask_rate: Annotated[float, Field(gt=0)]
    precision: Literal["float32", "bfloat16"]
    tower_steps: Annotated[int, Field(ge=0)]
    freeze_tower: bool
    attention: Literal["eager", "flex_attention"]
    compile: bool
    checkpoints: CheckpointOptions
    seed: int
    gpus: Annotated[int, Field(ge=0)]
    sharding: Literal["ddp", "fsdp2"]
    workers: Annotated[int, Field(ge=0)]
    threads: Annotated[int, Field(ge=1)]

    @model_validator(mode="after")
    def adafactor_sees_whole_matrices(self) -> "TrainOptions":
        """Its second moments are means over rows and columns, of which each process would hold a part."""
        if self.sharding == "fsdp2" and self.optimizer == "adafactor":
            raise ValueError("sharding fsdp2 needs optimizer adamw: adafactor works on whole matrices")
        return self


class EvaluateOptions(Section):
    """The evaluation."""

    samples: Annotated[int, Field(ge=1)] = 2000
    batch: Annotated[int, Field(ge=1)]
    resamples: Annotated[int, Field(ge=100)]
    interval: Literal["percentile", "bca"]
    embedder: str | None
    judge: Literal["none", "llm"] = "none"
    public: list[str]
    leaks: LeakOptions
    against: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]]
