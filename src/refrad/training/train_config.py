"""The hyper-parameters of a training."""

from dataclasses import dataclass
from typing import Literal

from refrad.training.distributed import Sharding

__all__ = ["TrainConfig"]


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    A step's gradient is the mean of its batches' gradients, and a batch's loss is the mean over its target tokens: tasks count by
    their share of the batches, not by the length of their answers.

    steps: optimizer steps, at most. max_seconds: limit for pretraining and training together; None: no limit.
    batch: samples per batch. grad_accumulation: batches per step, over all processes together.
    soft_label_sigma: standard deviation in bins of the soft labels of <loc> tokens; 0: plain cross-entropy.
    compute_dtype: "bfloat16" or "float32", of matrix products.
    mask_weight: of the mask loss relative to the text loss. mask_lr_scale: learning rate of the mask head over learning_rate.
    warmup_ratio: share of the training. max_grad_norm: largest norm of a step's gradient.
    workers: processes that prepare batches. save_steps, save_seconds: between two saved states; None: never for this reason.
    max_save_share: largest share of the time for which states by seconds stop the training, see `SaveSchedule`.
    sharding: of several processes, see `DistributedContext.wrap`.
    pack_tokens: tokens per row of packed samples; False: one sample per row. The loss is the same.
    loggers: that get the numbers of each step, keys of `loggers.LOGGERS`.
    length_multiple: rows are padded to a multiple of it; the loss is the same.
    """

    steps: int
    max_seconds: float | None
    batch: int
    grad_accumulation: int
    learning_rate: float
    seed: int
    soft_label_sigma: float = 0.0
    compute_dtype: str = "float32"
    mask_weight: float = 1.0
    mask_lr_scale: float = 1.0
    optimizer: Literal["adamw", "adafactor"] = "adamw"
    weight_decay: float = 0.01
    warmup_ratio: float = 0.05
    max_grad_norm: float = 1.0
    workers: int = 0
    save_steps: int | None = None
    save_seconds: float | None = None
    max_save_share: float = 0.02
    sharding: Sharding = "ddp"
    pack_tokens: int | Literal[False] = False
    loggers: tuple[str, ...] = ()
    length_multiple: int = 1
