"""Pictures of volumes for the pages: three views of some, and a contact sheet of many."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.tables import read_table
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.reporting.drawing import data_uri, draw_contact_sheet, draw_three_views, window_grey
from refrad.segmentation.labels import load_labels

__all__ = ["volume_figures", "volume_sheet"]

VIEWED = 4  # volumes on a stage page
SHEET = 24  # volumes on the contact sheet


def volume_figures(
    volumes: Sequence[Path], masks: Sequence[Path], volume_store: Path, mask_store: Path, schema: Schema
) -> dict[str, list[dict[str, str]]]:
    """Middle slices of one volume of each modality and plane, without and with their classes."""
    about = pl.concat([read_table(path, VolumeTable) for path in volumes])
    labelled = (
        pl.concat([read_table(path, MaskTable) for path in masks])
        .select("volume", "task", mask="file")
        .drop_nulls("mask")
    )
    chosen = (
        about.join(labelled, on="volume")
        .sort("volume")
        .unique(["modality", "plane"], keep="first", maintain_order=True)
        .head(VIEWED)
    )
    found: dict[str, list[dict[str, str]]] = {"volumes": [], "masks": []}
    for one in chosen.iter_rows(named=True):
        values, _ = read_volume(volume_store / one["file"])
        classes = schema.native_lut(one["task"])[load_labels(mask_store / one["mask"])]
        spacing = one["spacing_x"], one["spacing_y"], one["spacing_z"]
        caption = f"{one['modality']}, {one['plane']}, {one['columns']} x {one['rows']} x {one['slices']}, {spacing[2]:.1f} mm between slices"
        found["volumes"].append(
            {"picture": data_uri(draw_three_views(values, spacing, one["modality"])), "caption": caption}
        )
        found["masks"].append(
            {"picture": data_uri(draw_three_views(values, spacing, one["modality"], classes)), "caption": caption}
        )
    return found


def volume_sheet(volumes: Sequence[Path], store: Path) -> dict[str, str] | None:
    """Middle slices of some volumes: modalities, planes and body parts in turn, so that rare ones are seen."""
    kinds = ["modality", "plane", "body_part"]
    tables = [read_table(path, VolumeTable).filter(pl.col("file").is_not_null()) for path in volumes]
    if sum(map(len, tables)) == 0:
        return None
    accepted = pl.concat(tables).sort("volume").with_columns(turn=pl.int_range(pl.len()).over(kinds))
    shown = accepted.sort("turn", *kinds, "volume").head(SHEET)
    slices = []
    for one in shown.iter_rows(named=True):
        values, _ = read_volume(store / one["file"])
        middle = window_grey(image_at(values, values.shape[2] // 2), one["modality"])
        slices.append((middle, one["columns"] * one["spacing_x"] / (one["rows"] * one["spacing_y"])))
    caption = f"{len(shown)} of {len(accepted)} volumes, as the scanner stored them: rows down, columns to the right."
    return {"picture": data_uri(draw_contact_sheet(slices)), "caption": caption}
