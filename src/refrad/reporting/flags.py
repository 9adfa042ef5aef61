"""Pictures of volumes whose labels are not plausible, cut through the organ that a flag is about."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from refrad.anatomy.schema import Schema
from refrad.core.contracts import FlagTable, MaskTable, VolumeTable
from refrad.core.tables import read_table
from refrad.dicom.volume_store import read_volume
from refrad.reporting.drawing import data_uri, draw_three_views

__all__ = ["flagged_figures"]

UNITS = {"volume": "ml", "pieces": "of it in its largest piece", "sides": "of the pairs", "elsewhere": "mm away"}


def flagged_figures(
    flags: Sequence[Path],
    volumes: Sequence[Path],
    masks: Sequence[Path],
    volume_store: Path,
    mask_store: Path,
    schema: Schema,
    count: int,
) -> list[dict[str, str]]:
    """Three views of at most `count` flagged volumes with a sentence each; kinds of flags in turn, so that rare ones are seen."""
    if not (flags and volumes and masks):
        return []
    about = pl.concat([read_table(path, VolumeTable) for path in volumes]).select(
        "volume", "modality", "plane", "spacing_x", "spacing_y", "spacing_z", "file"
    )
    labelled = pl.concat([read_table(path, MaskTable) for path in masks]).select("volume", "task", mask="file")
    chosen = (
        pl.concat([read_table(path, FlagTable) for path in flags])
        .sort("volume", "flag", "class_id")
        .unique("volume", keep="first", maintain_order=True)
        .with_columns(turn=pl.int_range(pl.len()).over("flag"))
        .sort("turn", "flag")
        .head(count)
        .join(about, on="volume", maintain_order="left")
        .join(labelled, on="volume", maintain_order="left")
    )
    return [_figure(one, volume_store, mask_store, schema) for one in chosen.iter_rows(named=True)]


def _figure(one: Mapping[str, Any], volume_store: Path, mask_store: Path, schema: Schema) -> dict[str, str]:
    values, _ = read_volume(volume_store / one["file"])
    labels, _ = read_volume(mask_store / one["mask"])
    classes = schema.native_lut(one["task"])[labels.astype(np.uint8, copy=False)]
    at = None
    if one["class_id"]:
        ids = [one["class_id"], *schema.parts(one["class_id"])]
        at = [int(np.median(place)) for place in np.nonzero(np.isin(classes, ids))]
    spacing = one["spacing_x"], one["spacing_y"], one["spacing_z"]
    views = draw_three_views(values, spacing, one["modality"], classes, at=at)
    return {"picture": data_uri(views), "caption": f"{one['modality']}, {one['plane']}: {_sentence(one, schema)}"}


def _sentence(one: Mapping[str, Any], schema: Schema) -> str:
    name = schema.by_id[one["class_id"]].english if one["class_id"] else "the whole volume"
    value = ""
    if one["value"] is not None:
        value = f", {one['value']:.4g} {UNITS[one['flag']]} (plausible: {one['low']:.4g} to {one['high']:.4g})"
    return f"{name}, flag {one['flag']}{value}" + ("; quarantined" if one["action"] == "quarantine" else "")
