"""Pictures of volumes with implausible labels, cut through the flagged organ."""

from pathlib import Path

import numpy as np
import polars as pl

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import FlagRow, rows_of
from refrad.dicom.volume_store import read_volume
from refrad.reporting.drawing import data_uri, draw_three_views
from refrad.segmentation.labels import load_labels

__all__ = ["flagged_figures"]

UNITS = {"volume": "ml", "pieces": "of it in its largest piece", "sides": "of the pairs", "elsewhere": "mm away"}


def flagged_figures(
    flags: pl.DataFrame,
    volumes: pl.DataFrame,
    masks: pl.DataFrame,
    volume_store: Path,
    mask_store: Path,
    schema: Schema,
    count: int,
) -> list[dict[str, str]]:
    """Three views and a sentence for each of at most `count` flagged volumes; kinds of flags in turn, so that rare ones appear.

    Args:
        flags: FlagTable rows.
        volumes: VolumeTable rows.
        masks: MaskTable rows.
        volume_store: folder of the volumes.
        mask_store: folder of the label volumes.
        schema: the class schema.
        count: figures at most.
    """
    about = volumes.select("volume", "modality", "plane", "spacing_x", "spacing_y", "spacing_z", "file")
    labelled = masks.select("volume", "task", mask="file")
    chosen = (
        flags.sort("volume", "flag", "class_id")
        .unique("volume", keep="first", maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("flag"))
        .sort("turn", "flag")
        .head(count)
        .join(about, on="volume", maintain_order="left")
        .join(labelled, on="volume", maintain_order="left")
    )
    return [_figure(volume, volume_store, mask_store, schema) for volume in rows_of(chosen, _FlaggedVolume)]


class _FlaggedVolume(FlagRow):
    """A flag with the facts of its volume, joined."""

    modality: str
    plane: str
    spacing_x: float
    spacing_y: float
    spacing_z: float
    file: str
    task: str
    mask: str


def _figure(volume: _FlaggedVolume, volume_store: Path, mask_store: Path, schema: Schema) -> dict[str, str]:
    values, _ = read_volume(volume_store / volume["file"])
    classes = schema.native_lut(volume["task"])[load_labels(mask_store / volume["mask"])]
    at = None
    if volume["class_id"]:
        ids = [volume["class_id"], *schema.parts(volume["class_id"])]
        at = [int(np.median(indices)) for indices in np.nonzero(np.isin(classes, ids))]
    spacing = volume["spacing_x"], volume["spacing_y"], volume["spacing_z"]
    views = draw_three_views(values, spacing, volume["modality"], classes, at=at)
    return {
        "picture": data_uri(views),
        "caption": f"{volume['modality']}, {volume['plane']}: {_sentence(volume, schema)}",
    }


def _sentence(volume: _FlaggedVolume, schema: Schema) -> str:
    name = schema.by_id[volume["class_id"]].english if volume["class_id"] else "the whole volume"
    value = ""
    if volume["value"] is not None:
        value = (
            f", {volume['value']:.4g} {UNITS[volume['flag']]} (plausible: {volume['low']:.4g} to {volume['high']:.4g})"
        )
    return f"{name}, flag {volume['flag']}{value}" + ("; quarantined" if volume["action"] == "quarantine" else "")
