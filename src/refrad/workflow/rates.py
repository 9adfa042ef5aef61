"""The rates of workflow/rates.yaml: cost of each stage for one unit of its input, each with its basis."""

from pathlib import Path
from typing import Literal, NotRequired, TypedDict, get_args

import yaml

from refrad.core.installation import resolve_shipped

__all__ = [
    "RATES",
    "VARIANTS",
    "CpuRates",
    "DatasetRate",
    "GpuRates",
    "MaskRates",
    "MeasuredMasks",
    "NetworkRate",
    "OtherTaskRate",
    "Rates",
    "StageRate",
    "TokenRate",
    "TrainingRate",
    "UsualVolume",
    "load_rates",
]

RATES = Path("workflow/rates.yaml")
Variant = Literal["fastest", "fast", "total"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


class StageRate(TypedDict):
    """Seconds on one core and bytes written for one unit; None: unknown."""

    unit: str
    seconds: float | None
    bytes: float | None
    basis: str


class NetworkRate(TypedDict):
    """Seconds that the networks of a variant take for a volume; None: unknown."""

    seconds: float | None
    basis: str


class CpuRates(TypedDict):
    """Rates of the networks on one core."""

    fastest: NetworkRate
    fast: NetworkRate
    total: NetworkRate


class GpuRates(CpuRates):
    """Rates of the networks on a GPU of the name `card`."""

    card: str


class UsualVolume(TypedDict):
    """A usual volume of a modality: its voxels, the litres that it covers, and the share of CT's networks that it needs."""

    voxels: float
    litres: float
    networks: float


class MeasuredMasks(TypedDict):
    """Seconds and bytes for a volume, measured in an earlier run on this device with this variant."""

    device: str
    variant: str
    seconds: float
    bytes: float
    basis: str


class MaskRates(TypedDict):
    """Section masks. `bandwidth`: of each card, GB/s; `volumes`: by modality; `bits`: for one voxel in the store."""

    gpu: GpuRates
    cpu: CpuRates
    bandwidth: dict[str, float]
    volumes: dict[str, UsualVolume]
    bits: float
    measured: NotRequired[MeasuredMasks]


class TokenRate(TypedDict):
    """Tokens that a task of a language model reads and writes for one unit."""

    unit: str
    read: int
    written: int
    basis: str


class OtherTaskRate(TypedDict):
    """Requests of a task of evaluate.others for one test image and language, and the tokens that each reads and writes."""

    requests: float
    read: int
    written: int
    basis: str


class DatasetRate(TypedDict):
    """Images of the dataset for one unit."""

    unit: str
    images: float
    basis: str


class TrainingRate(TypedDict):
    """Seconds a sample on one GPU, passes over the training set, and bytes of its file of rows for each byte of the shards."""

    seconds_a_sample: float
    epochs: float
    row_bytes: float
    basis: str


class Rates(TypedDict):
    """All sections of workflow/rates.yaml."""

    stages: dict[str, StageRate]
    masks: MaskRates
    tokens: dict[str, TokenRate]
    others: dict[str, OtherTaskRate]
    dataset: list[DatasetRate]
    train: TrainingRate


def load_rates(path: Path = RATES) -> Rates:
    """The rates of a file such as workflow/rates.yaml."""
    rates: Rates = yaml.safe_load(resolve_shipped(path).read_text(encoding="utf-8"))
    return rates
