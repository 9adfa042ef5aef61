"""Options of adapt."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from refrad.config.section import Section, Share
from refrad.config.training_sections import (
    AugmentOptions,
    CheckpointOptions,
    Count,
    LeakOptions,
    Loggers,
    Name,
    Positive,
)

__all__ = ["AdaptOptions"]


class AdaptOptions(Section):
    """Contrastive adaptation of the vision tower to the archive, before train."""

    RENAMED: ClassVar[dict[str, str]] = {
        "warm_up": "warmup_ratio",
        "clip": "max_grad_norm",
        "precision": "compute_dtype",
        "recompute": "gradient_checkpointing",
    }

    name: Name = Field(description="Name of the run; its files are in results/adapt/<name>.")
    steps: Annotated[int, Field(ge=0)] = Field(
        description="Number of optimizer steps, 0 or more; with 0 there is no adaptation."
    )
    model: str = Field(
        description="Initial model: tiny (a SigLIP from scratch) or the folder of a SigLIP with the vision tower of train.model."
    )
    language: Literal["all", "en", "de"] = Field(
        default="all",
        description="Language of the captions: all, or en or de, the one that the text tower of model knows; others are left out.",
    )
    image_size: Annotated[int, Field(ge=16)] = Field(
        description="Side of the square image in px, 16 or more, equal to train.image_size."
    )
    resize: Literal["stretch", "pad"] = Field(description="Resizing to the square: stretch or pad, as in train.")
    augment: AugmentOptions = Field(description="Augmentation, as in train.")
    leaks: LeakOptions = Field(description="Training images that are also test images, as in train.")
    batch: Annotated[int, Field(ge=2)] = Field(
        description="Image-caption pairs per step, 2 or more; each is contrasted with all others, so larger is better."
    )
    optimizer: Literal["adamw", "adafactor"] = Field(description="Optimizer: adamw or adafactor.")
    learning_rate: Positive = Field(description="Peak learning rate, above 0.")
    warmup_ratio: Share = Field(description="Share of the steps, 0 to 1, with linear warm-up; cosine decay follows.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(description="Weight decay of matrices, 0 or more.")
    max_grad_norm: Positive = Field(description="Gradient clipping: largest norm, above 0, of a step's gradient.")
    compute_dtype: Literal["float32", "bfloat16"] = Field(
        description="Data type of matrix products: float32 or bfloat16; weights and loss are float32."
    )
    gradient_checkpointing: bool = Field(
        description="Whether activations are recomputed in the backward pass: less memory, a third more time."
    )
    checkpoints: CheckpointOptions = Field(description="States of a running adaptation, as in train.")
    loggers: Loggers = Field(default=["tensorboard"], description="Loggers of the numbers of each step, as in train.")
    seed: int = Field(description="Seed of weights, augmentation and order, an integer.")
    gpus: Annotated[int, Field(ge=0, le=1)] = Field(description="Number of GPUs: 0 (CPU) or 1.")
    workers: Annotated[int, Field(ge=0)] = Field(
        description="Processes, 0 or more, that prepare batches ahead of time."
    )
    threads: Count = Field(
        description="CPU threads, 1 or more; the job requests as many CPUs, or one for each worker and one more."
    )
