"""How a model goes wrong where it was asked for places: other classes, the other side, how far off, best and worst."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.metrics.grounding import Box, iou
from refrad.metrics.intervals import bootstrap
from refrad.model.evaluation import Asked, Entities, score

__all__ = ["confusions", "examples", "histogram", "sides"]

BINS = 10
NOTHING = "nothing"


def confusions(asked: Sequence[Asked], given: Sequence[Entities], schema: Schema) -> list[dict[str, Any]]:
    """Which class came in the place of which: one row a pair (asked, given, count, of), the most frequent first.

    `given` is the first class of the answer that was not asked for, or "nothing" where there was none; `of` says how often
    the class was asked for.
    """
    pairs: Counter[tuple[int, int]] = Counter()
    total: Counter[int] = Counter()
    for one, entities in zip(asked, given, strict=True):
        wanted = [class_id for class_id, _ in one.targets]
        total.update(wanted)
        said = [class_id for class_id, _ in entities]
        others = [class_id for class_id in said if class_id not in wanted]
        for class_id in wanted:
            if class_id not in said:
                pairs[class_id, others[0] if others else 0] += 1

    def name(class_id: int) -> str:
        return schema.by_id[class_id].name if class_id in schema.by_id else NOTHING if class_id == 0 else "no class"

    return [
        {"asked": name(a), "given": name(b), "count": count, "of": total[a]} for (a, b), count in pairs.most_common()
    ]


def sides(
    asked: Sequence[Asked],
    given: Sequence[Entities],
    visible: Mapping[str, Mapping[int, Box]],
    schema: Schema,
    resamples: int,
) -> dict[str, Any]:
    """How often left and right are confused, of the asked boxes whose class has a twin on the other side.

    `named`: the twin's class was given and the asked class was not. `placed`: the box of the right class overlaps the twin's true
    box in the image more than its own. `rate` is both together, with its interval over patients.
    """
    groups: dict[str, list[float]] = {}
    named = placed = total = 0
    for one, entities in zip(asked, given, strict=True):
        boxes: dict[int, Box] = {}
        for class_id, box in entities:
            boxes.setdefault(class_id, box)
        for class_id, true in one.targets:
            twin = schema.twin(class_id) if class_id in schema.by_id else None
            if twin is None:
                continue
            wanted = {c for c, _ in one.targets}
            wrong_name = class_id not in boxes and twin in boxes and twin not in wanted
            other = visible.get(one.image_id, {}).get(twin)
            wrong_place = (
                class_id in boxes and other is not None and iou(boxes[class_id], other) > iou(boxes[class_id], true)
            )
            total += 1
            named += wrong_name
            placed += wrong_place
            sums = groups.setdefault(one.patient, [0.0, 0.0])
            sums[0] += wrong_name or wrong_place
            sums[1] += 1
    if not total:
        return {"boxes": 0}
    totals, counts = zip(*groups.values(), strict=True)
    found = bootstrap(totals, counts, resamples)
    interval = [float(found.low[0]), float(found.high[0])] if len(groups) > 1 else None
    return {
        **{"boxes": total, "named": named, "placed": placed, "rate": (named + placed) / total},
        "interval": interval,
    }


def histogram(values: Sequence[float]) -> list[dict[str, Any]]:
    """How many overlaps lie in each tenth; those of exactly 0 are counted apart, first."""
    found = np.asarray(values, np.float64)
    places = np.minimum((found[found > 0] * BINS + 1e-9).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    tenths = [f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}" for i in range(BINS)]
    rows = [("none", int((found == 0).sum())), *zip(tenths, counts.tolist(), strict=True)]
    return [{"overlap": name, "boxes": count} for name, count in rows]


def examples(asked: Sequence[Asked], given: Sequence[Entities], count: int) -> dict[str, list[dict[str, Any]]]:
    """The questions answered worst and best by mean IoU, one an image, ties by id.

    Each has id, image_id, iou and, as `true`, class_id and box of what was asked for.
    """
    scored = []
    for one, entities in zip(asked, given, strict=True):
        total = score(one, entities)
        scored.append((total.iou / total.boxes, one))

    def first(ordered: Sequence[tuple[float, Asked]]) -> list[dict[str, Any]]:
        kept: dict[str, dict[str, Any]] = {}
        for value, one in ordered:
            true = [{"class_id": class_id, "box": list(box)} for class_id, box in one.targets]
            kept.setdefault(one.image_id, {"id": one.id, "image_id": one.image_id, "iou": value, "true": true})
        return list(kept.values())[:count]

    best = first(sorted(scored, key=lambda pair: (-pair[0], pair[1].id)))
    shown = {one["id"] for one in best}
    worst = sorted(scored, key=lambda pair: (pair[0], pair[1].id))
    return {"worst": first([pair for pair in worst if pair[1].id not in shown]), "best": best}
