"""SLAKE and VQA-RAD from the folders that their authors offer for download: questions, splits, and what leaks between them."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from refrad.core.files import digest_file
from refrad.core.types import SPLITS

__all__ = ["LEAKING", "PublicQuestion", "PublicSet", "leaks", "missing_images", "read_public", "without_leaks"]

SLAKE = {"train.json": "train", "validate.json": "validation", "test.json": "test"}
WU = {f"{split}_fixed_split.json": split for split in SPLITS}
ORIGINAL = {"trainset.json": "train", "testset.json": "test"}
RELEASE = "VQA_RAD Dataset Public.json"
FOLDERS = ("imgs", "images", "VQA_RAD Image Folder", ".")
MODALITIES = {"mri": "MR", "ct": "CT", "x-ray": "XR"}
LEAKING = (
    "the original split of VQA-RAD shares nearly every test image with train: scores on it say how well a model remembers."
    " Use the split of Wu et al. 2025 (train_, validation_ and test_fixed_split.json)."
)


@dataclass(frozen=True)
class PublicQuestion:
    """A question about an image file. `kind` is open, yesno or closed; `modality` CT, MR, XR or empty where it is not told."""

    image: str
    split: str
    language: str
    kind: str
    topic: str
    modality: str
    question: str
    answer: str


@dataclass(frozen=True)
class PublicSet:
    """A benchmark: its questions, the file of each image, and what was put aside and why."""

    name: str
    questions: tuple[PublicQuestion, ...]
    files: Mapping[str, Path]
    aside: Mapping[str, int]
    warnings: tuple[str, ...]


def read_public(folder: Path, languages: Sequence[str] = ("en",)) -> PublicSet:
    """Read a folder as it was downloaded: SLAKE's, VQA-RAD's official release, or VQA-RAD with one of its split files.

    Splits that lie at hand are read; of VQA-RAD the split of Wu et al. 2025 is taken where it is there. Answers may be numbers,
    and kinds have stray blanks; questions without an answer, in other languages, or that stand twice, are put aside and
    counted. Images need not be there yet: `files` says where each would be.

    Raises:
        ValueError: if the folder holds neither benchmark, or an image named by a question is nowhere in it.
    """
    for name, known in (("slake", SLAKE), ("vqa-rad", WU), ("vqa-rad", ORIGINAL), ("vqa-rad", {RELEASE: ""})):
        found = {split: path for file, split in known.items() if (path := _first(folder, file))}
        if not found:
            continue
        rows = [(split, row) for split, path in found.items() for row in _rows(path)]
        leaking = known is ORIGINAL or RELEASE in known
        questions, aside = _questions(rows, set(languages))
        names = sorted({one.image for one in questions})
        return PublicSet(name, questions, _files(folder, names), aside, (LEAKING,) if leaking else ())
    raise ValueError(
        f"{folder}: neither SLAKE (train.json, validate.json, test.json, imgs/) nor VQA-RAD (*_fixed_split.json or {RELEASE}, and images)"
    )


def _first(folder: Path, name: str) -> Path | None:
    return next(iter(sorted(folder.rglob(name))), None) if folder.is_dir() else None


def _rows(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        raise ValueError(f"{path}: not JSON") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path}: not a list of questions")
    return rows


def _questions(
    rows: Iterable[tuple[str, Mapping[str, Any]]], languages: set[str]
) -> tuple[tuple[PublicQuestion, ...], Mapping[str, int]]:
    kept: dict[PublicQuestion, None] = {}
    aside: Counter[str] = Counter()
    for split, row in rows:
        one = _question(split, row)
        if one.language not in languages:
            aside[f"language {one.language}"] += 1
        elif not one.answer:
            aside["blank answer"] += 1
        elif one in kept:
            aside["stands twice"] += 1
        else:
            kept[one] = None
    return tuple(kept), dict(aside)


def _question(split: str, row: Mapping[str, Any]) -> PublicQuestion:
    """A row of any of the layouts. The official release of VQA-RAD tells its test questions by their phrase type."""
    answer = str(row.get("answer", "")).strip()
    closed = str(row.get("answer_type") or row.get("q_type") or "").strip().lower() == "closed"
    kind = "open" if not closed else "yesno" if answer.lower() in {"yes", "no", "是", "不是", "否"} else "closed"
    return PublicQuestion(
        image=str(row.get("img_name") or row["image_name"]).strip(),
        split=split or ("test" if str(row.get("phrase_type", "")).startswith("test") else "train"),
        language=row.get("q_lang", "en"),
        kind=kind,
        topic=str(row.get("content_type") or row.get("question_type") or "").strip(),
        modality=MODALITIES.get(str(row.get("modality", "")).lower(), ""),
        question=str(row["question"]).strip(),
        answer=answer,
    )


def _files(folder: Path, names: Sequence[str]) -> Mapping[str, Path]:
    """Where the images lie: in the first of the usual folders, at any depth, that has the first of them."""
    roots = [path for name in FOLDERS for path in ([folder] if name == "." else sorted(folder.rglob(name)))]
    files = {}
    for name in names:
        files[name] = next((root / name for root in roots if (root / name).is_file()), roots[0] / name)
    return files


def missing_images(public: PublicSet) -> list[str]:
    """Names of the images that are not there."""
    return [name for name, path in public.files.items() if not path.is_file()]


def leaks(public: PublicSet) -> dict[str, set[str]]:
    """Image to the splits it stands in, for images in more than one: by name, and by content where the files are there."""
    same: dict[str, str] = {}
    for name, path in public.files.items():
        same[name] = digest_file(path) if path.is_file() else name
    splits: dict[str, set[str]] = {}
    for one in public.questions:
        splits.setdefault(same[one.image], set()).add(one.split)
    return {name: splits[key] for name, key in same.items() if len(splits.get(key, ())) > 1}


def without_leaks(public: PublicSet) -> PublicSet:
    """The benchmark with each shared image left in one split only: test before validation before train."""
    shared = leaks(public)
    last = {name: max(splits, key=SPLITS.index) for name, splits in shared.items()}
    kept = tuple(one for one in public.questions if last.get(one.image, one.split) == one.split)
    dropped = len(public.questions) - len(kept)
    aside = dict(public.aside) | ({"image also in a later split": dropped} if dropped else {})
    return replace(public, questions=kept, aside=aside)
