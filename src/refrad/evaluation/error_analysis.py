"""How a model goes wrong where it was asked for places: other classes, the other side, how far off, best and worst."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refrad.anatomy.schema import Schema
from refrad.evaluation.metrics.grounding import Region, overlap
from refrad.evaluation.metrics.intervals import bootstrap
from refrad.evaluation.questions import Entities, EvalQuestion, Key, score

__all__ = ["confusions", "examples", "histogram", "sides"]

BINS = 10
NOTHING = "nothing"


def confusions(asked: Sequence[EvalQuestion], given: Sequence[Entities], schema: Schema) -> list[dict[str, Any]]:
    """Which class (phrase) came in the place of which: one row a pair (asked, given, count, of), the most frequent first.

    `given` is the first class of the answer that was not asked for, or "nothing" where there was none; `of` says how often
    the class was asked for.
    """
    pairs: Counter[tuple[Key, Key]] = Counter()
    total: Counter[Key] = Counter()
    for one, entities in zip(asked, given, strict=True):
        wanted = [key for key, _ in one.targets]
        total.update(wanted)
        said = [key for key, _ in entities]
        others = [key for key in said if key not in wanted]
        for key in wanted:
            if key not in said:
                pairs[key, others[0] if others else 0] += 1

    def name(class_id: Key) -> str:
        if isinstance(class_id, str):
            return class_id
        return schema.by_id[class_id].name if class_id in schema.by_id else NOTHING if class_id == 0 else "no class"

    return [
        {"asked": name(a), "given": name(b), "count": count, "of": total[a]} for (a, b), count in pairs.most_common()
    ]


def sides(
    asked: Sequence[EvalQuestion],
    given: Sequence[Entities],
    visible: Mapping[str, Mapping[int, Region]],
    schema: Schema,
    resamples: int,
) -> dict[str, Any]:
    """How often left and right are confused, of the asked places whose one class has a twin on the other side.

    `named`: the twin's class was given and the asked class was not (phrases have no twins). `placed`: the region of the right
    class overlaps that of the twin in the image (by class, `visible`) more than its own. `rate` is both together, with its
    interval over patients.
    """
    groups: dict[str, list[float]] = {}
    named = placed = total = 0
    for one, entities in zip(asked, given, strict=True):
        first: dict[Key, Region] = {}
        for key, region in entities:
            first.setdefault(key, region)
        for (key, true), classes in zip(one.targets, one.classes, strict=True):
            twin = schema.twin(classes[0]) if len(classes) == 1 and classes[0] in schema.by_id else None
            if twin is None:
                continue
            wanted = {wanted for wanted, _ in one.targets}
            wrong_name = key not in first and twin in first and twin not in wanted
            other = visible.get(one.image_id, {}).get(twin)
            wrong_place = key in first and other is not None and overlap(first[key], other) > overlap(first[key], true)
            total += 1
            named += wrong_name
            placed += wrong_place
            sums = groups.setdefault(one.patient, [0.0, 0.0])
            sums[0] += wrong_name or wrong_place
            sums[1] += 1
    if not total:
        return {"asked": 0}
    totals, counts = zip(*groups.values(), strict=True)
    found = bootstrap(totals, counts, resamples)
    interval = [float(found.low[0]), float(found.high[0])] if len(groups) > 1 else None
    return {
        **{"asked": total, "named": named, "placed": placed, "rate": (named + placed) / total},
        "interval": interval,
    }


def histogram(values: Sequence[float]) -> list[dict[str, Any]]:
    """How many overlaps lie in each tenth; those of exactly 0 are counted apart, first."""
    found = np.asarray(values, np.float64)
    places = np.minimum((found[found > 0] * BINS + 1e-9).astype(int), BINS - 1)
    counts = np.bincount(places, minlength=BINS)
    tenths = [f"{i / BINS:.1f} to {(i + 1) / BINS:.1f}" for i in range(BINS)]
    rows = [("none", int((found == 0).sum())), *zip(tenths, counts.tolist(), strict=True)]
    return [{"overlap": name, "count": count} for name, count in rows]


def examples(asked: Sequence[EvalQuestion], given: Sequence[Entities], count: int) -> dict[str, list[dict[str, Any]]]:
    """The questions answered worst and best by mean IoU, one an image, ties by id.

    Each has id, image_id, iou and, as `true`, what was asked for: key, and box or mask as `region`.
    """
    scored = []
    for one, entities in zip(asked, given, strict=True):
        total = score(one, entities)
        scored.append((total.iou / total.asked, one))

    def first(ordered: Sequence[tuple[float, EvalQuestion]]) -> list[dict[str, Any]]:
        kept: dict[str, dict[str, Any]] = {}
        for value, one in ordered:
            true = [{"key": key, "region": region} for key, region in one.targets]
            kept.setdefault(one.image_id, {"id": one.id, "image_id": one.image_id, "iou": value, "true": true})
        return list(kept.values())[:count]

    best = first(sorted(scored, key=lambda pair: (-pair[0], pair[1].id)))
    shown = {one["id"] for one in best}
    worst = sorted(scored, key=lambda pair: (pair[0], pair[1].id))
    return {"worst": first([pair for pair in worst if pair[1].id not in shown]), "best": best}
