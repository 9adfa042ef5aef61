"""What a run will cost, before it starts: from the config, the headers and the reports; afterwards beside what it cost."""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from refrad.commands.budget import RATES, mask_budget
from refrad.config import Config, load_config
from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_table
from refrad.core.types import MODALITIES
from refrad.language.sections import sections_of
from refrad.language.sentences import sentences_of
from refrad.language.sources import read_reports
from refrad.stages import index
from refrad.workflow.fingerprint import SHARD_STAGES, Fingerprint
from refrad.workflow.site import Site
from refrad.workflow.tally import merge

__all__ = ["Estimate", "count", "dataset", "estimate", "main", "measured_rates"]

STAGES = ("index", *SHARD_STAGES)
# Which tasks of a language model the config asks for: task, section, key.
MODEL_TASKS = (
    ("rewrite", "captions", "rewrite"),
    ("translate", "captions", "translate"),
    ("mentions", "mentions", "finder"),
    ("questions", "vqa", "writer"),
)
WITHOUT_MODEL = {"rules", "none", "lexicon", "templates"}

Counts = Mapping[str, int]


@dataclass(frozen=True)
class Estimate:
    """What a stage will take: seconds on one core, or on one GPU; bytes it writes. None: not known. `basis` says whence."""

    stage: str
    amount: int
    unit: str
    seconds: float | None
    gpu: bool
    size: float | None
    basis: str


def count(site: Site) -> dict[str, int]:
    """What the deliveries hold: files, patients, studies, volumes (CT, MR), slices, reports, sentences.

    Reads headers only, and only where stage index has not done so yet; writes nothing that stays.
    """
    counts: dict[str, int] = {}
    for delivery in site.config.deliveries:
        done = Path(site.place("results")) / "index" / delivery.name / "instances.parquet"
        found = read_table(done, InstanceTable) if done.exists() else _indexed(site, delivery.name)
        used = found.filter(pl.col("volume").is_not_null())
        numbers = {"files": found["file"].n_unique(), "slices": len(used)}
        numbers |= {f"{name}s": used[name].n_unique() for name in ("patient", "volume")}
        numbers["studies"] = used["study"].n_unique()
        numbers |= {
            f"{modality} volumes": used.filter(pl.col("modality") == modality)["volume"].n_unique()
            for modality in MODALITIES
        }
        numbers |= _texts(Path(delivery.reports))
        for name, number in numbers.items():
            counts[name] = counts.get(name, 0) + number
    return counts


def _indexed(site: Site, delivery: str) -> pl.DataFrame:
    """The instance table of a delivery, made by stage index in a folder that goes away, with a key that nobody keeps."""
    one = site.deliveries[delivery]
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        index.run(
            dicom=Path(one.dicom),
            reports=Path(one.reports),
            key=place / "key",
            files=place / "files.parquet",
            instances=place / "instances.parquet",
            metrics=place / "metrics.json",
            fingerprint=Fingerprint.parse(site.fingerprint("index")),
            shards=one.shards,
        )
        return read_table(place / "instances.parquet", InstanceTable)


def _texts(reports: Path) -> dict[str, int]:
    rows = list(read_reports(reports))
    sentences = sum(
        len(sentences_of(text))
        for row in rows
        for section, text in sections_of(row.text)
        if section in ("findings", "impression")
    )
    return {"reports": len(rows), "sentences": sentences}


def estimate(counts: Counts, config: Config, rates: Mapping[str, Any]) -> list[Estimate]:
    """One estimate a stage, in the order of the stages; `rates` as in workflow/rates.yaml."""
    amounts = dict(counts)
    amounts["images"] = max(dataset(counts, rates).values())  # rather too much time and disk than too little
    found = []
    for stage in STAGES:
        if stage == "masks":
            found.append(_of_masks(counts, config, rates["masks"]))
            continue
        rate = rates["stages"][stage]
        amount = amounts[rate["unit"]]
        seconds, size = amount * rate["seconds"], amount * rate["bytes"]
        found.append(Estimate(stage, amount, rate["unit"], seconds, False, size, rate["basis"]))
    images = round(amounts["images"] * (1 - config.index.test - config.index.validation))
    if config.train.model == "tiny":
        own = config.train.max_seconds
        found.append(Estimate("train", images, "images", own, False, None, "train.max_seconds of the config"))
    else:
        train = rates["train"]
        seconds = images * train["epochs"] * train["seconds_a_sample"]
        found.append(Estimate("train", images, "images", seconds, True, None, train["basis"]))
    return found


def dataset(counts: Counts, rates: Mapping[str, Any]) -> dict[str, int]:
    """Images of the dataset to expect, by the basis of each figure: what is known of a volume, and of a sentence."""
    known = rates["dataset"]
    return {one["basis"]: min(round(counts[one["unit"]] * one["images"]), counts["slices"]) for one in known}


def _of_masks(counts: Counts, config: Config, rates: Mapping[str, Any]) -> Estimate:
    volumes, options, gpu = counts["volumes"], config.masks, config.masks.device == "gpu"
    budget = [mask_budget(rates, modality, counts[f"{modality} volumes"], options.variant) for modality in MODALITIES]
    size = 1e9 * sum(one.store_gb for one in budget)
    if options.segmenter == "precomputed":
        return Estimate("masks", volumes, "volumes", 0.0, False, size, "masks that are there already")
    if (own := rates.get("measured")) and (own["device"], own["variant"]) == (options.device, options.variant):
        seconds, size = volumes * own["seconds"], volumes * own["bytes"]
        return Estimate("masks", volumes, "volumes", seconds, gpu, size, own["basis"])
    rate = rates[options.device][options.variant]
    if gpu:
        return Estimate(
            "masks", volumes, "volumes", 3600 * sum(one.gpu_hours for one in budget), gpu, size, rate["basis"]
        )
    seconds = None if rate["seconds"] is None else volumes * rate["seconds"]
    return Estimate("masks", volumes, "volumes", seconds, gpu, size, rate["basis"])


def tokens(counts: Counts, images: int, config: Config, rates: Mapping[str, Any]) -> list[tuple[str, int, int, str]]:
    """Task, tokens read and written, and the basis, for each task that the config gives to a language model."""
    found = []
    for task, section, key in MODEL_TASKS:
        if getattr(getattr(config, section), key) not in WITHOUT_MODEL:
            rate = rates["tokens"][task]
            amount = images if rate["unit"] == "images" else counts["sentences"]
            found.append((task, amount * rate["read"], amount * rate["written"], rate["basis"]))
    return found


def measured_rates(results: Path, stores: Path, rates: Mapping[str, Any], device: str, variant: str) -> dict[str, Any]:
    """`rates` with the figures of a run in `results` in place of the built-in ones, stage by stage where it has any.

    Raises:
        FileNotFoundError: if no stage has run there.
    """
    ran = {stage: actual(results, stores, stage) for stage in STAGES}
    if not any(ran.values()):
        raise FileNotFoundError(f"{results}: holds no metrics of a run to measure by")
    changed: dict[str, Any] = json.loads(json.dumps(rates))
    volumes = ran["volumes"]["made"].get("slices", 0) if ran["volumes"] else 0
    for stage, rate in changed["stages"].items():
        one = ran[stage]
        number = volumes if stage == "volumes" else one["flow"]["taken"] if one else 0
        if one and number:
            rate |= {"seconds": one["seconds"]["total"] / number, "bytes": one["size"] / number}
            rate["basis"] = f"measured: {number:,} {rate['unit']} in {results}"
    if (one := ran["masks"]) and one["made"].get("labels made"):
        number = one["made"]["labels made"]
        changed["masks"]["measured"] = {
            "device": device,
            "variant": variant,
            "seconds": one["seconds"]["total"] / number,
            "bytes": one["size"] / one["flow"]["taken"],
            "basis": f"measured: {number:,} volumes in {results}",
        }
    if ran["shards"] and ran["masks"] and ran["masks"]["flow"]["taken"]:
        share = ran["shards"]["made"].get("rows", 0) / ran["masks"]["flow"]["taken"]
        changed["dataset"] = [{"unit": "volumes", "images": share, "basis": f"measured in {results}"}]
    return changed


def actual(results: Path, stores: Path, stage: str) -> dict[str, Any]:
    """The merged metrics of a stage that has run, with the bytes it wrote as "size"; empty if it has not."""
    files = sorted((results / stage).rglob("*metrics.json"))  # train/<name>.metrics.json lies beside its checkpoint
    if not files:
        return {}
    size = sum(path.stat().st_size for folder in (results, stores) for path in _files(folder / stage))
    return merge(json.loads(path.read_text(encoding="utf-8")) for path in files) | {"size": size}


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def table(estimates: Sequence[Estimate], ran: Mapping[str, Mapping[str, Any]]) -> str:
    """The estimates as lines of text, with what the stages that ran really took beside them."""
    head = f"{'stage':<11}{'amount':>22}{'time':>13}{'disk':>10}{'took':>13}{'wrote':>10}  basis"
    lines = [head]
    for one in estimates:
        took = ran.get(one.stage) or {}
        amount = f"{one.amount:,} {one.unit}"
        spent = duration(took["seconds"]["total"], False) if took else ""
        wrote = volume(took["size"]) if took else ""
        time, disk = duration(one.seconds, one.gpu), volume(one.size)
        lines.append(f"{one.stage:<11}{amount:>22}{time:>13}{disk:>10}{spent:>13}{wrote:>10}  {one.basis}")
    core, gpu = (sum(one.seconds or 0 for one in estimates if one.gpu == of_gpu) for of_gpu in (False, True))
    unknown = [one.stage for one in estimates if one.seconds is None]
    whole = [
        duration(core, False),
        *([duration(gpu, True)] if gpu else []),
        volume(sum(one.size or 0 for one in estimates)),
    ]
    lines.append(f"{'all':<11}{', '.join(whole)}" + (f", without the time of {', '.join(unknown)}" if unknown else ""))
    return "\n".join(lines)


def duration(seconds: float | None, gpu: bool) -> str:
    """Seconds for people: "12 s", "3.4 min", "5.6 h", "5.6 GPU h"; "?" for None."""
    if seconds is None:
        return "?"
    if gpu:
        return f"{seconds / 3600:,.1f} GPU h"
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.1f} min"
        if seconds < 5400
        else f"{seconds / 3600:,.1f} h"
    )


def volume(size: float | None) -> str:
    """Bytes for people; "?" for None."""
    if size is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"


def main(*, config: list[Path], measured: Path | None = None) -> None:
    """Say what a run with this config will take, and beside it what it took where stages have run.

    Args:
        config: config files, later ones over earlier ones.
        measured: results of a run of your own, whose figures replace the built-in ones.

    Raises:
        ValueError: if the config is wrong.
        FileNotFoundError: if a delivery is not there, or `measured` holds no run.
    """
    site = Site(load_config(config))
    rates: Mapping[str, Any] = yaml.safe_load(RATES.read_text(encoding="utf-8"))
    stores = Path(site.config.stores)
    if measured:
        rates = measured_rates(measured, stores, rates, site.config.masks.device, site.config.masks.variant)
    counts = count(site)
    print(", ".join(f"{number:,} {name}" for name, number in counts.items()), end="\n\n")
    estimates = estimate(counts, site.config, rates)
    results = Path(site.place("results"))
    print(table(estimates, {stage: actual(results, stores, stage) for stage in (*STAGES, "train")}))
    expected = dataset(counts, rates)
    images = max(expected.values())
    print("\nexpected dataset: " + "; ".join(f"{number:,} images ({basis})" for basis, number in expected.items()))
    for task, read, written, basis in tokens(counts, images, site.config, rates):
        print(f"tokens of {task}: {read:,} read, {written:,} written ({basis})")
    print("times are of one core or GPU; shards run side by side")
