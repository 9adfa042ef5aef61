"""Bootstrap, G-IoU and CIDEr over whole data sets, against loops as one writes them first; CPU time and memory of all scores.

python benchmarks/metrics.py

The loops do a tenth of the work; their times are times ten. CPU time and memory of all scores, from two files to their intervals, are
those of half of 100,000 questions, times two.
"""

import math
import random
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from refrad.evaluation.metrics.cider import cider
from refrad.evaluation.metrics.grounding import g_ious
from refrad.evaluation.metrics.intervals import bootstrap
from refrad.evaluation.metrics.json_lines import write_objects
from refrad.evaluation.metrics.records import PredictionRecord, TruthRecord, read_records
from refrad.evaluation.metrics.scoring import score_items
from refrad.evaluation.metrics.summary import summarise

SAMPLES, METRICS, RESAMPLES = 2_000, 8, 10_000
IMAGES, ENTITIES, CLASSES = 10_000, 5, 12
SHARE = 10
CAPTIONS, ROWS, GROUPS = 20_000, 50_000, 5_000
ENGLISH = "the liver kidney spleen lung left right unremarkable cyst with effusion enlarged lesion mass vessel 12 mm 1.2 cm no"
GERMAN = "die Leber Niere Milz Lunge links rechts unauffällig Zyste mit Erguss vergrößert Läsion Gefäß 3,4 cm kein"
NAMES = ("liver", "spleen", "left kidney", "right kidney", "pancreas", "Leber", "Milz", "linke Niere")


def timed(function: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a function, and its CPU seconds."""
    start = time.process_time()
    result = function()
    return result, time.process_time() - start


def naive_bootstrap(values: np.ndarray, resamples: int) -> np.ndarray:
    """Percentile bounds [2, metrics], one resample and metric after the other."""
    rng = np.random.default_rng(0)
    means = [
        [values[:, metric][rng.integers(0, len(values), len(values))].mean() for metric in range(values.shape[1])]
        for _ in range(resamples)
    ]
    return np.quantile(means, [0.025, 0.975], axis=0)


def naive_iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """IoU of two boxes x_min, y_min, x_max, y_max."""
    width, height = max(min(a[2], b[2]) - max(a[0], b[0]), 0.0), max(min(a[3], b[3]) - max(a[1], b[1]), 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if union > 0 else 0.0


def naive_g_iou(predicted: list, true: list) -> float:
    """G-IoU of one image: look for the most alike pair among what is left, of equal ones the most overlapping, again and again."""
    left, right, total = list(predicted), list(true), 0.0

    def likeness(pair: tuple) -> tuple[float, float]:
        return float(pair[0][0] == pair[1][0]), naive_iou(pair[0][1], pair[1][1])

    while left and right:
        p, t = max(((p, t) for p in left for t in right), key=likeness)
        total += float(p[0] == t[0]) * naive_iou(p[1], t[1])
        left.remove(p)
        right.remove(t)
    return total / max(len(predicted), len(true))


def images(seed: int) -> list[list]:
    """Entities of many images: classes and boxes at random."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, CLASSES, (IMAGES, ENTITIES)).tolist()
    corners = np.sort(rng.random((IMAGES, ENTITIES, 2, 2)), axis=2).reshape(IMAGES, ENTITIES, 4).tolist()
    return [list(zip(ids, map(tuple, boxes), strict=True)) for ids, boxes in zip(classes, corners, strict=True)]


def texts(count: int, seed: int) -> list[tuple[str, str]]:
    """Answers and true answers of 8 to 25 words, of which an answer has most in common with the true one."""
    rng, vocabulary = random.Random(seed), f"{ENGLISH} {GERMAN}".split()
    true = [[rng.choice(vocabulary) for _ in range(rng.randint(8, 25))] for _ in range(count)]
    return [
        (" ".join(rng.choice(vocabulary) if rng.random() < 0.3 else word for word in words), " ".join(words))
        for words in true
    ]


def naive_cider(pairs: list[tuple[str, str]]) -> list[float]:
    """CIDEr-D of each answer, over words between blanks, by counters of n-grams."""

    def grams(text: str) -> list[Counter]:
        words = text.split()
        return [Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1)) for n in range(1, 5)]

    counted = [(grams(answer), grams(true)) for answer, true in pairs]
    documents = [Counter(gram for _, true in counted for gram in true[n]) for n in range(4)]
    scores = []
    for answer, true in counted:
        gap, total = answer[1].total() - true[1].total(), 0.0
        for n in range(4):
            ours, theirs = (
                {
                    gram: count * (math.log(len(pairs)) - math.log(max(documents[n][gram], 1)))
                    for gram, count in side[n].items()
                }
                for side in (answer, true)
            )
            norm = math.sqrt(sum(w * w for w in ours.values()) * sum(w * w for w in theirs.values()))
            shared = sum(min(weight, theirs.get(gram, 0.0)) * theirs.get(gram, 0.0) for gram, weight in ours.items())
            total += shared / norm if norm else 0.0
        scores.append(10 * math.exp(-gap * gap / 72) * total / 4)
    return scores


def rows(count: int) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Rows of truth and predictions: open and closed questions, captions, grounded captions and regions."""
    rng = random.Random(5)

    def box() -> list[int]:
        x, y = rng.randint(0, 400), rng.randint(0, 400)
        return [x, y, x + rng.randint(9, 110), y + rng.randint(9, 110)]

    for number, (answer, true) in enumerate(texts(count, 4)):
        row = {
            "id": f"item-{number}",
            "group": f"patient-{rng.randrange(GROUPS)}",
            "language": rng.choice(["de", "en"]),
        }
        row["dataset"], task = (
            rng.choice(["internal", "slake"]),
            rng.choice(["open", "closed", "caption", "detect", "locate"]),
        )
        names = rng.sample(NAMES, 1 if task == "locate" else 3)
        regions = [[{"text": name, "box": box()} for name in names] for _ in range(2)]
        if task in ("open", "closed"):
            row |= {"task": "vqa", "kind": task, "answer": rng.choice(["yes", "no"]) if task == "closed" else true}
            answer = rng.choice(["yes", "No.", "No, there is none."]) if task == "closed" else answer
        else:
            row |= {"task": task, "answer": true} | (
                {"size": [512, 512], "entities": regions[0]} if task != "caption" else {}
            )
        entities = {"entities": regions[1]} if task in ("detect", "locate") else {}
        yield row, {"id": row["id"], "answer": answer, **entities}


def measured_run() -> None:
    """Read, score and summarise the rows of two files; print CPU time and memory for 100,000 lines of each."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name) for name in ("truth.jsonl", "predictions.jsonl")]
        for path, side in zip(paths, zip(*rows(ROWS), strict=True), strict=True):
            write_objects(path, side)

        def run() -> int:
            truth = read_records(paths[0], TruthRecord)
            items, _ = score_items(truth, read_records(paths[1], PredictionRecord, truth))
            return len(items) if summarise(items, RESAMPLES) else 0

        scores, seconds = timed(run)
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    per = 100_000 / ROWS
    print(
        f"{ROWS} questions, {scores} scores, {RESAMPLES} resamples: {seconds:.1f} s, {memory:.0f} MB more than the program;"
    )
    print(f"  {per * seconds:.0f} s and at most {per * memory:.0f} MB for 100,000 questions")


def main() -> None:
    """Check that both sides agree, and print times and ratios."""
    measured_run()  # first: its memory is the peak of the program

    values = np.random.default_rng(1).random((SAMPLES, METRICS))
    ours, fast = timed(lambda: bootstrap(values, np.ones_like(values), RESAMPLES))
    bca, corrected = timed(lambda: bootstrap(values, np.ones_like(values), RESAMPLES, method="bca"))
    theirs, slow = timed(lambda: naive_bootstrap(values, RESAMPLES // SHARE))
    if not np.allclose([ours.low, ours.high], theirs, atol=0.003) or not np.allclose(ours.low, bca.low, atol=0.003):
        raise SystemExit("the bounds differ")
    print(
        f"bootstrap, {RESAMPLES} resamples of {SAMPLES} samples, {METRICS} metrics: {fast:.2f} s (bca {corrected:.2f} s),"
    )
    print(f"  one by one {SHARE * slow:.1f} s: {SHARE * slow / fast:.0f}x")

    predicted, true = images(2), images(3)
    scores, fast = timed(lambda: g_ious(predicted, true))
    few = IMAGES // SHARE
    one_by_one, slow = timed(lambda: [naive_g_iou(p, t) for p, t in zip(predicted[:few], true[:few], strict=True)])
    if not np.allclose(scores[:few], one_by_one):
        raise SystemExit("the scores differ")
    print(f"G-IoU, {IMAGES} images with {ENTITIES} entities each: {fast:.2f} s,")
    print(f"  one by one {SHARE * slow:.1f} s: {SHARE * slow / fast:.0f}x")

    pairs, few = texts(CAPTIONS, 6), CAPTIONS // SHARE
    _, fast = timed(lambda: cider(*zip(*pairs, strict=True), "released"))
    counted, slow = timed(lambda: naive_cider(pairs[:few]))
    if not np.allclose(cider(*zip(*pairs[:few], strict=True), "released"), counted):
        raise SystemExit("the scores differ")
    print(f"CIDEr, {CAPTIONS} captions: {fast:.2f} s,")
    print(f"  one by one {SHARE * slow:.1f} s: {SHARE * slow / fast:.0f}x")


if __name__ == "__main__":
    main()
