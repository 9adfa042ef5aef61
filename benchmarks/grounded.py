"""Pairs of caption and slice made and written as text: by the tables of structures, against the labels of each slice again.

python benchmarks/grounded.py
"""

import time
from pathlib import Path

import nibabel as nib
import numpy as np

from refrad.anatomy.schema import Schema, load_schema
from refrad.grounding.pairing import GroundableMention, class_matcher, ground_mentions
from refrad.model.box_tokens import detection_text
from refrad.segmentation.structure_finder import OutlierRule, find_structures

RULE = OutlierRule(0.0, 0.0)
REAL = Path("../shared/data/nifti-seg/totalseg/example_seg.nii.gz")
CAPTIONS = 200


def labels_and_spacing() -> tuple[np.ndarray, tuple[float, float]]:
    """A real label volume uint8 [column, row, slice] if it is there, else ellipsoids."""
    if REAL.exists():
        image = nib.load(REAL)
        values = np.asarray(image.dataobj)
        print(f"a real CT, {len(np.unique(values)) - 1} classes, {' x '.join(map(str, values.shape))}")
        return values.astype(np.uint8), tuple(float(z) for z in image.header.get_zooms()[:2])
    print("made-up labels")
    r = np.random.default_rng(0)
    x, y, z = np.ogrid[:128, :128, :100]
    values = np.zeros((128, 128, 100), np.uint8)
    for class_id in range(1, 42):
        cx, cy, cz = r.uniform(0.1, 0.9, 3) * values.shape
        values[((x - cx) / 14) ** 2 + ((y - cy) / 14) ** 2 + ((z - cz) / 30) ** 2 < 1] = class_id
    return values, (3.0, 3.0)


def captions(schema: Schema, classes: list[int]) -> list[tuple[str, list[GroundableMention]]]:
    """Sentences that name one to three of the classes."""
    r = np.random.default_rng(1)
    found = []
    for _ in range(CAPTIONS):
        text, mentions = "Normal", []
        for class_id in r.choice(classes, r.integers(1, 4), replace=False).tolist():
            name = schema.by_id[class_id].english
            text += f" {name},"
            mentions.append(GroundableMention(len(text) - 1 - len(name), len(text) - 1, name, (class_id,)))
        found.append((text, mentions))
    return found


def by_tables(labels: np.ndarray, spacing: tuple[float, float], schema: Schema, told: list, match) -> list[str]:
    """All pairs, the boxes from one pass over the volume."""
    found = find_structures(labels, schema.native_lut("total"), spacing, RULE)
    boxes: dict[int, dict[int, dict[str, int]]] = {}
    for values in zip(*(column.tolist() for column in found.values()), strict=True):
        one = dict(zip(found, values, strict=True))
        boxes.setdefault(one["index"], {})[one["class_id"]] = one
    texts = []
    for visible in boxes.values():
        for text, mentions in told:
            if found := ground_mentions(mentions, visible, match):
                entities = [
                    vars(one) | {key: visible[one.class_id][key] for key in ("x_min", "y_min", "x_max", "y_max")}
                    for one in found
                ]
                texts.append(detection_text(text, entities, *labels.shape[:2], "yxyx"))
    return texts


def by_labels(labels: np.ndarray, told: list) -> list[str]:
    """All pairs, as one writes it first: for each, the classes of the slice, then the box of each that is named."""
    texts = []
    for index in range(labels.shape[2]):
        for text, mentions in told:
            image = labels[:, :, index]
            present = set(np.unique(image).tolist()) - {0}
            entities = []
            for mention in mentions:
                for class_id in set(mention.classes) & present:
                    xs, ys = np.nonzero(image == class_id)
                    box = {"x_min": xs.min(), "y_min": ys.min(), "x_max": xs.max() + 1, "y_max": ys.max() + 1}
                    entities.append({"start": mention.start, "end": mention.end, "class_id": class_id} | box)
            if entities:
                texts.append(detection_text(text, entities, *labels.shape[:2], "yxyx"))
    return texts


def main() -> None:
    """Check that both give the same texts, and print the ratio of their times."""
    schema = load_schema(Path("workflow/anatomy/classes.yaml"))
    labels, spacing = labels_and_spacing()
    told = captions(schema, [int(c) for c in np.unique(labels) if c])
    start = time.process_time()
    fast = by_tables(labels, spacing, schema, told, class_matcher(schema, "strict"))
    middle = time.process_time()
    slow = by_labels(labels, told)
    end = time.process_time()
    if fast != slow:
        raise SystemExit("the two sides differ")
    ours, theirs = ((seconds * 1e6 / (CAPTIONS * labels.shape[2])) for seconds in (middle - start, end - middle))
    print(
        f"{len(fast):,} texts of {CAPTIONS * labels.shape[2]:,} pairs, CPU time a pair: {ours:.0f} us, from labels {theirs:.0f} us: {theirs / ours:.1f}x"
    )


if __name__ == "__main__":
    main()
