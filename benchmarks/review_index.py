"""Pages of the review's list: from its index, and by reading the columns of the dataset for each page.

    python benchmarks/review_index.py --rows 100000

Made-up rows without pictures: each with three captions of two phrases, and three questions. Prints the median time of several queries
on both sides, their ratio, and what the index needs.
"""

import argparse
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from refrad.dataset.columns import arrow_schema
from refrad.dataset.shard_io import write_rows
from refrad.review.item_index import ItemQuery, verdict_states
from refrad.review.judgement import ReviewVerdict
from refrad.review.opening import open_index
from refrad.review.random_queue import RandomQueue

ANATOMY = Path(__file__).resolve().parents[1] / "workflow" / "anatomy"
FILES = 10
WORDS = ("Leber", "Milz", "Niere rechts", "Pankreas", "Lunge", "Aorta", "Herz", "Magen", "Kolon", "Harnblase")
REPEATS = 5
QUERIES = {
    "first page": ItemQuery(),
    "class": ItemQuery(class_id=3),
    "modality and split": ItemQuery(modality="MR", split="test"),
    "words": ItemQuery(text="Leber unauffällig 77"),
    "suspicious first": ItemQuery(suspicion="any", sort="suspicion"),
    "without a verdict": ItemQuery(verdict="none"),
}


def made_rows(count: int, start: int) -> Iterator[dict[str, Any]]:
    """Rows of the dataset without pictures."""
    rng = np.random.default_rng(start)
    for number in range(start, start + count):
        corners = rng.integers(0, 300, (6, 2))
        captions = [_caption(number, place, corners, rng) for place in range(3)]
        asked = {"language": "de", "topic": "findings", "kind": "yesno", "choices": [], "backend": "templates"}
        questions = [asked | {"question": f"Ist {WORDS[place]} zu sehen?", "answer": "ja"} for place in range(3)]
        yield {
            "image_id": f"{number:016x}",
            "volume": f"v{number // 50}",
            "study": f"s{number // 100}",
            "patient": f"{number // 100:016x}",
            "split": ("train", "validation", "test")[number // 100 % 3],
            "modality": ("CT", "MR")[number // 50 % 2],
            "plane": "axial",
            "index": number % 50,
            "width": 512,
            "height": 512,
            "spacing_x": 0.8,
            "spacing_y": 0.8,
            "structures": [],
            "captions": captions,
            "questions": questions,
        }


def _caption(number: int, place: int, corners: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    entities = []
    for entity in range(2):
        x, y = (int(value) for value in corners[2 * place + entity])
        class_id = int(rng.integers(1, 40))
        box = {"x_min": x, "y_min": y, "x_max": x + 60, "y_max": y + 50}
        entities.append(
            box | {"start": 10 * entity, "end": 10 * entity + 5, "text": "Leber", "class_id": class_id, "via": "exact"}
        )
    text = f"{WORDS[int(rng.integers(10))]} unauffällig, Befund {number % 991} und weiterer Text der üblichen Länge."
    identity = {"caption": f"{number:012x}{place:04x}", "sentence": f"{number}{place}", "language": "de"}
    return identity | {"text": text, "tie": "structure", "entities": entities}


def page_by_reading(files: list[Path], query: ItemQuery) -> int:
    """The number of matching captions, and 50 of them, from the columns of the dataset."""
    frame = (
        pl.scan_parquet(files)
        .select("image_id", "modality", "split", "captions")
        .explode("captions")
        .unnest("captions")
    )
    if query.modality:
        frame = frame.filter((pl.col("modality") == query.modality) & (pl.col("split") == query.split))
    if query.class_id:
        classes = pl.col("entities").list.eval(pl.element().struct.field("class_id"))
        frame = frame.filter(classes.list.contains(query.class_id))
    for word in query.text.lower().split():
        frame = frame.filter(pl.col("text").str.to_lowercase().str.contains(word, literal=True))
    table = frame.collect()
    table.head(50).to_dicts()
    return len(table)


def median_ms(function: Callable[[], object]) -> float:
    """Median wall time of several calls, ms."""
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


def main() -> None:
    """Print both sides."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    count = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number in range(FILES):
            files.append(Path(folder, "data", "d", str(number), "train.parquet"))
            write_rows(files[-1], made_rows(count // FILES, number * count // FILES), arrow_schema(()))
        arguments = (files, Path(folder), Path(folder, "index"), ANATOMY / "classes.yaml", ANATOMY / "lexicon.yaml")
        start = time.perf_counter()
        open_index(*arguments)
        first = time.perf_counter() - start
        start = time.perf_counter()
        index = open_index(*arguments)
        again = time.perf_counter() - start
        megabytes = index.items.estimated_size() / 1e6
        print(
            f"{len(index.items):,} items: index made in {first:.1f} s, opened again in {again:.1f} s, {megabytes:.0f} MB"
        )
        print(f"most memory of the process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")
        judged = (
            index.items.filter(pl.col("item") == "caption").head(5000).select("image_id", "item_id", "digest").rows()
        )
        verdicts = [
            ReviewVerdict(
                reviewer="AB", delivery="d", shard=0, patient="0f", image_id=image_id, item="caption", item_id=item_id,
                verdict="accept", digest=digest, queue="random",
            )
            for image_id, item_id, digest in judged
        ]  # fmt: skip
        states = verdict_states(verdicts)
        for name, query in QUERIES.items():
            by_index = median_ms(lambda query=query: index.page(query, states))
            by_reading = median_ms(lambda query=query: page_by_reading(files, query))
            print(
                f"{name:<20} index {by_index:7.1f} ms   reading {by_reading:7.1f} ms   ratio {by_reading / by_index:6.1f}"
            )
        queue = RandomQueue(index)
        print(f"next of the random queue: {median_ms(lambda: queue.next_places(verdicts, 'AB')):.1f} ms")


if __name__ == "__main__":
    main()
