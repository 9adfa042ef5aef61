"""Write the pages: one for each stage, the gallery, and the index of the run."""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from cyclopts import Parameter

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import ReportOptions
from refrad.core.contracts import CaptionTable, FlagTable, MaskTable, MentionTable, Table, VolumeTable
from refrad.core.files import atomic
from refrad.core.manifests import MANIFEST, read_sealed, verify_file, write_manifest
from refrad.core.tables import read_frame, read_table, scan_table
from refrad.dataset.shard_io import read_images, read_rows, read_source_fingerprints
from refrad.dataset.shard_rows import ImageRow
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.evaluation.result import EvaluationResult
from refrad.evaluation.rows import PredictionRow
from refrad.model.training_account import LOGS, STEPS
from refrad.reporting.card_pictures import PictureSources, pictures_of_rows
from refrad.reporting.comparison_page import comparison_tables
from refrad.reporting.drawing import data_uri
from refrad.reporting.dropped_pairs import DroppedPair, TripletTables, build_dropped_cards, choose_dropped_pairs
from refrad.reporting.evaluation_page import AskedImage, compare_with_chance, example_cards, score_sections
from refrad.reporting.flags import flagged_figures
from refrad.reporting.gallery import ImageCard, build_cards, choose_images, grounded_first
from refrad.reporting.learning_curves import Chart, learning_curves
from refrad.reporting.overlay import save_overlay
from refrad.reporting.pages import (
    StageExtras,
    fingerprint_rows,
    render,
    render_gallery,
    render_stage,
)
from refrad.reporting.run_summary import VOLUME_FUNNELS, funnels_of, summary_of
from refrad.reporting.sentence_index import SentenceSample, sample_questions, sample_sentences
from refrad.reporting.views import VolumeFigure, volume_figures, volume_sheet
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.stages import STAGES
from refrad.workflow.tally import StageMetrics, merge

__all__ = ["ReportFiles", "run"]

VERSION = 5
OVERLAY = 6  # images in overlay.png
DROPPED = 4  # images of the gallery for each dropped pair in it
SHOWN = 12  # examples on a stage page
FLAGGED = 8  # volumes with implausible labels on the page of structures
COUNTED = tuple(STAGES)[: list(STAGES).index("evaluate")]  # stages that count their input
NO_SAMPLES = "Samples of report text are not shown: the option report.sentences is 0. The gallery has captions with their mentions and questions."
CHANCE_IMAGES = 2000  # test images whose questions give the chance level

log = logging.getLogger(__name__)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Files of a run that its pages show; each is a flag of the command. An unfinished run lacks those that have a default.

    Args:
        metrics: metrics of all jobs that have run, of any stage but evaluate.
        images: the shards.
        volumes: tables of stage volumes.
        masks: tables of stage masks.
        schema: the class schema.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
        triplets: tables of stage grounded, for the dropped pairs; with captions and mentions.
        captions: tables of stage captions.
        mentions: tables of stage mentions.
        flags: tables of stage structures with implausible labels.
        adaptation: the folder of the adapted vision tower.
        training: training.json of the checkpoint.
        evaluation: metrics.json of stage evaluate.
        predictions: questions and answers of stage evaluate.
        state: jobs that have failed or wait, as `refrad.commands.status` writes them.
    """

    metrics: list[Path]
    images: list[Path]
    volumes: list[Path]
    masks: list[Path]
    schema: Path
    volume_store: Path
    mask_store: Path
    triplets: list[Path] = field(default_factory=list)
    captions: list[Path] = field(default_factory=list)
    mentions: list[Path] = field(default_factory=list)
    flags: list[Path] = field(default_factory=list)
    adaptation: Path | None = None
    training: Path | None = None
    evaluation: Path | None = None
    predictions: Path | None = None
    state: Path | None = None


def run(*, files: ReportFiles, pages: Path, fingerprint: Fingerprint) -> None:
    """Write all pages under `pages`, and remove those of other stages. An unfinished run has the pages of its finished stages.

    Args:
        files: of the run.
        pages: folder of the pages.
        fingerprint: of stage report.
    """
    options = ReportOptions.model_validate(fingerprint.options)
    schema = load_schema(files.schema)
    counts = _counts(files.metrics)
    merged = {stage: merge(of_job for _, of_job in jobs) for stage, jobs in counts.items() if jobs}
    result = _read_json(files.evaluation)
    stages = [*merged, *(["evaluate"] if result else [])]
    rows = read_images(files.images, _gallery_images(files.images, options.gallery))
    sources = _picture_sources(files)
    pictures = pictures_of_rows(rows, sources, schema)
    cards = build_cards(rows, pictures, schema)
    extras = _extras(files, merged, cards, options, schema)
    if options.sentences:
        extras["vqa"] = StageExtras(questions=sample_questions(rows, options.sentences))
    dropped = build_dropped_cards(_dropped_pairs(files, options.gallery // DROPPED), schema)
    _write(pages / "gallery.html", render_gallery([*cards, *dropped], stages))
    overlay = pages / "overlay.png"
    save_overlay(overlay, sorted(rows, key=_legibility, reverse=True)[:OVERLAY], pictures, schema)
    text = render(
        "index.html",
        title="Run",
        up="",
        there=stages,
        result=result,
        overlay=data_uri(overlay.read_bytes()) if rows else None,
        **summary_of(counts, merged, bool(result), _read_json(files.state) or []),
    )
    _write(pages / "index.html", text)
    # After the index, of which rule model_report writes a second one: its outputs must not be older than that input.
    for stage, metrics in merged.items():
        page = render_stage(stage, metrics, counts[stage], extras.get(stage, StageExtras()), stages)
        _write(pages / "stages" / f"{stage}.html", page)
    if result:
        _write(pages / "stages" / "evaluate.html", _evaluation_page(files, result, stages, schema, sources))
    for path in (pages / "stages").glob("*.html"):  # of a run that went further, or had other stages
        if path.stem not in stages:
            path.unlink()
    write_manifest(pages)
    log.info("%d pages", len(stages) + 2)


def _extras(
    files: ReportFiles,
    merged: Mapping[str, StageMetrics],
    cards: Sequence[ImageCard],
    options: ReportOptions,
    schema: Schema,
) -> dict[str, StageExtras]:
    """Stage to the pictures, tables and curves of its page."""
    stores = files.volume_store, files.mask_store
    figures: dict[str, list[VolumeFigure]] = {"volumes": [], "masks": [], "structures": []}
    volumes = _concat(files.volumes, VolumeTable) if files.volumes else None
    if volumes is not None and files.masks:
        masks = _concat(files.masks, MaskTable)
        figures |= volume_figures(volumes, masks, *stores, schema)
        if files.flags:
            flags = _concat(files.flags, FlagTable)
            figures["structures"] = flagged_figures(flags, volumes, masks, *stores, schema, FLAGGED)
    sheet = volume_sheet(volumes, files.volume_store) if volumes is not None else None
    steps = funnels_of(merged, VOLUME_FUNNELS)
    samples = _sentence_samples(files, options.sentences, schema)
    hint = "" if options.sentences else NO_SAMPLES
    return {
        "index": StageExtras(steps=steps),
        "volumes": StageExtras(figures=figures["volumes"], steps=steps, sheet=sheet),
        "copies": StageExtras(steps=steps),
        "masks": StageExtras(figures=figures["masks"]),
        "structures": StageExtras(figures=figures["structures"]),
        "grounded": StageExtras(cards=cards[:SHOWN]),
        "shards": StageExtras(cards=cards[:SHOWN]),
        "captions": StageExtras(captions=samples, hint=hint),
        "mentions": StageExtras(samples=samples, hint=hint),
        "vqa": StageExtras(hint=hint),
        "adapt": StageExtras(charts=_charts(files.adaptation / "training.json") if files.adaptation else ()),
        "train": StageExtras(charts=_charts(files.training) if files.training else ()),
    }


def _sentence_samples(files: ReportFiles, count: int, schema: Schema) -> list[SentenceSample]:
    if not count or not files.captions:
        return []
    captions = pl.concat([scan_table(path, CaptionTable) for path in files.captions])
    mentions = pl.concat([scan_table(path, MentionTable) for path in files.mentions])
    return sample_sentences(captions, mentions, count, schema)


def _dropped_pairs(files: ReportFiles, count: int) -> Iterable[DroppedPair]:
    tables = TripletTables(files.triplets, files.captions, files.mentions, files.volumes)
    return choose_dropped_pairs(tables, files.volume_store, count) if files.triplets else ()


def _concat(paths: Iterable[Path], contract: type[Table]) -> pl.DataFrame:
    return pl.concat([read_table(path, contract) for path in paths])


def _gallery_images(shards: Sequence[Path], count: int) -> list[str]:
    columns = ["image_id", "modality", "plane", "captions"]
    frames = [read_frame(path, columns) for path in shards]
    return choose_images(pl.concat(frames), count) if frames else []


def _picture_sources(files: ReportFiles) -> PictureSources:
    """Where the slices of the dataset are, and how its pictures were made from them."""
    if not files.images:
        return PictureSources()
    shards = read_source_fingerprints(files.images[0])["shards"].options
    columns = [read_table(path, VolumeTable).select("volume", "file") for path in files.volumes]
    volumes = pl.concat(columns) if columns else PictureSources().volumes
    return PictureSources(volumes, files.volume_store, shards.get("windows", MEDGEMMA_WINDOWS), shards["image_size"])


def _evaluation_page(
    files: ReportFiles, result: EvaluationResult, stages: Sequence[str], schema: Schema, sources: PictureSources
) -> str:
    examples = [example for kind in result["examples"].values() for example in kind]
    images = read_images(files.images, sorted({example["image_id"] for example in examples}))
    predictions = _read_predictions(files.predictions, {example["id"] for example in examples})
    by_image = {image["image_id"]: image for image in images} if files.predictions else {}
    pictures = pictures_of_rows(by_image.values(), sources, schema)
    test = islice(read_rows([path for path in files.images if path.stem == "test"], AskedImage), CHANCE_IMAGES)
    return render(
        "evaluate.html",
        title="evaluate",
        up="../",
        there=stages,
        result=result,
        tables=score_sections(result),
        comparison=comparison_tables(result),
        chance=compare_with_chance(result["vqa"], [question for row in test for question in row["questions"] or ()]),
        cards=example_cards(result["examples"], by_image, pictures, predictions, schema),
        made=fingerprint_rows(result),
    )


def _read_predictions(path: Path | None, question_ids: Collection[str]) -> dict[str, PredictionRow]:
    """Id of each of these questions to its answer, from predictions.jsonl of stage evaluate."""
    if path is None:
        return {}
    verify_file(path, path.with_name("metrics.json"))
    with path.open(encoding="utf-8") as file:
        rows: Iterator[PredictionRow] = (json.loads(line) for line in file)
        return {row["id"]: row for row in rows if row["id"] in question_ids}


def _counts(paths: Iterable[Path]) -> dict[str, list[tuple[str, StageMetrics]]]:
    """Stage to the metrics of its jobs, each with its delivery/shard."""
    counts: dict[str, list[tuple[str, StageMetrics]]] = {stage: [] for stage in COUNTED}
    for path in paths:
        metrics: StageMetrics = _read_json(path)
        pattern = Path(STAGES[metrics["stage"]].metrics_pattern).parts
        parts = zip(pattern, path.parts[-len(pattern) :], strict=True)
        name = "/".join(part.removesuffix(".metrics.json") for wildcard, part in parts if "{" in wildcard)
        counts[metrics["stage"]].append((name or "dataset", metrics))
    return counts


def _read_json(path: Path | None) -> Any:
    return read_sealed(path) if path else None


def _charts(training: Path) -> list[Chart]:
    """The learning curves of a training; a checkpoint of an earlier release has no log of its steps."""
    manifest, log_of_steps = training.with_name(MANIFEST), training.parent / LOGS / STEPS
    verify_file(training, manifest)
    lines = []
    if log_of_steps.exists():
        verify_file(log_of_steps, manifest)
        lines = [json.loads(line) for line in log_of_steps.read_text(encoding="utf-8").splitlines()]
    return learning_curves(_read_json(training)["curve"], lines)


def _legibility(row: ImageRow) -> tuple[int, int]:
    """Sort key: images with two or three named structures first, whose labels do not overlap, then longer sentences."""
    caption = grounded_first(row["captions"])[0]
    return -abs(len({entity["class_id"] for entity in caption["entities"]}) - 2), len(caption["text"])


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
