"""`refrad public FOLDER --out FILE`: a public VQA benchmark in the format of the shards, to train or evaluate on."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refrad.anatomy.schema import load_schema
from refrad.core.installation import resolve_shipped
from refrad.dataset.benchmarks import (
    Benchmark,
    BenchmarkQuestion,
    drop_leaks,
    find_split_leaks,
    missing_images,
    read_benchmark,
)
from refrad.dataset.image_codec import encode_png
from refrad.dataset.shard_io import write_shard
from refrad.dataset.shard_rows import BenchmarkImageRow, QuestionStruct
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["benchmark_rows", "main"]

log = logging.getLogger(__name__)


def main(
    folder: Path,
    *,
    out: Path,
    languages: list[str] | None = None,
    size: int = 224,
    leaking: str = "drop",
    schema: Path = Path("workflow/anatomy/classes.yaml"),
) -> None:
    """Write the benchmark in FOLDER as a Parquet file like the shards, one row per image and split.

    Args:
        folder: SLAKE or VQA-RAD as downloaded: questions and images.
        out: the Parquet file.
        languages: en (default) and zh.
        size: side of the square images, px.
        leaking: images in more than one split are by default left in the last of train, validation, test only; "keep" leaves
            them everywhere, to reproduce published numbers.
        schema: the class schema.

    Raises:
        ValueError: if the folder holds no known benchmark, or images are missing.
    """
    if leaking not in ("drop", "keep"):
        raise ValueError("--leaking must be drop or keep")
    benchmark = read_benchmark(folder, languages or ["en"])
    if missing := missing_images(benchmark):
        raise ValueError(
            f"{folder}: {len(missing)} of {len(benchmark.files)} images are not there, for example"
            f" {benchmark.files[missing[0]]}: put the images where the download has them"
        )
    leaks = find_split_leaks(benchmark)
    for warning in benchmark.warnings:
        log.warning("LEAK: %s", warning)
    if leaks:
        log.warning("LEAK: %d images are in more than one split (%s)", len(leaks), leaking)
        benchmark = drop_leaks(benchmark) if leaking == "drop" else benchmark
    options = {"set": benchmark.name, "languages": languages or ["en"], "size": size, "leaking": leaking}
    fingerprint = Fingerprint("public", 1, options, {})
    count = write_shard(out, benchmark_rows(benchmark, size), load_schema(resolve_shipped(schema)), fingerprint)
    splits = Counter(question.split for question in benchmark.questions)
    print(f"{benchmark.name}: {count} images, questions: " + ", ".join(f"{n} {split}" for split, n in splits.items()))
    print("excluded: " + (", ".join(f"{n} {reason}" for reason, n in benchmark.excluded.items()) or "nothing"))
    print(f"leakage check: {len(leaks)} images in more than one split" + (f", {leaking}" if leaks else ""))


def benchmark_rows(benchmark: Benchmark, size: int) -> Iterator[BenchmarkImageRow]:
    """Rows in the format of the shards, one per image and split, without structures and captions.

    The image is resized to `size` x `size` px and its values are scaled to 0..255. Patients are unknown, so the image is its own
    patient.
    """
    by_image: dict[tuple[str, str], list[BenchmarkQuestion]] = {}
    for question in benchmark.questions:
        by_image.setdefault((question.split, question.image), []).append(question)
    for (split, name), questions in sorted(by_image.items()):
        with Image.open(benchmark.files[name]) as file:
            image = file.convert("RGB")
        identity = f"{benchmark.name}:{questions[0].image_id}"
        yield {
            "image_id": identity,
            "volume": identity,
            "study": identity,
            "patient": identity,
            "split": split,
            "modality": questions[0].modality or None,
            "index": 0,
            "width": image.width,
            "height": image.height,
            "spacing_x": 1.0,
            "spacing_y": 1.0,
            "image": {"bytes": encode_png(_full_range(image, size)), "path": None},
            "structures": [],
            "captions": [],
            "questions": [_question_row(question) for question in questions],
        }


def _full_range(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """The resized image, uint8 [channel, row, column], scaled so that its values reach from 0 to 255."""
    square = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    low, high = float(square.min()), float(square.max())
    scaled = (square - low) * (255 / (high - low) if high > low else 0)
    return np.ascontiguousarray(scaled.round().astype(np.uint8).transpose(2, 0, 1))


def _question_row(question: BenchmarkQuestion) -> QuestionStruct:
    return {
        "language": question.language,
        "topic": question.topic,
        "kind": question.kind,
        "question": question.question,
        "choices": [],
        "answer": question.answer,
        "backend": "public",
    }
