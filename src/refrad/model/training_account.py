"""The account of a training, `training.json` of a checkpoint: how the checkpoint was made."""

from typing import NotRequired, TypedDict

__all__ = [
    "LOGS",
    "STEPS",
    "TRAINING",
    "BaseModelFacts",
    "CurvePoint",
    "DataFacts",
    "LoraFacts",
    "ModelFacts",
    "OverlapCounts",
    "TrainedFacts",
    "TrainingAccount",
    "TrainingResults",
]

TRAINING = "training.json"  # inside a checkpoint
LOGS, STEPS = "logs", "steps.jsonl"  # folder of the logs of a training inside a checkpoint, and a file in it


class CurvePoint(TypedDict):
    """A point of the loss curve; the fields are those of `refrad.training.state.Point`."""

    step: int
    seconds: float
    loss: float
    validation_loss: float | None
    learning_rate: float
    task_losses: dict[str, float]
    metric: str
    score: float | None


class TrainingResults(TypedDict):
    """Results of a training loop; the fields are those of `refrad.training.state.TrainState`."""

    curve: list[CurvePoint]
    tasks: dict[str, int]
    steps: int
    seconds: float
    cpu_seconds: float
    best_step: int | None
    resumed: int
    skipped: int
    prepared: list[float]
    pretraining_seconds: float


class OverlapCounts(TypedDict):
    """Images compared, training images that are test images, and file names of the benchmarks of evaluation that were compared."""

    looked: int
    found: int
    tested: list[str]


class DataFacts(TypedDict):
    """The data of a training.

    images: number of each split. classes: name of each class by id; in JSON the ids are text. public: images of each public
    benchmark. public_sets: training and validation images by public set, of this training and of those that it starts from.
    leaks: images that were also test images. validation: number of validation samples of each task.
    """

    images: dict[str, int]
    validation: dict[str, int]
    classes: dict[int, str]
    public: dict[str, int]
    public_sets: dict[str, int]
    leaks: OverlapCounts


class LoraFacts(TypedDict):
    """Adapters that were trained: the options `train.lora`."""

    rank: int
    alpha: int
    dropout: float
    targets: list[str]


class TrainedFacts(TypedDict):
    """What was trained: number of weights, parts of the model, and adapters, which are merged into the weights of the checkpoint."""

    parameters: int
    parts: list[str]
    lora: LoraFacts | None


class BaseModelFacts(TypedDict):
    """The model that training began with: type as in config.json, name of the folder or tiny, and side of its images, px."""

    type: str
    folder: str
    image_size: int


class ModelFacts(TypedDict):
    """The trained model and its base model. parameters: number of weights. validation_dice: of the masks of true phrases; segmentation variant only."""

    base_model: BaseModelFacts
    parameters: int
    trained: TrainedFacts
    validation_dice: NotRequired[float | None]


class TrainingAccount(TrainingResults, DataFacts, ModelFacts):
    """The account of stage train.

    fingerprint, shards: texts of the fingerprints of stages train and shards. tower: that of stage adapt, or None.
    weights: description of the step that the weights are of.
    """

    fingerprint: str
    shards: str
    tower: str | None
    weights: str
