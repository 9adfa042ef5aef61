"""Estimated cost of a run, from the counts of its deliveries and the rates of workflow/rates.yaml."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from refrad.config import LLM_TASKS, Config, tasks_of
from refrad.config.imaging import SEGMENTERS
from refrad.core.manifests import read_sealed
from refrad.core.types import MODALITIES
from refrad.workflow.mask_budget import mask_budget
from refrad.workflow.rates import MaskRates, Rates, StageRate, TrainingRate
from refrad.workflow.stages import STAGES
from refrad.workflow.tally import StageMetrics, merge

__all__ = [
    "ESTIMATED",
    "Counts",
    "Estimate",
    "MeasuredMetrics",
    "OtherEstimate",
    "TokenEstimate",
    "estimate_others",
    "estimate_stages",
    "estimate_tokens",
    "expected_images",
    "measured_metrics",
    "measured_rates",
    "request_amounts",
]

ESTIMATED = tuple(name for name, stage in STAGES.items() if stage.per != "run")  # in addition to train
NO_RATE: StageRate = {
    "unit": "files",
    "seconds": None,
    "bytes": None,
    "basis": "unknown: workflow/rates.yaml has no rate",
}

Counts = Mapping[str, int]
"""Number of files, patients, studies, volumes, "CT volumes", "MR volumes", slices, reports and sentences."""


class MeasuredMetrics(StageMetrics):
    """The metrics of a stage that has run, with the bytes that it wrote."""

    size: int


@dataclass(frozen=True)
class Estimate:
    """Estimated cost of a stage.

    Attributes:
        stage: its name.
        amount: of its input.
        unit: of the amount.
        seconds: on one core, or on one GPU; None: unknown.
        gpu: whether the seconds are those of a GPU.
        size: bytes that it writes; None: unknown.
        basis: source of the rate.
    """

    stage: str
    amount: int
    unit: str
    seconds: float | None
    gpu: bool
    size: float | None
    basis: str


class TokenEstimate(NamedTuple):
    """Tokens that a task of a language model reads and writes."""

    task: str
    read: int
    written: int
    basis: str


class OtherEstimate(NamedTuple):
    """Requests to a model of evaluate.others, each with its image, the tokens that they read and write, and their price.

    `price` is None where the config has none, as for a model of a folder.
    """

    name: str
    images: int
    requests: int
    read: int
    written: int
    price: float | None
    basis: str


def estimate_stages(counts: Counts, config: Config, rates: Rates) -> list[Estimate]:
    """One estimate a stage, in the order of the stages; `rates` as in workflow/rates.yaml."""
    amounts = dict(counts)
    amounts["images"] = max(expected_images(counts, rates).values())  # rather too much time and disk than too little
    estimates = []
    for stage in ESTIMATED:
        if stage == "masks":
            estimates.append(_estimate_masks(counts, config, rates["masks"]))
            continue
        rate = rates["stages"].get(stage, NO_RATE)
        amount = amounts[rate["unit"]]
        seconds, size = (None if cost is None else amount * cost for cost in (rate["seconds"], rate["bytes"]))
        estimates.append(Estimate(stage, amount, rate["unit"], seconds, False, size, rate["basis"]))
    if config.train.model is None:
        return estimates
    shards = next((estimate.size for estimate in estimates if estimate.stage == "shards"), None)
    return [*estimates, _estimate_training(amounts["images"], shards, config, rates["train"])]


def expected_images(counts: Counts, rates: Rates) -> dict[str, int]:
    """Expected images of the dataset, by the basis of each figure: one from the volumes, one from the sentences.

    Where the volumes are not counted, the figure from the sentences is the only one.
    """
    return {
        share["basis"]: min(images := round(counts[share["unit"]] * share["images"]), counts.get("slices", images))
        for share in rates["dataset"]
        if share["unit"] in counts
    }


def _estimate_masks(counts: Counts, config: Config, rates: MaskRates) -> Estimate:
    volumes, options, gpu = counts["volumes"], config.masks, config.masks.device == "gpu"
    budgets = [mask_budget(rates, modality, counts[f"{modality} volumes"], options.variant) for modality in MODALITIES]
    size = 1e9 * sum(budget.store_gb for budget in budgets)
    cost = SEGMENTERS[options.segmenter].cost
    if cost == "none":
        return Estimate("masks", volumes, "volumes", 0.0, False, size, f"{options.segmenter} masks")
    if (own := rates.get("measured")) and (own["device"], own["variant"]) == (options.device, options.variant):
        seconds, size = volumes * own["seconds"], volumes * own["bytes"]
        return Estimate("masks", volumes, "volumes", seconds, gpu, size, own["basis"])
    if cost == "unknown":
        basis = f"unknown: workflow/rates.yaml has no rate of {options.segmenter}"
        return Estimate("masks", volumes, "volumes", None, gpu, size, basis)
    rate = rates["gpu"][options.variant] if gpu else rates["cpu"][options.variant]
    if gpu:
        hours = sum(budget.gpu_hours for budget in budgets)
        return Estimate("masks", volumes, "volumes", 3600 * hours, gpu, size, rate["basis"])
    total = None if rate["seconds"] is None else volumes * rate["seconds"]
    return Estimate("masks", volumes, "volumes", total, gpu, size, rate["basis"])


def _estimate_training(images: int, shards: float | None, config: Config, rate: TrainingRate) -> Estimate:
    """Time, and the disk space of the rows of training and validation patients while it runs; `shards` is the bytes of the shards."""
    trained = round(images * (1 - config.index.test - config.index.validation))
    size = None if shards is None else shards * (1 - config.index.test) * rate["row_bytes"]
    if config.train.model == "tiny":
        basis = "train.max_seconds of the config"
        return Estimate("train", trained, "images", config.train.max_seconds, False, size, basis)
    seconds = trained * rate["epochs"] * rate["seconds_a_sample"]
    return Estimate("train", trained, "images", seconds, True, size, rate["basis"])


def request_amounts(counts: Counts, images: int, config: Config) -> dict[str, int]:
    """Number of requests of a task to a language model, by the unit of its rate, for a dataset of so many `images`."""
    shards = sum(delivery.shards for delivery in config.deliveries)
    return {
        "sentences": counts["sentences"],
        "images": images,
        "judged sentences": min(config.captions.judge * shards, counts["sentences"]),
        "test images": min(config.evaluate.samples, round(images * config.index.test)),
    }


def estimate_tokens(counts: Counts, images: int, config: Config, rates: Rates) -> list[TokenEstimate]:
    """The tokens of each task that the config gives to a language model, for a dataset of so many `images`.

    Raises:
        ValueError: if workflow/rates.yaml lacks a task.
    """
    amounts = request_amounts(counts, images, config)
    estimates = []
    for task in LLM_TASKS:
        if task.option in tasks_of(task.stage, getattr(config, task.stage).model_dump()):
            if (rate := rates["tokens"].get(task.name)) is None:
                raise ValueError(f"workflow/rates.yaml: tokens.{task.name} is missing")
            amount = amounts[rate["unit"]]
            estimates.append(TokenEstimate(task.name, amount * rate["read"], amount * rate["written"], rate["basis"]))
    return estimates


def estimate_others(
    counts: Counts, images: int, public: tuple[int, int], config: Config, rates: Rates
) -> list[OtherEstimate]:
    """The requests to each model of evaluate.others, for a dataset of so many `images`.

    Args:
        counts: of the deliveries.
        images: of the dataset.
        public: images and questions of the benchmarks.
        config: of the run.
        rates: as in workflow/rates.yaml.
    """
    test_images = request_amounts(counts, images, config)["test images"]
    languages = 2 if config.captions.translate == "llm" else 1
    estimates = []
    for entry in config.evaluate.others:
        used = {task: rates["others"][task] for task in entry.comparable_tasks(config.train.variant)}
        requests = {
            task: round(test_images * rate["requests"]) + public[1]
            if task == "vqa"
            else round(test_images * rate["requests"] * languages)
            for task, rate in used.items()
        }
        read, written = (sum(requests[task] * used[task][key] for task in used) for key in ("read", "written"))
        price = config.llm.vision[entry.model].price if entry.model else None
        cost = (price[0] * read + price[1] * written) / 1e6 if price else None
        basis = "; ".join(f"{task}: {rate['basis']}" for task, rate in used.items())
        shown = test_images + (public[0] if "vqa" in used else 0)
        estimates.append(OtherEstimate(entry.name, shown, sum(requests.values()), read, written, cost, basis))
    return estimates


def measured_rates(results: Path, stores: Path, rates: Rates, device: str, variant: str) -> Rates:
    """`rates` with the figures of a run in `results` instead of the built-in ones, for each stage that has run.

    Raises:
        FileNotFoundError: if no stage has run there.
    """
    metrics = {stage: measured_metrics(results, stores, stage) for stage in ESTIMATED}
    if not any(metrics.values()):
        raise FileNotFoundError(f"{results}: holds no metrics of a run to measure by")
    changed = deepcopy(rates)
    volumes, masks, shards = metrics["volumes"], metrics["masks"], metrics["shards"]
    slices = volumes["made"].get("slices", 0) if volumes else 0
    for stage, rate in changed["stages"].items():
        measured = metrics[stage]
        number = slices if stage == "volumes" else measured["flow"]["taken"] if measured else 0
        if measured and number:
            rate["seconds"], rate["bytes"] = measured["seconds"]["total"] / number, measured["size"] / number
            rate["basis"] = f"measured: {number:,} {rate['unit']} in {results}"
    if masks and masks["made"].get("labels made"):
        number = masks["made"]["labels made"]
        changed["masks"]["measured"] = {
            "device": device,
            "variant": variant,
            "seconds": masks["seconds"]["total"] / number,
            "bytes": masks["size"] / masks["flow"]["taken"],
            "basis": f"measured: {number:,} volumes in {results}",
        }
    if shards and masks and masks["flow"]["taken"]:
        share = shards["made"].get("rows", 0) / masks["flow"]["taken"]
        changed["dataset"] = [{"unit": "volumes", "images": share, "basis": f"measured in {results}"}]
    return changed


def measured_metrics(results: Path, stores: Path, stage: str) -> MeasuredMetrics | None:
    """The merged metrics of a stage that has run, with the bytes it wrote; None if it has not."""
    # train/<name>.metrics.json is next to its checkpoint; a killed job leaves names that begin with a dot
    files = [path for path in sorted((results / stage).rglob("*metrics.json")) if not path.name.startswith(".")]
    if not files:
        return None
    size = sum(path.stat().st_size for folder in (results, stores) for path in _files(folder / stage))
    return {**merge(map(read_sealed, files)), "size": size}


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
