"""The command `refrad plan`: the cost of a run before it starts; afterwards next to its actual cost."""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from json import dumps
from pathlib import Path
from secrets import token_bytes

import polars as pl

from refrad.config import Config, load_config
from refrad.core.contracts import InstanceTable
from refrad.core.tables import read_table
from refrad.core.types import MODALITIES
from refrad.dataset.examples import read_image_table
from refrad.language.sections import CAPTIONED, is_heading, split_sections
from refrad.language.sentences import split_sentences
from refrad.nifti.delivery_checks import check_volume_files
from refrad.privacy.choice_lists import LEFT_OUT
from refrad.privacy.pseudonyms import FileTable
from refrad.sources.reports import Report, read_reports
from refrad.sources.study_lookup import StudyLookup
from refrad.stages import index
from refrad.workflow.estimates import (
    ESTIMATED,
    Estimate,
    MeasuredMetrics,
    estimate_others,
    estimate_stages,
    estimate_tokens,
    expected_images,
    measured_metrics,
    measured_rates,
)
from refrad.workflow.fingerprint import Fingerprint, read_fingerprint
from refrad.workflow.rates import load_rates
from refrad.workflow.site import Site

__all__ = ["count", "count_sentences", "count_texts", "format_bytes", "format_duration", "format_table", "main"]


def main(config: list[Path], *, measured: Path | None = None, json: bool = False) -> None:
    """Estimate the cost of a run with this config, next to its actual cost where stages have run.

    Args:
        config: config files, later ones over earlier ones.
        measured: results of an earlier run, whose figures replace the built-in ones.
        json: print one JSON object instead of lines.

    Raises:
        ValueError: if the config is wrong.
        FileNotFoundError: if a delivery is missing, or `measured` holds no run.
    """
    site = Site(load_config(config), downloads=False)
    check_volume_files(site.config, Path(site.folder("results")))
    rates = load_rates()
    stores, results = Path(site.config.stores), Path(site.folder("results"))
    if measured:
        rates = measured_rates(measured, stores, rates, site.config.masks.device, site.config.masks.variant)
    counts = count(site)
    estimates = estimate_stages(counts, site.config, rates)
    metrics = {stage: measured_metrics(results, stores, stage) for stage in (*ESTIMATED, "train")}
    images = expected_images(counts, rates)
    tokens = estimate_tokens(counts, max(images.values()), site.config, rates)
    others = estimate_others(counts, max(images.values()), _count_public(site.config), site.config, rates)
    if json:
        report = {
            "counts": counts,
            "stages": [asdict(estimate) | {"actual": _cost(metrics[estimate.stage])} for estimate in estimates],
            "images": images,
            "tokens": [estimate._asdict() for estimate in tokens],
            "others": [estimate._asdict() for estimate in others],
        }
        print(dumps(report, ensure_ascii=False, indent=2))
        return
    print(", ".join(f"{number:,} {name}" for name, number in counts.items()), end="\n\n")
    print(format_table(estimates, metrics))
    print("\nexpected dataset: " + "; ".join(f"{number:,} images ({basis})" for basis, number in images.items()))
    for task, read, written, basis in tokens:
        print(f"tokens of {task}: {read:,} read, {written:,} written ({basis})")
    for other in others:
        price = "" if other.price is None else f", price {other.price:,.2f}"
        print(
            f"evaluate.others, {other.name}: {other.requests:,} requests about {other.images:,} images, which are sent with each:"
            f" {other.read:,} tokens read, {other.written:,} written{price} ({other.basis})"
        )
    print("times are of one core or GPU; shards run in parallel")


def count(site: Site) -> dict[str, int]:
    """Counts of the deliveries: files, patients, studies, volumes (CT, MR), slices, reports, sentences.

    Reads headers only, and only where stage index has not done so yet; leaves no files behind.
    """
    counts: dict[str, int] = {}
    for delivery in site.config.deliveries:
        instances, files = _indexed(site, delivery.name)
        used = instances.filter(pl.col("volume").is_not_null())
        numbers = {"files": instances["file"].n_unique(), "slices": int(used["slices"].sum())}
        numbers |= {f"{name}s": used[name].n_unique() for name in ("patient", "volume")}
        numbers["studies"] = used["study"].n_unique()
        numbers |= {
            f"{modality} volumes": used.filter(pl.col("modality") == modality)["volume"].n_unique()
            for modality in MODALITIES
        }
        numbers |= count_texts(Path(delivery.reports), _chosen(instances, files) if site.choice.paths else None)
        for name, number in numbers.items():
            counts[name] = counts.get(name, 0) + number
    return counts


def _count_public(config: Config) -> tuple[int, int]:
    """The test images of evaluate.public, at most evaluate.samples of each file, and the questions about them; of files that exist."""
    images = questions = 0
    for path in map(Path, config.evaluate.public):
        if path.exists():
            numbers = read_image_table([path], {"test"}, pixels=False)["questions"].list.len()
            used = min(len(numbers), config.evaluate.samples)
            images += used
            questions += round(numbers.sum() * used / max(len(numbers), 1))
    return images, questions


def _indexed(site: Site, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables of images and files of a delivery: those of stage index, if it made them by the same lists of a choice and of volumes."""
    table = Path(site.folder("results")) / "index" / name / "instances.parquet"
    files = Path(site.config.privacy.folder, name, "files.parquet")
    if not table.exists() or (site.choice.paths and not files.exists()):
        return _index(site, name)
    lists = {role: digest for role, digest in read_fingerprint(table).files.items() if role.startswith("index.")}
    if lists != (site.choice.digests(Path(site.key)) if Path(site.key).exists() else {}):
        return _index(site, name)
    volumes = site.deliveries[name].volumes
    if volumes and volumes.table and Path(volumes.table).stat().st_mtime > table.stat().st_mtime:
        return _index(site, name)
    return read_table(table, InstanceTable), read_table(files, FileTable) if site.choice.paths else pl.DataFrame()


def _chosen(instances: pl.DataFrame, files: pl.DataFrame) -> Callable[[Report], bool]:
    """Whether a report is used, of which the lists of the choice may leave out the study."""
    studies = StudyLookup(files.lazy(), instances.with_columns(shard=pl.lit(0, pl.Int32)).lazy(), 0)

    def is_chosen(report: Report) -> bool:
        study = studies.study_of(report)
        return study is None or study in studies.with_images or studies.why_no_images(study) not in LEFT_OUT

    return is_chosen


def _index(site: Site, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The tables of images and files of a delivery, made by stage index in a temporary folder with a temporary key."""
    delivery = site.deliveries[name]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "key").write_bytes(
            token_bytes(32)
        )  # made by the stage itself, it would be announced as one to be kept
        fingerprint = Fingerprint(
            "index", index.VERSION, site.config.index.model_dump(), site.choice.digests(folder / "key")
        )
        index.run(
            dicom=None if delivery.dicom is None else Path(delivery.dicom),
            volume_files=None if delivery.volumes is None else delivery.volumes.model_dump_json(),
            public_set=delivery.public_set,
            reports=Path(delivery.reports),
            key=folder / "key",
            files=folder / "files.parquet",
            instances=folder / "instances.parquet",
            metrics=folder / "metrics.json",
            fingerprint=fingerprint,
            shards=delivery.shards,
            **site.choice.paths,
        )
        files = read_table(folder / "files.parquet", FileTable) if site.choice.paths else pl.DataFrame()
        return read_table(folder / "instances.parquet", InstanceTable), files


def count_texts(reports: Path, is_chosen: Callable[[Report], bool] | None = None) -> dict[str, int]:
    """Counts of a table or folder of reports: reports, all or those that are chosen, and sentences of findings and impression."""
    counts = {"reports": 0, "sentences": 0}
    for report in read_reports(reports, is_heading):  # one at a time: the texts of an archive fill the memory
        if is_chosen is None or is_chosen(report):
            counts["reports"] += 1
            counts["sentences"] += count_sentences([report.text])
    return counts


def count_sentences(texts: Iterable[str]) -> int:
    """The number of sentences of findings and impression in the texts of reports."""
    return sum(
        len(split_sentences(text))
        for report in texts
        for section, text in split_sections(report)
        if section in CAPTIONED
    )


def _cost(metrics: MeasuredMetrics | None) -> dict[str, float] | None:
    """Seconds and bytes of a stage that has run, else None."""
    return {"seconds": metrics["seconds"]["total"], "size": metrics["size"]} if metrics else None


def format_table(estimates: Sequence[Estimate], metrics: Mapping[str, MeasuredMetrics | None]) -> str:
    """The estimates as lines of text, next to the actual cost of the stages that have run."""
    lines = [f"{'stage':<11}{'amount':>22}{'time':>13}{'disk':>10}{'took':>13}{'wrote':>10}  basis"]
    for estimate in estimates:
        amount = f"{estimate.amount:,} {estimate.unit}"
        time, disk = format_duration(estimate.seconds, estimate.gpu), format_bytes(estimate.size)
        cost = _cost(metrics.get(estimate.stage))
        took, wrote = (format_duration(cost["seconds"], False), format_bytes(cost["size"])) if cost else ("", "")
        lines.append(f"{estimate.stage:<11}{amount:>22}{time:>13}{disk:>10}{took:>13}{wrote:>10}  {estimate.basis}")
    cores, gpus = (
        sum(estimate.seconds or 0 for estimate in estimates if estimate.gpu == on_gpu) for on_gpu in (False, True)
    )
    unknown = [estimate.stage for estimate in estimates if estimate.seconds is None]
    totals = [
        format_duration(cores, False),
        *([format_duration(gpus, True)] if gpus else []),
        format_bytes(sum(estimate.size or 0 for estimate in estimates)),
    ]
    lines.append(f"{'all':<11}{', '.join(totals)}" + (f", without the time of {', '.join(unknown)}" if unknown else ""))
    return "\n".join(lines)


def format_duration(seconds: float | None, gpu: bool) -> str:
    """Seconds in a readable unit: "12 s", "3.4 min", "5.6 h", "5.6 GPU h"; "?" for None."""
    if seconds is None:
        return "?"
    if gpu:
        return f"{seconds / 3600:,.1f} GPU h"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:,.1f} h"


def format_bytes(size: float | None) -> str:
    """Bytes in a readable unit: "999 B", "2.5 TB"; "?" for None."""
    if size is None:
        return "?"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:,.1f} TB"
