"""Options of train."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from refrad.config.section import Section, Share
from refrad.config.training_sections import (
    AugmentOptions,
    BestOptions,
    Count,
    LeakOptions,
    Loggers,
    LoraOptions,
    Name,
    Part,
    Positive,
    PublicOptions,
    Tasks,
    check_parts,
    parts_without_freeze,
)

__all__ = ["TrainOptions"]


class TrainOptions(Section):
    """Training of RadGrounder."""

    RENAMED: ClassVar[dict[str, str]] = {
        "seconds": "max_seconds",
        "accumulate": "grad_accumulation",
        "pack": "pack_tokens",
        "warm_up": "warmup_ratio",
        "clip": "max_grad_norm",
        "spread": "soft_label_sigma",
        "mask_rate": "mask_lr_scale",
        "precision": "compute_dtype",
        "tower_steps": "tower_pretraining_steps",
    }
    REPLACED: ClassVar[dict[str, tuple[str, Any]]] = {"freeze_tower": ("trained", parts_without_freeze)}

    name: Name = Field(description="Name of the run; its files are in results/train/<name>.")
    model: str | None = Field(
        description="Initial model: tiny (a PaliGemma 2 from scratch), a folder with a PaliGemma 2 or a Qwen3-VL "
        "(docs/base-models.md), or null: the run ends with the dataset."
    )
    variant: Literal["detection", "segmentation"] = Field(
        description="Variant: detection (boxes as tokens) or segmentation (a mask head prompted at </seg>)."
    )
    image_size: Annotated[int, Field(ge=16)] = Field(description="Side of the square image in px, 16 or more.")
    resize: Literal["stretch", "pad"] = Field(
        description="Resizing to the square: stretch, as in the released code, or pad (black borders, same proportions)."
    )
    augment: AugmentOptions = Field(
        description="Augmentation of training images; boxes and masks follow, and no image is mirrored."
    )
    coordinates: Literal["yxyx", "xyxy"] = Field(
        description="Order of box coordinates: yxyx, as in the paper, or xyxy, as in the released code."
    )
    tasks: Tasks = Field(
        description="Share of each task in the batches; one that a site's config leaves out has the share given here."
    )
    public: PublicOptions = Field(
        description="Questions of SLAKE and VQA-RAD in addition to the site's data: docs/training.md."
    )
    leaks: LeakOptions = Field(
        description="Training images that are also test images, of the site, of public or of evaluate.public."
    )
    max_seconds: Positive | None = Field(
        description="Time limit in seconds, above 0, for tower pretraining (at most half of it) and training together, or null for "
        "none."
    )
    steps: Count = Field(
        description="Number of optimizer steps, 1 or more; with max_seconds null they give the same weights every time."
    )
    batch: Count = Field(description="Samples per batch, 1 or more.")
    grad_accumulation: Count = Field(description="Batches per optimizer step, 1 or more, over all processes together.")
    pack_tokens: Annotated[int, Field(ge=64)] | Literal[False] = Field(
        description="Tokens per row, 64 or more, when samples of a batch share rows (as 2048), or false for padded rows of one "
        "sample."
    )
    length_multiple: Count = Field(
        description="Rows of tokens are padded to a multiple of it, 1 or more, so that few lengths need compiled layers; the loss is "
        "the same."
    )
    optimizer: Literal["adamw", "adafactor"] = Field(
        description="Optimizer: adamw, or adafactor, which keeps one number less per weight."
    )
    learning_rate: Positive = Field(description="Peak learning rate, above 0.")
    warmup_ratio: Share = Field(description="Share of the training, 0 to 1, with linear warm-up; cosine decay follows.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        description="Weight decay of matrices, 0 or more; biases and norms have none."
    )
    max_grad_norm: Positive = Field(description="Gradient clipping: largest norm, above 0, of a step's gradient.")
    soft_label_sigma: Annotated[float, Field(ge=0)] = Field(
        description="Standard deviation of the Gaussian soft labels of <loc> tokens in bins; 0 is plain cross-entropy."
    )
    mask_weight: Annotated[float, Field(ge=0)] = Field(
        description="Weight, 0 or more, of the mask loss (focal + dice) relative to the text loss; segmentation only."
    )
    mask_lr_scale: Positive = Field(
        description="Learning rate of the mask head as a multiple, above 0, of learning_rate; segmentation only."
    )
    compute_dtype: Literal["float32", "bfloat16"] = Field(
        description="Data type of matrix products: float32 or bfloat16; weights and loss are float32."
    )
    tf32: bool = Field(
        description="Whether GPUs multiply float32 matrices in TF32: 10 bits of the mantissa, several times as fast."
    )
    tower_pretraining_steps: Annotated[int, Field(ge=0)] = Field(
        description="Steps, 0 or more, in which the tiny model's vision tower is pretrained on masks."
    )
    trained: Annotated[list[Part], AfterValidator(check_parts)] = Field(
        default=["language", "embeddings", "projector"],
        description="Parts that are trained: any of language (its layers), attention (of these layers), embeddings (of all words), "
        "tokens (embeddings of the tokens of boxes and masks), projector and tower; all others are frozen.",
    )
    lora: LoraOptions | None = Field(
        default=None,
        description="Adapters that are trained instead of the layers of the language model, or null: docs/small-gpus.md.",
    )
    frozen_dtype: Literal["float32", "bfloat16"] = Field(
        default="float32",
        description="Data type of frozen matrices: float32, or bfloat16 (half the memory; needs compute_dtype bfloat16).",
    )
    gradient_checkpointing: bool = Field(
        description="Whether activations are recomputed in the backward pass: less memory, a third more time."
    )
    attention: Literal["eager", "flex_attention"] = Field(
        description="Attention of the language model: eager, or flex_attention for GPUs; other kinds ignore the prefix mask or the soft-cap."
    )
    compile: bool = Field(description="Whether the layers of the language model are compiled; for GPUs.")
    checkpoints: BestOptions = Field(
        description="States of a running training in results/train/<name>.work, from which a killed job resumes."
    )
    loggers: Loggers = Field(
        default=["tensorboard"],
        description="Loggers of the numbers of each step, in files of the run: any of tensorboard, wandb, mlflow, trackio.",
    )
    seed: int = Field(description="Seed of weights, augmentation and order, an integer.")
    nodes: Count = Field(
        default=1,
        description="Number of nodes, 1 or more; several need Slurm and a file system that they share: docs/multi-gpu.md.",
    )
    gpus: Annotated[int, Field(ge=0)] = Field(
        description="Number of GPUs of each node, 0 or more, with one process each; 0 is the CPU, with one process a node."
    )
    sharding: Literal["ddp", "fsdp2"] = Field(
        description="Sharding over several GPUs: ddp (each holds all weights) or fsdp2 (each holds a share of them)."
    )
    workers: Annotated[int, Field(ge=0)] = Field(
        description="Processes per GPU, 0 or more, that prepare batches ahead of time; 4 to 8 with GPUs."
    )
    threads: Count = Field(
        description="CPU threads of each process, 1 or more; the job requests as many CPUs, or one for each of its workers and one more."
    )

    @model_validator(mode="after")
    def processes_divide_a_step(self) -> "TrainOptions":
        """Each process computes the same number of batches of a step."""
        processes = self.nodes * max(1, self.gpus)
        if self.grad_accumulation % processes:
            raise ValueError(f"grad_accumulation is {self.grad_accumulation}: no multiple of the {processes} processes")
        return self

    @model_validator(mode="after")
    def metric_fits_the_model(self) -> "TrainOptions":
        """The metric of the best weights is one of the variant and of a task, and is measured on whole weights."""
        metric = self.checkpoints.metric
        fault = None
        if metric == "iou" and self.variant != "detection":
            fault = "needs variant detection; use dice"
        elif metric == "dice" and self.variant != "segmentation":
            fault = "needs variant segmentation; use iou"
        elif metric == "iou" and not self.tasks.locate:
            fault = "needs a share of tasks.locate above 0"
        elif metric == "dice" and not self.tasks.locate + self.tasks.detect:
            fault = "needs a share of tasks.locate or tasks.detect above 0"
        elif metric == "vqa" and not self.tasks.vqa:
            fault = "needs a share of tasks.vqa above 0"
        elif metric != "loss" and self.sharding == "fsdp2":
            fault = "needs sharding ddp, since answers are generated with whole weights"
        if fault:
            raise ValueError(f"checkpoints.metric {metric} {fault}")
        return self

    @model_validator(mode="after")
    def adafactor_needs_whole_matrices(self) -> "TrainOptions":
        """Its second moments are means over rows and columns, of which each process would hold a part."""
        if self.sharding == "fsdp2" and self.optimizer == "adafactor":
            raise ValueError("sharding fsdp2 needs optimizer adamw: adafactor works on whole matrices")
        return self

    @model_validator(mode="after")
    def something_is_trained(self) -> "TrainOptions":
        """Adapters replace the training of the layers that they are in."""
        layers = {"language", "attention"} & set(self.trained)
        if not self.trained and self.lora is None:
            raise ValueError("trained names no part and lora is null: nothing would be trained")
        if self.lora is not None and layers:
            raise ValueError(f"lora freezes the layers of the language model: leave {layers.pop()} out of trained")
        return self

    @model_validator(mode="after")
    def frozen_matrices_can_be_multiplied(self) -> "TrainOptions":
        """Inputs in float32 cannot be multiplied with matrices in bfloat16, and pretraining needs float32."""
        if self.frozen_dtype == "bfloat16" and self.compute_dtype != "bfloat16":
            raise ValueError("frozen_dtype bfloat16 needs compute_dtype bfloat16")
        if self.frozen_dtype == "bfloat16" and self.model == "tiny":
            raise ValueError("frozen_dtype bfloat16 is for a pretrained model, not for tiny")
        return self
