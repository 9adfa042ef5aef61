"""Pictures of volumes for the pages: three views of some, and a contact sheet of many."""

from pathlib import Path

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.dicom.slices import image_at
from refrad.dicom.volume_store import read_volume
from refrad.reporting.drawing import data_uri, draw_contact_sheet, draw_three_views, window_grey
from refrad.segmentation.labels import load_labels

__all__ = ["volume_figures", "volume_sheet"]

VIEWED = 4  # volumes on a stage page
SHEET = 24  # volumes on the contact sheet


def volume_figures(
    volumes: pl.DataFrame, masks: pl.DataFrame, volume_store: Path, mask_store: Path, schema: Schema
) -> dict[str, list[dict[str, str]]]:
    """Middle slices of one volume of each modality and plane, without and with their classes."""
    labelled = masks.select("volume", "task", mask="file").drop_nulls("mask")
    chosen = (
        volumes.join(labelled, on="volume")
        .sort("volume")
        .unique(["modality", "plane"], keep="first", maintain_order=True)
        .head(VIEWED)
    )
    figures: dict[str, list[dict[str, str]]] = {"volumes": [], "masks": []}
    for volume in chosen.iter_rows(named=True):
        values, _ = read_volume(volume_store / volume["file"])
        classes = schema.native_lut(volume["task"])[load_labels(mask_store / volume["mask"])]
        spacing = volume["spacing_x"], volume["spacing_y"], volume["spacing_z"]
        caption = f"{volume['modality']}, {volume['plane']}, {volume['columns']} x {volume['rows']} x {volume['slices']}, {spacing[2]:.1f} mm between slices"
        figures["volumes"].append(
            {"picture": data_uri(draw_three_views(values, spacing, volume["modality"])), "caption": caption}
        )
        figures["masks"].append(
            {"picture": data_uri(draw_three_views(values, spacing, volume["modality"], classes)), "caption": caption}
        )
    return figures


def volume_sheet(volumes: pl.DataFrame, store: Path) -> dict[str, str] | None:
    """Middle slices of some volumes: modalities, planes and body parts in turn, so that rare ones are seen."""
    kinds = ["modality", "plane", "body_part"]
    accepted = volumes.filter(pl.col("file").is_not_null())
    if accepted.is_empty():
        return None
    accepted = accepted.sort("volume").with_columns(turn=pl.int_range(pl.len()).over(kinds))
    chosen_volumes = accepted.sort("turn", *kinds, "volume").head(SHEET)
    slices = []
    for volume in chosen_volumes.iter_rows(named=True):
        values, _ = read_volume(store / volume["file"])
        middle = window_grey(image_at(values, values.shape[2] // 2), volume["modality"])
        slices.append((middle, volume["columns"] * volume["spacing_x"] / (volume["rows"] * volume["spacing_y"])))
    caption = f"{len(chosen_volumes)} of {len(accepted)} volumes, as the scanner stored them: rows down, columns to the right."
    return {"picture": data_uri(draw_contact_sheet(slices)), "caption": caption}
