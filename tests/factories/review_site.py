"""A site with a small dataset, its volumes and label volumes, for the pages of `refrad review`."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from refrad.core.contracts import MaskTable, VolumeTable
from refrad.core.tables import frame_of, write_table
from refrad.dicom.volume_store import store_volume
from refrad.segmentation.labels import save_labels
from refrad.workflow.fingerprint import Fingerprint

from .dataset import describe_dataset, write_shards
from .images import SIDE, image_row

ROOT = Path(__file__).resolve().parents[2]
SLICES = 6
# The axes of an array [column, row, slice] in RAS+ mm: columns run to the patient's left, rows to the back, slices to the head.
AXIAL = np.diag([-1.0, -1.0, 5.0, 1.0])
# Columns to the left, rows to the feet, with 2 mm between rows.
CORONAL = np.array([[-1.0, 0, 0, 0], [0, 0, -5.0, 0], [0, -2.0, 0, 0], [0, 0, 0, 1.0]])
HOSTILE = "Liver <script>document.title='stolen'</script> & <img src=x onerror=alert(0)> and spleen."


def review_rows(count: int = 30) -> list[dict[str, Any]]:
    """Rows of volumes "axial" (3 of 4) and "coronal", whose entries the store has, and "gone", of which the store has none."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        row = image_row(number, "train" if number % 3 else "test", rng)
        volume = "gone" if number % 8 == 7 else "coronal" if number % 4 == 3 else "axial"
        row |= {"volume": volume, "index": number % SLICES, "plane": "coronal" if volume == "coronal" else "axial"}
        row |= {"spacing_y": 2.0 if volume == "coronal" else 1.0}
        if volume == "coronal":
            row["edges"] = {"left": "R", "right": "L", "top": "H", "bottom": "F"}
        rows.append(row)
    caption = rows[1]["captions"][0]
    spleen = HOSTILE.index("spleen")
    caption["text"] = HOSTILE
    caption["entities"][1] |= {"start": spleen, "end": spleen + len("spleen")}
    rows[2]["captions"][0] |= {"text": "Milz und Leber unauffällig.", "language": "de", "tie": "explicit"}
    return rows


def write_review_site(folder: Path, rows: Sequence[dict[str, Any]] | None = None) -> Path:
    """A folder with config.yaml and results in which `refrad review config.yaml` runs."""
    shutil.copy(ROOT / "config.yaml", folder)
    (folder / "workflow").symlink_to(ROOT / "workflow")
    stage = Fingerprint("shards", 1, {}, {})
    rows = review_rows() if rows is None else rows
    dataset = folder / "results" / "shards"
    describe_dataset(dataset, write_shards(dataset, {"demo/0": rows}))
    volumes, masks = [], []
    for name, affine in (("axial", AXIAL), ("coronal", CORONAL), ("gone", None)):
        labels = np.zeros((SIDE, SIDE, SLICES), np.uint8)
        labels[5:25, 8:28, 1:] = 5
        voxels = np.where(labels == 5, np.int16(120), np.int16(-900)).astype(np.int16)
        digest, file = (
            store_volume(voxels, affine, folder / "stores" / "volumes") if affine is not None else ("d", "g/g")
        )
        mask = f"{name}.nii.gz"
        volumes.append(volume_row(name, digest, file))
        masks.append(mask_row(name, mask))
        if affine is not None:
            masks[-1]["digest"], _ = save_labels(folder / "stores" / "masks" / mask, labels, affine)
    tables = folder / "results"
    write_table(
        tables / "volumes" / "demo" / "0" / "volumes.parquet", frame_of(volumes, VolumeTable), VolumeTable, stage
    )
    write_table(tables / "masks" / "demo" / "0" / "masks.parquet", frame_of(masks, MaskTable), MaskTable, stage)
    return folder


def volume_row(name: str, digest: str, file: str) -> dict[str, Any]:
    """A VolumeTable row of a CT."""
    facts = {"volume": name, "series": "r", "study": "s", "patient": "p", "split": "train", "modality": "CT"}
    facts |= {"columns": SIDE, "rows": SIDE, "slices": SLICES, "plane": "axial", "digest": digest, "file": file}
    return facts | {"spacing_x": 1.0, "spacing_y": 1.0, "spacing_z": 5.0, "tilt": 0.0}


def mask_row(name: str, file: str) -> dict[str, Any]:
    """A MaskTable row."""
    return {"volume": name, "task": "total", "segmenter": "precomputed", "labels": 1, "digest": "d", "file": file}
