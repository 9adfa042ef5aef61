"""Pairs of caption and slice made and written as text: by the tables of structures, against the labels of each slice again.

python benchmarks/grounded.py
"""

import time
from pathlib import Path

import nibabel as nib
import numpy as np

from refrad.anatomy.schema import Schema, load_schema
from refrad.grounding.pairing import GroundableMention, class_matcher, ground_mentions
from refrad.model.box_tokens import TaggedEntity, detection_text
from refrad.segmentation.structure_finder import OutlierRule, find_structures

RULE = OutlierRule(0.0, 0.0)
BOX = ("x_min", "y_min", "x_max", "y_max")
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
    sentences = []
    for _ in range(CAPTIONS):
        text, mentions = "Normal", []
        for class_id in r.choice(classes, r.integers(1, 4), replace=False).tolist():
            name = schema.by_id[class_id].english
            text += f" {name},"
            mentions.append(GroundableMention(len(text) - 1 - len(name), len(text) - 1, name, (class_id,)))
        sentences.append((text, mentions))
    return sentences


def by_tables(labels: np.ndarray, spacing: tuple[float, float], schema: Schema, sentences: list, match) -> list[str]:
    """The texts of all pairs, with the boxes from one pass over the volume."""
    columns = find_structures(labels, schema.native_lut("total"), spacing, RULE)
    structures: dict[int, dict[int, dict[str, int]]] = {}
    for values in zip(*(column.tolist() for column in columns.values()), strict=True):
        structure = dict(zip(columns, values, strict=True))
        structures.setdefault(structure["index"], {})[structure["class_id"]] = structure
    texts = []
    for visible in structures.values():
        for text, mentions in sentences:
            if grounded := ground_mentions(mentions, visible, match):
                entities = [
                    TaggedEntity(
                        entity.start, entity.end, entity.class_id, tuple(visible[entity.class_id][key] for key in BOX)
                    )
                    for entity in grounded
                ]
                texts.append(detection_text(text, entities, *labels.shape[:2], "yxyx"))
    return texts


def by_labels(labels: np.ndarray, sentences: list) -> list[str]:
    """The texts of all pairs as a plain loop makes them: for each, the classes of the slice, then the box of each named one."""
    texts = []
    for index in range(labels.shape[2]):
        for text, mentions in sentences:
            image = labels[:, :, index]
            present = set(np.unique(image).tolist()) - {0}
            entities = []
            for mention in mentions:
                for class_id in set(mention.classes) & present:
                    xs, ys = np.nonzero(image == class_id)
                    box = xs.min(), ys.min(), xs.max() + 1, ys.max() + 1
                    entities.append(TaggedEntity(mention.start, mention.end, class_id, box))
            if entities:
                texts.append(detection_text(text, entities, *labels.shape[:2], "yxyx"))
    return texts


def main() -> None:
    """Check that both give the same texts, and print the ratio of their times."""
    schema = load_schema(Path("workflow/anatomy/classes.yaml"))
    labels, spacing = labels_and_spacing()
    sentences = captions(schema, [int(c) for c in np.unique(labels) if c])
    start = time.process_time()
    from_tables = by_tables(labels, spacing, schema, sentences, class_matcher(schema, "strict"))
    middle = time.process_time()
    from_labels = by_labels(labels, sentences)
    end = time.process_time()
    if from_tables != from_labels:
        raise SystemExit("the two sides differ")
    pairs = CAPTIONS * labels.shape[2]
    tables_us, labels_us = ((seconds * 1e6 / pairs) for seconds in (middle - start, end - middle))
    print(
        f"{len(from_tables):,} texts of {pairs:,} pairs, CPU time a pair: from tables {tables_us:.0f} us,"
        f" from labels {labels_us:.0f} us: {labels_us / tables_us:.1f}x"
    )


if __name__ == "__main__":
    main()
