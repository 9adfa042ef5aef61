"""Public VQA benchmarks, read from the folders that their authors offer: one module a benchmark, one line in `BENCHMARKS`.

    benchmark = read_benchmark(Path("downloads/VQA_RAD"))
    without_leaks = drop_leaks(benchmark)

To add a benchmark, write a module with a `BenchmarkReader` and add it to `BENCHMARKS`.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from refrad.core.files import digest_file
from refrad.core.types import SPLITS
from refrad.dataset.benchmarks import slake, vqa_rad
from refrad.dataset.benchmarks.base import BenchmarkQuestion, BenchmarkReader, BenchmarkSource

__all__ = [
    "BENCHMARKS",
    "Benchmark",
    "BenchmarkQuestion",
    "BenchmarkReader",
    "BenchmarkSource",
    "UnknownBenchmarkError",
    "drop_leaks",
    "find_split_leaks",
    "missing_images",
    "read_benchmark",
]

BENCHMARKS: dict[str, BenchmarkReader] = {"slake": slake.READER, "vqa-rad": vqa_rad.READER}


class UnknownBenchmarkError(ValueError):
    """No reader recognizes a folder."""


@dataclass(frozen=True)
class Benchmark:
    """A benchmark: its questions, the file of each image, the number of excluded questions by split and reason, and warnings."""

    name: str
    questions: tuple[BenchmarkQuestion, ...]
    files: Mapping[str, Path]
    excluded_by_split: Mapping[tuple[str, str], int]
    warnings: tuple[str, ...]

    @property
    def excluded(self) -> dict[str, int]:
        """The number of excluded questions of all splits by reason."""
        return self.count_excluded(SPLITS)

    def count_excluded(self, splits: Collection[str]) -> dict[str, int]:
        """The number of excluded questions of some splits by reason."""
        counts: Counter[str] = Counter()
        for (split, reason), count in self.excluded_by_split.items():
            counts[reason] += count if split in splits else 0
        return dict(+counts)


def read_benchmark(folder: Path, languages: Sequence[str] = ("en",)) -> Benchmark:
    """The benchmark of a folder as it was downloaded, without questions that have no answer, appear twice or use other languages.

    The first of `BENCHMARKS` that recognizes the folder reads it; splits that are missing from the folder are left out. Images
    need not exist yet: `files` has the expected place of each.

    Raises:
        UnknownBenchmarkError: if no reader recognizes the folder.
        ValueError: if a file of it is damaged.
    """
    for name, reader in BENCHMARKS.items():
        if source := reader.read(folder):
            questions, excluded = _usable_questions(source.questions, set(languages))
            images = sorted({question.image for question in questions})
            return Benchmark(name, questions, _files(folder, source.image_folders, images), excluded, source.warnings)
    layouts = [reader.layout for reader in BENCHMARKS.values()]
    raise UnknownBenchmarkError(f"{folder}: neither {' nor '.join(layouts)}")


def _usable_questions(
    source: Iterable[BenchmarkQuestion], languages: set[str]
) -> tuple[tuple[BenchmarkQuestion, ...], Mapping[tuple[str, str], int]]:
    questions: dict[BenchmarkQuestion, None] = {}
    excluded: Counter[tuple[str, str]] = Counter()
    for question in source:
        if question.language not in languages:
            excluded[question.split, f"language {question.language}"] += 1
        elif not question.answer:
            excluded[question.split, "blank answer"] += 1
        elif question in questions:
            excluded[question.split, "repeated"] += 1
        else:
            questions[question] = None
    return tuple(questions), dict(excluded)


def _files(folder: Path, image_folders: Sequence[str], images: Sequence[str]) -> Mapping[str, Path]:
    """Image to its path: in the first image folder, at any depth, that has it; in the first of all if none has."""
    roots = [path for name in image_folders for path in ([folder] if name == "." else sorted(folder.rglob(name)))]
    return {
        image: next((root / image for root in roots if (root / image).is_file()), roots[0] / image) for image in images
    }


def missing_images(benchmark: Benchmark) -> list[str]:
    """The images whose file does not exist."""
    return [image for image, path in benchmark.files.items() if not path.is_file()]


def find_split_leaks(benchmark: Benchmark) -> dict[str, set[str]]:
    """Image to its splits, for images in more than one split: by name, and by content where the files exist."""
    content = {image: digest_file(path) if path.is_file() else image for image, path in benchmark.files.items()}
    splits: dict[str, set[str]] = {}
    for question in benchmark.questions:
        splits.setdefault(content[question.image], set()).add(question.split)
    return {image: splits[key] for image, key in content.items() if len(splits.get(key, ())) > 1}


def drop_leaks(benchmark: Benchmark) -> Benchmark:
    """The benchmark with each shared image in one split only: test before validation before train."""
    last = {image: max(splits, key=SPLITS.index) for image, splits in find_split_leaks(benchmark).items()}
    questions = []
    excluded = Counter(benchmark.excluded_by_split)
    for question in benchmark.questions:
        if last.get(question.image, question.split) == question.split:
            questions.append(question)
        else:
            excluded[question.split, "image also in a later split"] += 1
    return replace(benchmark, questions=tuple(questions), excluded_by_split=dict(excluded))
