"""Structures of a label volume on disk: one pass over runs, compared with a naive program.

    python benchmarks/structures.py [LABELS.nii.gz]

The naive program reads the volume as float32, maps the labels of each slice with np.vectorize, finds the connected components of
one class after the other, and writes one JSON file. Both programs read the same file and write their structures; the benchmark
stops if these differ. Without a file: a synthetic volume of 512 x 512 x 96 with the label count of a real one.
"""

import json
import sys
import tempfile
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import polars as pl
from scipy import ndimage

from refrad.anatomy.schema import load_schema
from refrad.segmentation.labels import load_labels, save_labels
from refrad.segmentation.structure_finder import OutlierRule, find_structures

RULE = OutlierRule(30.0, 0.2)
SPACING = (0.8, 0.8)
SCHEMA = Path(__file__).parents[1] / "workflow" / "anatomy" / "classes.yaml"


def synthetic_labels(side: int = 512, slices: int = 96, classes: int = 60) -> np.ndarray:
    """Label volume uint8 [column, row, slice] with ellipsoids of many classes."""
    r = np.random.default_rng(0)
    x, y, z = np.ogrid[:side, :side, :slices]
    labels = np.zeros((side, side, slices), np.uint8, order="F")
    for class_id in range(1, classes + 1):
        cx, cy, cz = r.uniform(0.1, 0.9, 3) * labels.shape
        rx, ry, rz = r.uniform(10, 60), r.uniform(10, 60), r.uniform(4, slices / 3)
        labels[((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2 < 1] = class_id
    return labels


def find_naively(path: Path, out: Path, lut: np.ndarray) -> dict[str, list[int]]:
    """Slice and class to box, area and number of components, slice by slice and class by class."""
    labels = nib.load(path).get_fdata(dtype=np.float32)
    to_class = np.vectorize(lambda value: int(lut[int(value)]))
    structures: dict[str, list[int]] = {}
    for index in range(labels.shape[2]):
        classes = to_class(labels[:, :, index])
        for class_id in np.unique(classes):
            if class_id == 0:
                continue
            components, _ = ndimage.label(classes == class_id, np.ones((3, 3)))
            areas = np.bincount(components.ravel())[1:]
            is_large = (areas * SPACING[0] * SPACING[1] >= RULE.minimum_area_mm2) & (
                areas >= RULE.minimum_share * areas.max()
            )
            large_components = np.flatnonzero(is_large) + 1
            if len(large_components):
                xs, ys = np.nonzero(np.isin(components, large_components))
                box = [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]
                structures[f"{index}/{class_id}"] = [*box, len(xs), len(large_components)]
    out.write_text(json.dumps(structures))
    return structures


def find_by_runs(path: Path, out: Path, lut: np.ndarray) -> pl.DataFrame:
    """The same from runs, as in stage structures."""
    frame = pl.DataFrame(find_structures(load_labels(path), lut, SPACING, RULE))
    frame.write_parquet(out, compression="zstd")
    return frame


def main() -> None:
    """Check that both agree, and print the ratio of their times."""
    lut = load_schema(SCHEMA).native_lut("total")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / "labels.nii.gz"
        if len(sys.argv) < 2:
            save_labels(path, synthetic_labels(), np.eye(4))
        find_by_runs(path, Path(folder) / "warm.parquet", lut)
        times = []
        for _ in range(3):
            start = time.process_time()
            ours = find_by_runs(path, Path(folder) / "ours.parquet", lut)
            times.append(time.process_time() - start)
        start = time.process_time()
        naive = find_naively(path, Path(folder) / "naive.json", lut)
        slow, fast = time.process_time() - start, min(times)
        columns = ("x_min", "y_min", "x_max", "y_max", "area", "components")
        by_runs = {f"{row['index']}/{row['class_id']}": [row[name] for name in columns] for row in ours.to_dicts()}
        if by_runs != naive:
            raise SystemExit("the structures of the two programs differ")
        shape = nib.load(path).shape
        print(f"{shape[0]} x {shape[1]} x {shape[2]}, {len(naive)} structures, seconds of one CPU core, files included")
        print(f"naive {slow:.2f} s, ours {fast:.3f} s ({1000 * fast / shape[2]:.2f} ms a slice): {slow / fast:.0f}x")


if __name__ == "__main__":
    main()
