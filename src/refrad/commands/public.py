"""`refrad public FOLDER --out FILE`: SLAKE or VQA-RAD in the format of the shards, to evaluate on."""

import logging
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from refrad.anatomy.schema import load_schema
from refrad.dataset.image_codec import encode_png
from refrad.dataset.public import PublicQuestion, PublicSet, leaks, missing_images, read_public, without_leaks
from refrad.dataset.shard_io import write_shard
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["main", "rows_of"]

log = logging.getLogger(__name__)


def main(
    *,
    folder: Path,
    out: Path,
    languages: list[str] | None = None,
    size: int = 224,
    leaking: str = "drop",
    schema: Path = Path("workflow/anatomy/classes.yaml"),
) -> None:
    """Write the benchmark in FOLDER as a Parquet file like those of the shards, one row an image.

    FOLDER is SLAKE or VQA-RAD as downloaded: questions and images. LANGUAGES are en (default) and zh. SIZE is the side of the
    squashed pictures, px. LEAKING images, which stand in more than one split, are by default left in the last of train,
    validation, test only; "keep" leaves them everywhere, to reproduce numbers that were made so.

    Raises:
        ValueError: if the folder is neither, or images are missing.
    """
    if leaking not in ("drop", "keep"):
        raise ValueError("--leaking must be drop or keep")
    public = read_public(folder, languages or ["en"])
    if missing := missing_images(public):
        raise ValueError(
            f"{folder}: {len(missing)} of {len(public.files)} images are not there, for example {public.files[missing[0]]}:"
            " put the images where the download has them"
        )
    shared = leaks(public)
    for warning in public.warnings:
        log.warning("LEAK: %s", warning)
    if shared:
        log.warning("LEAK: %d images stand in more than one split (%s)", len(shared), leaking)
        public = without_leaks(public) if leaking == "drop" else public
    options = {"set": public.name, "languages": languages or ["en"], "size": size, "leaking": leaking}
    count = write_shard(out, rows_of(public, size), load_schema(schema), Fingerprint("public", 1, options, {}))
    splits = Counter(one.split for one in public.questions)
    print(f"{public.name}: {count} images, questions: " + ", ".join(f"{splits[split]} {split}" for split in splits))
    print("put aside: " + (", ".join(f"{many} {why}" for why, many in public.aside.items()) or "nothing"))
    print(f"leakage check: {len(shared)} images in more than one split" + (f", {leaking}" if shared else ""))


def rows_of(public: PublicSet, size: int) -> Iterator[dict[str, Any]]:
    """Rows of the shards' format, one an image and split, without structures and captions.

    The picture is scaled from its least to its largest value and squashed to `size` px. The image stands for its patient, who
    is not known.
    """
    asked: dict[tuple[str, str], list[PublicQuestion]] = {}
    for one in public.questions:
        asked.setdefault((one.split, one.image), []).append(one)
    for (split, name), questions in sorted(asked.items()):
        with Image.open(public.files[name]) as file:
            image = file.convert("RGB")
        identity = f"{public.name}:{name.removesuffix('/source.jpg')}"
        yield {
            **{"image_id": identity, "volume": identity, "study": identity, "patient": identity, "split": split},
            **{"modality": questions[0].modality or None, "index": 0, "width": image.width, "height": image.height},
            **{
                "spacing_x": 1.0,
                "spacing_y": 1.0,
                "image": {"bytes": encode_png(_stretched(image, size)), "path": None},
            },
            **{"structures": [], "captions": [], "questions": [_row(one) for one in questions]},
        }


def _stretched(image: Image.Image, size: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    square = np.asarray(image.resize((size, size), Image.Resampling.BILINEAR), np.float32)
    low, high = float(square.min()), float(square.max())
    scaled = (square - low) * (255 / (high - low) if high > low else 0)
    return np.ascontiguousarray(scaled.round().astype(np.uint8).transpose(2, 0, 1))


def _row(one: PublicQuestion) -> dict[str, Any]:
    kept = {name: getattr(one, name) for name in ("language", "topic", "kind", "question", "answer")}
    return kept | {"choices": [], "backend": "public"}
