"""Write the pages: one for each stage, the gallery, and the index of the run."""

import base64
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from refrad.anatomy.schema import load_schema
from refrad.config import ReportOptions
from refrad.core.files import atomic
from refrad.dataset.shard_io import read_source_fingerprints
from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.reporting.evaluation_page import example_cards, tables
from refrad.reporting.flags import flagged_figures
from refrad.reporting.gallery import ImageCard, build_cards, build_dropped_cards, choose_rows, filters_of_cards
from refrad.reporting.overlay import save_overlay
from refrad.reporting.pages import curve, render
from refrad.reporting.run_summary import counts_of, summary_of
from refrad.reporting.sentence_index import sample_sentences
from refrad.reporting.views import volume_figures, volume_sheet
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.stages import STAGES
from refrad.workflow.tally import merge

__all__ = ["run"]

VERSION = 3
OVERLAY = 6  # images in overlay.png
DROPPED = 4  # images of the gallery for each dropped pair in it
WINDOWS = MEDGEMMA_WINDOWS  # where no shard says
SHOWN = 12  # examples on a stage page
FLAGGED = 8  # volumes whose labels are not plausible, on the page of structures
COUNTED = tuple(STAGES)[: list(STAGES).index("evaluate")]  # stages with counts of what they take
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
    """Write all pages under `pages`, index.html last. Of a run that is not complete: the pages of what there is.

    Args:
        metrics: of the shards of all stages that have run.
        images: the shards.
        volumes: tables of stage volumes.
        masks: tables of stage masks.
        schema: the class schema.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
        pages: where the pages go.
        fingerprint: of stage report.
        triplets: tables of stage grounded, for the dropped pairs; with captions and mentions.
        captions: tables of stage captions.
        mentions: tables of stage mentions.
        flags: tables of stage structures, of what is not plausible.
        adaptation: the folder of the adapted vision tower.
        training: training.json of the checkpoint.
        evaluation: metrics.json of stage evaluate.
        predictions: what stage evaluate asked and was answered.
        state: jobs that have failed or wait, as `refrad.commands.status` writes them.
    """
    options = ReportOptions.model_validate(fingerprint.options)
    anatomy = load_schema(schema)
    shards = _shards(metrics)
    merged = {stage: merge(one for _, one in shards[stage]) for stage in COUNTED if shards[stage]}
    rows = choose_rows(images, options.gallery)
    cards = build_cards(rows, anatomy)
    pictured = read_source_fingerprints(images[0])["shards"].options if images else {}
    windows, size = pictured.get("windows", WINDOWS), pictured.get("image_size", 128)
    dropped = build_dropped_cards(
        options.gallery // DROPPED, triplets, captions, mentions, volumes, volume_store, anatomy, windows, size
    )
    result = json.loads(evaluation.read_text(encoding="utf-8")) if evaluation else None
    figures = volume_figures(volumes, masks, volume_store, mask_store, anatomy) if volumes and masks else {}
    flagged = flagged_figures(flags, volumes, masks, volume_store, mask_store, anatomy, FLAGGED)
    extras: dict[str, dict[str, Any]] = {
        "index": {"steps": counts_of(merged, VOLUME_STEPS)},
        "volumes": {
            "figures": figures.get("volumes", []),
            "steps": counts_of(merged, VOLUME_STEPS),
            "sheet": volume_sheet(volumes, volume_store),
        },
        "masks": {"figures": figures.get("masks", [])},
        "structures": {"figures": flagged},
        "grounded": {"cards": cards[:SHOWN]},
        "shards": {"cards": cards[:SHOWN]},
        "mentions": {"samples": sample_sentences(captions, mentions, options.sentences, anatomy)},
        "adapt": {"curve": _loss(adaptation / "training.json") if adaptation else None},
        "train": {"curve": _loss(training) if training else None},
    }
    nothing: dict[str, Any] = {"figures": [], "cards": [], "curve": None, "samples": []} | {"steps": [], "sheet": None}
    there = [*merged, *(["evaluate"] if result else [])]
    for stage in merged:
        values = nothing | extras.get(stage, {})
        text = render(
            "stage.html",
            title=stage,
            up="../",
            there=there,
            metrics=merged[stage],
            shards=shards[stage],
            made_with=_made_with(merged[stage]),
            **values,
        )
        _write(pages / "stages" / f"{stage}.html", text)
    if result:
        examples = example_cards(images, result["examples"], predictions, anatomy) if predictions else {}
        text = render(
            "evaluate.html",
            title="evaluate",
            up="../",
            there=there,
            result=result,
            tables=tables(result),
            cards={"worst": [], "best": []} | examples,
            made_with=_made_with(result),
        )
        _write(pages / "stages" / "evaluate.html", text)
    _write(pages / "gallery.html", _gallery(cards + dropped, windows, there))
    if rows:
        save_overlay(pages / "overlay.png", sorted(rows, key=_telling, reverse=True)[:OVERLAY], anatomy)
    jobs = json.loads(state.read_text(encoding="utf-8")) if state else []
    text = render(
        "index.html",
        title="Run",
        up="",
        there=there,
        result=result,
        overlay=_inlined(pages / "overlay.png") if rows else None,
        **summary_of(shards, merged, bool(result), jobs),
    )
    _write(pages / "index.html", text)
    log.info("%d pages", len(there) + 2)


def _gallery(cards: Sequence[ImageCard], windows: Sequence[Sequence[float]], there: Sequence[str]) -> str:
    return render(
        "gallery.html",
        title="Gallery",
        up="",
        there=there,
        cards=cards,
        filters=filters_of_cards(cards),
        windows=windows,
        classes=sorted({chip.class_id for one in cards for chip in one.chips}),
    )


def _shards(metrics: Iterable[Path]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """Stage to the metrics of its shards, each with its delivery/shard."""
    found: dict[str, list[tuple[str, dict[str, Any]]]] = {stage: [] for stage in COUNTED}
    for path in metrics:
        one = json.loads(path.read_text(encoding="utf-8"))
        parents = path.parent.parts
        # results/<stage>/<delivery>/<shard>/metrics.json, results/train/<name>.metrics.json
        name = "/".join(parents[len(parents) - 1 - parents[::-1].index(one["stage"]) + 1 :]) or path.name.split(".")[0]
        found[one["stage"]].append((name, one))
    return found


def _made_with(metrics: Mapping[str, Any]) -> str:
    return json.dumps(json.loads(metrics["fingerprint"]), indent=2, ensure_ascii=False)


def _loss(training: Path) -> Any:
    points = json.loads(training.read_text(encoding="utf-8"))["curve"]
    lines = [("training", [(one["seconds"], one["loss"]) for one in points])]
    unseen = [(one["seconds"], one["validation_loss"]) for one in points if one["validation_loss"] is not None]
    return curve([*lines, ("validation patients", unseen)] if unseen else lines, "seconds")


def _telling(row: Mapping[str, Any]) -> tuple[int, int]:
    """Images with two or three named structures first, then with the longer sentence: labels of many would hide each other."""
    caption = row["captions"][0]
    return -abs(len({one["class_id"] for one in caption["entities"]}) - 2), len(caption["text"])


def _inlined(picture: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(picture.read_bytes()).decode("ascii")


def _write(path: Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
