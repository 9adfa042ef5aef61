"""Write the pages: one for each stage, the gallery, and the index of the run."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import polars as pl

from refrad.anatomy.schema import Schema, load_schema
from refrad.config import ReportOptions
from refrad.core.contracts import CaptionTable, FlagTable, MaskTable, MentionTable, Table, TripletTable, VolumeTable
from refrad.core.files import atomic
from refrad.core.tables import read_table
from refrad.dataset.shard_io import read_source_fingerprints
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.reporting.drawing import data_uri
from refrad.reporting.evaluation_page import example_cards, score_tables
from refrad.reporting.flags import flagged_figures
from refrad.reporting.gallery import DroppedPair, ImageCard, build_cards, build_dropped_cards, choose_rows
from refrad.reporting.overlay import save_overlay
from refrad.reporting.pages import (
    StageExtras,
    loss_curve,
    pretty_fingerprint,
    render,
    render_gallery,
    render_stage,
)
from refrad.reporting.run_summary import counts_of, summary_of
from refrad.reporting.sentence_index import sample_sentences
from refrad.reporting.views import volume_figures, volume_sheet
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.stages import STAGES
from refrad.workflow.tally import StageMetrics, merge

__all__ = ["run"]

VERSION = 3
OVERLAY = 6  # images in overlay.png
DROPPED = 4  # images of the gallery for each dropped pair in it
WINDOWS = MEDGEMMA_WINDOWS  # without shards
SHOWN = 12  # examples on a stage page
FLAGGED = 8  # volumes with implausible labels on the page of structures
COUNTED = tuple(STAGES)[: list(STAGES).index("evaluate")]  # stages that count their input
# On the pages of index and volumes
VOLUME_STEPS = (
    ("files of the deliveries", "index", "taken"),
    ("files with usable images", "index", "used"),
    ("images (slices, frames)", "index", "images"),
    ("series", "index", "series"),
    ("stacks of images in them", "index", "volumes"),
    ("volumes", "volumes", "used"),
    ("slices of these", "volumes", "slices"),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Inputs:
    """Files of the run that the pages show; the names are the flags of the command."""

    images: Sequence[Path]
    volumes: Sequence[Path]
    masks: Sequence[Path]
    triplets: Sequence[Path]
    captions: Sequence[Path]
    mentions: Sequence[Path]
    flags: Sequence[Path]
    adaptation: Path | None
    training: Path | None
    volume_store: Path
    mask_store: Path


def run(
    *,
    metrics: list[Path],
    images: list[Path],
    volumes: list[Path],
    masks: list[Path],
    schema: Path,
    volume_store: Path,
    mask_store: Path,
    pages: Path,
    fingerprint: Fingerprint,
    triplets: list[Path] = [],  # noqa: B006
    captions: list[Path] = [],  # noqa: B006
    mentions: list[Path] = [],  # noqa: B006
    flags: list[Path] = [],  # noqa: B006
    adaptation: Path | None = None,
    training: Path | None = None,
    evaluation: Path | None = None,
    predictions: Path | None = None,
    state: Path | None = None,
) -> None:
    """Write all pages under `pages`, index.html last. An unfinished run has the pages of its finished stages.

    Args:
        metrics: of the shards of all stages that have run.
        images: the shards.
        volumes: tables of stage volumes.
        masks: tables of stage masks.
        schema: the class schema.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
        pages: folder of the pages.
        fingerprint: of stage report.
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
    options = ReportOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    inputs = _Inputs(
        images, volumes, masks, triplets, captions, mentions, flags, adaptation, training, volume_store, mask_store
    )
    shards = _shards(metrics)
    merged = {stage: merge(counts for _, counts in jobs) for stage, jobs in shards.items() if jobs}
    result = json.loads(evaluation.read_text(encoding="utf-8")) if evaluation else None
    jobs = json.loads(state.read_text(encoding="utf-8")) if state else []
    stages = [*merged, *(["evaluate"] if result else [])]
    rows = choose_rows(images, options.gallery)
    cards = build_cards(rows, anatomy)
    extras = _extras(inputs, merged, cards, options, anatomy)
    for stage, total in merged.items():
        text = render_stage(stage, total, shards[stage], extras.get(stage, StageExtras()), stages)
        _write(pages / "stages" / f"{stage}.html", text)
    if result:
        examples = example_cards(images, result["examples"], predictions, anatomy) if predictions else {}
        _write(pages / "stages" / "evaluate.html", _evaluation_page(result, examples, stages))
    shard_options = read_source_fingerprints(images[0])["shards"].options if images else {}
    windows, size = shard_options.get("windows", WINDOWS), shard_options.get("image_size", 128)
    dropped = build_dropped_cards(_dropped_pairs(inputs, options.gallery // DROPPED), anatomy, windows, size)
    _write(pages / "gallery.html", render_gallery(cards + dropped, windows, stages))
    overlay = pages / "overlay.png"
    if rows:
        save_overlay(overlay, sorted(rows, key=_legibility, reverse=True)[:OVERLAY], anatomy)
    text = render(
        "index.html",
        title="Run",
        up="",
        there=stages,
        result=result,
        overlay=data_uri(overlay.read_bytes()) if rows else None,
        **summary_of(shards, merged, bool(result), jobs),
    )
    _write(pages / "index.html", text)
    log.info("%d pages", len(stages) + 2)


def _extras(
    inputs: _Inputs,
    merged: Mapping[str, StageMetrics],
    cards: Sequence[ImageCard],
    options: ReportOptions,
    schema: Schema,
) -> dict[str, StageExtras]:
    """Stage to the pictures, tables and curves of its page."""
    stores = inputs.volume_store, inputs.mask_store
    figures: dict[str, list[dict[str, str]]] = {"volumes": [], "masks": [], "structures": []}
    volumes = _concat(inputs.volumes, VolumeTable) if inputs.volumes else None
    if volumes is not None and inputs.masks:
        masks = _concat(inputs.masks, MaskTable)
        figures |= volume_figures(volumes, masks, *stores, schema)
        if inputs.flags:
            flags = _concat(inputs.flags, FlagTable)
            figures["structures"] = flagged_figures(flags, volumes, masks, *stores, schema, FLAGGED)
    sheet = volume_sheet(volumes, inputs.volume_store) if volumes is not None else None
    steps = counts_of(merged, VOLUME_STEPS)
    return {
        "index": StageExtras(steps=steps),
        "volumes": StageExtras(figures=figures["volumes"], steps=steps, sheet=sheet),
        "masks": StageExtras(figures=figures["masks"]),
        "structures": StageExtras(figures=figures["structures"]),
        "grounded": StageExtras(cards=cards[:SHOWN]),
        "shards": StageExtras(cards=cards[:SHOWN]),
        "mentions": StageExtras(samples=sample_sentences(inputs.captions, inputs.mentions, options.sentences, schema)),
        "adapt": StageExtras(curve=_loss(inputs.adaptation / "training.json") if inputs.adaptation else None),
        "train": StageExtras(curve=_loss(inputs.training) if inputs.training else None),
    }


def _dropped_pairs(inputs: _Inputs, count: int) -> Iterator[DroppedPair]:
    """At most `count` pairs that stage grounded dropped, with their slices; the same ones every time."""
    if not inputs.triplets:
        return
    reasons = [read_table(path, TripletTable).filter(pl.col("reason").is_not_null()) for path in inputs.triplets]
    pairs = pl.concat(reasons).sort("triplet").head(count)
    of_pairs = {name: pl.col(name).is_in(pairs[name].to_list()) for name in ("caption", "volume")}
    captions = {row["caption"]: row for row in _rows(inputs.captions, CaptionTable, of_pairs["caption"])}
    volumes = {row["volume"]: row for row in _rows(inputs.volumes, VolumeTable, of_pairs["volume"])}
    mentions: dict[str, list[dict[str, Any]]] = {name: [] for name in captions}
    for row in _rows(inputs.mentions, MentionTable, of_pairs["caption"] & (pl.col("assertion") != "absent")):
        mentions[row["caption"]].append(row)
    for pair in pairs.iter_rows(named=True):
        volume, caption = volumes[pair["volume"]], captions[pair["caption"]]
        nifti: Any = nib.load(inputs.volume_store / volume["file"])  # type: ignore[attr-defined]
        image = np.asarray(nifti.dataobj[:, :, pair["index"]], np.int16).T
        yield DroppedPair(pair["reason"], caption, mentions[pair["caption"]], volume, image)


def _concat(paths: Iterable[Path], contract: type[Table]) -> pl.DataFrame:
    return pl.concat([read_table(path, contract) for path in paths])


def _rows(paths: Iterable[Path], contract: type[Table], among: pl.Expr) -> Iterator[dict[str, Any]]:
    """The rows of some tables for which `among` holds; one table in memory at a time."""
    return (row for path in paths for row in read_table(path, contract).filter(among).iter_rows(named=True))


def _evaluation_page(
    result: Mapping[str, Any], examples: Mapping[str, Sequence[ImageCard]], stages: Sequence[str]
) -> str:
    return render(
        "evaluate.html",
        title="evaluate",
        up="../",
        there=stages,
        result=result,
        tables=score_tables(result),
        cards={"worst": [], "best": []} | dict(examples),
        made_with=pretty_fingerprint(result),
    )


def _shards(metrics: Iterable[Path]) -> dict[str, list[tuple[str, StageMetrics]]]:
    """Stage to the metrics of its jobs, each with its delivery/shard."""
    shards: dict[str, list[tuple[str, StageMetrics]]] = {stage: [] for stage in COUNTED}
    for path in metrics:
        counts: StageMetrics = json.loads(path.read_text(encoding="utf-8"))
        parents, stage = path.parent.parts, counts["stage"]
        # results/<stage>/<delivery>/<shard>/metrics.json, results/train/<name>.metrics.json
        name = "/".join(parents[len(parents) - 1 - parents[::-1].index(stage) + 1 :]) or path.name.split(".")[0]
        shards[stage].append((name, counts))
    return shards


def _loss(training: Path) -> Any:
    return loss_curve(json.loads(training.read_text(encoding="utf-8"))["curve"])


def _legibility(row: Mapping[str, Any]) -> tuple[int, int]:
    """Sort key: images with two or three named structures first, whose labels do not overlap, then longer sentences."""
    caption = row["captions"][0]
    return -abs(len({entity["class_id"] for entity in caption["entities"]}) - 2), len(caption["text"])


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
