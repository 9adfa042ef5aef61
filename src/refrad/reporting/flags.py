"""Pictures of volumes with implausible labels, cut through the flagged organ."""

from pathlib import Path

import numpy as np
import polars as pl

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import FlagRow, rows_of
from refrad.dicom.volume_store import read_volume
from refrad.reporting.gallery import legend_of
from refrad.reporting.views import Views, VolumeFigure, three_views
from refrad.segmentation.labels import load_labels

__all__ = ["flag_sentence", "flagged_figures"]


def flagged_figures(
    flags: pl.DataFrame,
    volumes: pl.DataFrame,
    masks: pl.DataFrame,
    volume_store: Path,
    mask_store: Path,
    schema: Schema,
    count: int,
) -> list[VolumeFigure]:
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
    about = volumes.select("volume", "patient", "modality", "plane", "file")
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

    patient: str
    modality: str
    plane: str
    file: str
    task: str
    mask: str


def _figure(volume: _FlaggedVolume, volume_store: Path, mask_store: Path, schema: Schema) -> VolumeFigure:
    values, affine = read_volume(volume_store / volume["file"])
    classes = schema.native_lut(volume["task"])[load_labels(mask_store / volume["mask"])]
    at = None
    if volume["class_id"]:
        ids = [volume["class_id"], *schema.parts(volume["class_id"])]
        at = [int(np.median(indices)) for indices in np.nonzero(np.isin(classes, ids))]
    views = Views(values, affine, volume["modality"], classes, schema, at)
    kind = f"{volume['modality']}, {volume['plane']}"
    caption = f"{kind}: {flag_sentence(volume, schema)} Volume {volume['volume']}, patient {volume['patient']}."
    return VolumeFigure(three_views(views), caption, legend_of(views.visible_classes(), schema))


def flag_sentence(flag: FlagRow, schema: Schema) -> str:
    """A flag in a plain sentence with its value and the plausible values, such as "The spleen lies 202 mm too low: ...".

    Args:
        flag: FlagTable row.
        schema: the class schema.
    """
    organ = schema.by_id[flag["class_id"]].english if flag["class_id"] else "whole volume"
    value, low, high = flag["value"] or 0.0, flag["low"] or 0.0, flag["high"] or 0.0
    size, height = "small" if value < low else "large", "low" if value < 0 else "high"
    sentences = {
        "empty": "No class of the schema is in the volume.",
        "volume": f"The {organ} has {_ml(value)} ml, which is too {size}: {_ml(low)} to {_ml(high)} ml are plausible.",
        "pieces": f"The {organ} is in pieces: the largest holds {value:.0%} of it, and at least {low:.0%} are plausible.",
        "sides": f"Left and right are probably swapped: of {value:.0%} of the pairs of organs the left one lies to the right.",
        "elsewhere": f"The {organ} lies {abs(value):,.0f} mm too {height} for the other organs of the image;"
        f" up to {high:,.0f} mm are plausible.",
    }
    if flag["flag"] == "elsewhere" and flag["value"] is None:
        sentences["elsewhere"] = f"The {organ} does not belong to the body part that the header names."
    return sentences[flag["flag"]] + (" The volume is quarantined." if flag["action"] == "quarantine" else "")


def _ml(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
