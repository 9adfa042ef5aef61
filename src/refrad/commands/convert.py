"""`refrad convert FOLDER --out truth.jsonl`: the questions of SLAKE, of VQA-RAD or of shards, as the truth of `refrad score`."""

import errno
import json
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Literal, cast, get_args

from refrad.config.public_sets import SetPart
from refrad.core.files import atomic
from refrad.core.progress import log_progress
from refrad.core.types import SPLITS
from refrad.dataset.accepted_terms import require_acceptance
from refrad.dataset.benchmarks import (
    BENCHMARKS,
    Benchmark,
    UnknownBenchmarkError,
    drop_leaks,
    find_split_leaks,
    read_benchmark,
)
from refrad.dataset.examples import ExampleColumns, ExampleRow, example_of_row
from refrad.dataset.file_list import dataset_root, list_dataset
from refrad.dataset.set_origins import count_sets, sets_of_images
from refrad.dataset.shard_io import count_rows, read_rows, read_schema
from refrad.evaluation.metrics.records import TASKS
from refrad.evaluation.questions import EvalQuestion, build_questions
from refrad.evaluation.record_rows import truth_row
from refrad.evaluation.rows import TruthRow
from refrad.model.prompts import vqa_text

__all__ = ["benchmark_truth", "main", "shard_truth"]

log = logging.getLogger(__name__)

SHARDS = "shards of RefRad (the folder of their README.md and croissant.json, or a Parquet file)"
Leaking = Literal["drop", "keep"]
Regions = Literal["boxes", "masks"]


def main(
    source: Path,
    *,
    out: Path,
    splits: list[str] | None = None,
    languages: list[str] | None = None,
    tasks: list[str] | None = None,
    leaking: Leaking = "drop",
    regions: Regions = "boxes",
    accept_terms: list[str] | None = None,
) -> None:
    """Write the questions of a dataset with their true answers as JSON lines, the truth of `refrad score`.

    The ids are those of stage evaluate. Blank answers and repeated questions are left out and counted. No image is needed.

    Args:
        source: SLAKE or VQA-RAD as downloaded; the folder of RefRad's shards, or a Parquet file of it or of refrad public.
        out: the file of JSON lines.
        splits: train, validation, test; test if not given.
        languages: of the questions; en of SLAKE and all of shards if not given.
        tasks: vqa, detect, locate, caption; all if not given.
        leaking: images of a benchmark in more than one split are left in the last of train, validation, test only; "keep" leaves them
            everywhere.
        regions: of detect and locate: boxes, or masks as for the segmentation variant.
        accept_terms: as of `refrad export`, since the file is a copy of sentences, boxes and masks.

    Raises:
        ValueError: if the source is none of these, nothing is left of it, or terms are not accepted.
        FileNotFoundError: if there is no source.
    """
    for values, choices in (
        (splits, SPLITS),
        (tasks, TASKS),
        ([leaking], get_args(Leaking)),
        ([regions], get_args(Regions)),
    ):
        if unknown := set(values or ()) - set(choices):
            raise ValueError(f"{', '.join(sorted(unknown))}: choose from {', '.join(choices)}")
    if out.is_dir():
        raise ValueError(f"{out} is a folder: name a file, such as {out / 'truth.jsonl'}")
    chosen = splits or ["test"]
    left_out: Counter[str] = Counter()
    sources: set[str | None] = set()
    if benchmark := _open_benchmark(source, languages or ["en"]):
        cleared = _without_leaks(benchmark, leaking)
        left_out.update(cleared.count_excluded(chosen))
        rows: Iterator[TruthRow] = (
            row for row in benchmark_truth(cleared, chosen, left_out) if row["task"] in (tasks or TASKS)
        )
        there = Counter(question.split for question in benchmark.questions)
    else:
        files = _shard_files(source)
        sources = {public_set for public_set, split in count_sets(files) if split in chosen}
        rows = shard_truth(files, chosen, tasks or TASKS, left_out, languages, regions == "masks")
        there = Counter()
    require_acceptance(sources, get_args(SetPart), accept_terms or [], date.today())
    written: Counter[str] = Counter()
    images: set[str] = set()
    with atomic(out) as temporary:
        with temporary.open("w", encoding="utf-8") as file:
            for row in rows:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
                written[f"{row['task']} {row['kind']}" if row["kind"] else row["task"]] += 1
                images.add(row["image_id"])
        if not written:
            raise ValueError(f"{source}: {_nothing_left(chosen, languages, tasks, there)}")
    print(f"{out}: {written.total()} rows of {len(images)} images, split {', '.join(chosen)}")
    print("rows: " + _counted(written))
    print("left out: " + (_counted(left_out) or "nothing"))


def benchmark_truth(benchmark: Benchmark, splits: Collection[str], left_out: Counter[str]) -> Iterator[TruthRow]:
    """The truth of the questions of some splits; ids are those of stage evaluate, `question` is as the benchmark has it.

    Patients are unknown, so the image is its own group. What has the id of an earlier row is counted in `left_out`.
    """
    ids: set[str] = set()
    for question in benchmark.questions:
        if question.split not in splits:
            continue
        identity = f"{benchmark.name}:{question.image_id}"
        item = EvalQuestion(
            image_id=identity,
            patient=identity,
            task="vqa",
            language=question.language,
            text=vqa_text(question.question, (), question.language),
            answer=question.answer,
            kind=question.kind,
            topic=question.topic,
            modality=question.modality,
            dataset=benchmark.name,
        )
        if item.id in ids:
            left_out["repeated"] += 1
            continue
        ids.add(item.id)
        yield {**truth_row(item), "question": question.question}


def shard_truth(
    files: Sequence[Path],
    splits: Collection[str],
    tasks: Collection[str],
    left_out: Counter[str],
    languages: Collection[str] | None = None,
    masks: bool = False,
) -> Iterator[TruthRow]:
    """The truth of the questions about the images of some splits, as stage evaluate writes it.

    Args:
        files: Parquet files of the dataset, or of `refrad public`.
        splits: of the images.
        tasks: of the questions.
        left_out: counts the questions without a true answer.
        languages: of the questions; all if None.
        masks: build the questions of the segmentation variant.
    """
    total, sets = sum(map(count_rows, files)), sets_of_images(files)
    for row in log_progress(read_rows(files, ExampleColumns), log, "images", total):
        if row["split"] not in splits:
            continue
        name = row["image_id"].partition(":")[0]  # image ids of a benchmark begin with its name
        image = example_of_row(cast(ExampleRow, row))
        for question in build_questions(image, name if name in BENCHMARKS else "internal", masks=masks):
            if question.task not in tasks or (languages is not None and question.language not in languages):
                continue
            if question.task in ("vqa", "caption") and not question.answer.strip():
                left_out["blank answer"] += 1
                continue
            yield truth_row(question, sets)


def _open_benchmark(source: Path, languages: Sequence[str]) -> Benchmark | None:
    """The benchmark of a folder, None for shards.

    Raises:
        ValueError: if the source is neither.
        FileNotFoundError: if there is no source.
    """
    if not source.exists():
        raise FileNotFoundError(errno.ENOENT, "no such file or folder", str(source))
    if source.suffix == ".parquet" or (source.is_dir() and dataset_root(source)):
        return None
    try:
        return read_benchmark(source, languages)
    except UnknownBenchmarkError as error:
        if source.is_dir() and any(source.rglob("*.parquet")):
            return None
        raise ValueError(f"{error} nor {SHARDS}") from None


def _without_leaks(benchmark: Benchmark, leaking: Leaking) -> Benchmark:
    """The benchmark, without images of later splits unless they are kept."""
    for warning in benchmark.warnings:
        log.warning("LEAK: %s", warning)
    leaks = find_split_leaks(benchmark)
    if leaks:
        log.warning("LEAK: %d images are in more than one split (%s)", len(leaks), leaking)
    return drop_leaks(benchmark) if leaks and leaking == "drop" else benchmark


def _shard_files(source: Path) -> list[Path]:
    """The Parquet files of a source.

    Raises:
        ValueError: if one is no shard.
    """
    files = list_dataset(source)
    for path in files:
        if missing := ExampleColumns.__required_keys__ - set(read_schema(path).names):
            raise ValueError(f"{path}: no shard of RefRad, it lacks the columns {', '.join(sorted(missing))}")
    return files


def _nothing_left(
    splits: Sequence[str], languages: Sequence[str] | None, tasks: Sequence[str] | None, there: Mapping[str, int]
) -> str:
    chosen = {"--splits": splits, "--languages": languages, "--tasks": tasks}
    flags = " ".join(" ".join([flag, *values]) for flag, values in chosen.items() if values)
    counts = f"; it has questions of {_counted(there)}" if there else ""
    return f"no question is left by {flags}{counts}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count)
