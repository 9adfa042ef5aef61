"""A dataset of FiftyOne on disk: metadata.json, samples.json and data/, which `fiftyone.types.FiftyOneDataset` imports.

Boxes are [x, y, width, height] as shares, masks those of their boxes (a NumPy file in zlib, as FiftyOne stores arrays), tags the
split. Documents are in MongoDB's extended JSON. Source: docs.voxel51.com, user_guide/import_datasets, FiftyOneDataset; the form
of the two files is that of FiftyOne 1.x, which migrates it to its release.
"""

import base64
import hashlib
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refrad.core.files import atomic, write_json
from refrad.core.table_rows import BoxRow
from refrad.core.types import LANGUAGES
from refrad.dataset.exports.fiftyone_fields import dataset_document
from refrad.dataset.exports.image_files import image_on_grid, json_list
from refrad.dataset.exports.source import ClassNames, ExportSource, FileNames
from refrad.dataset.image_codec import decode_mask
from refrad.dataset.shard_rows import ImageRow, QuestionStruct

__all__ = ["export"]

Document = dict[str, Any]

NO_FIELD = "in a language without a field"


def export(source: ExportSource, out: Path) -> None:
    """Write the folder; sentences and questions are fields of each sample, one a language."""
    names = FileNames()
    with json_list(out / "samples.json", key="samples") as add:
        for split in source.splits:
            for row in source.rows(split):
                name = f"{names.name(row['image_id'])}.png"
                with atomic(out / "data" / name) as temporary:
                    image_on_grid(row).save(temporary, format="PNG", compress_level=1)
                add(_sample(row, f"data/{name}", source.class_names))
                _count(source, row)
    write_json(out / "metadata.json", dataset_document(sorted(source.class_names.values()), source.licence))


def _count(source: ExportSource, row: ImageRow) -> None:
    foreign = [caption for caption in row["captions"] if caption["language"] not in LANGUAGES]
    questions = [question for question in row["questions"] if question["language"] not in LANGUAGES]
    tally = source.tally
    tally.write_row(row)
    for unit, count in (
        ("sentences", len(foreign)),
        ("questions", len(questions)),
    ):
        tally.written[unit] -= count
        tally.leave_out(unit, NO_FIELD, count)


def _sample(row: ImageRow, path: str, names: ClassNames) -> Document:
    """A sample: its picture, labels and texts."""
    number = _number(path)
    sample: Document = {
        "_id": {"$oid": number},
        "filepath": path,
        "tags": [row["split"]],
        "metadata": {
            "_cls": "ImageMetadata",
            "mime_type": "image/png",
            "width": row["width"],
            "height": row["height"],
            "num_channels": 3,
        },
        "_media_type": "image",
        "_rand": int(number[:8], 16) / 2**32,
        "image_id": row["image_id"],
        "volume": row["volume"],
        "study": row["study"],
        "patient": row["patient"],
        "modality": _classification(path, "modality", row["modality"]),
        "plane": _classification(path, "plane", row["plane"]),
        "body_part": _classification(path, "body_part", row["body_part"]),
        "structures": _detections(_structures(row, path, names)),
        "phrases": _detections(_phrases(row, path, names)),
    }
    for language in LANGUAGES:
        sample[f"sentences_{language}"] = [c["text"] for c in row["captions"] if c["language"] == language]
        sample[f"questions_{language}"] = [
            _question_line(question) for question in row["questions"] if question["language"] == language
        ]
    return sample


def _question_line(question: QuestionStruct) -> str:
    """Question, choices and answer in a line."""
    choices = f" ({' / '.join(question['choices'])})" if question["choices"] else ""
    return f"{question['question']}{choices} → {question['answer']}"


def _structures(row: ImageRow, path: str, names: ClassNames) -> Iterator[Document]:
    """A detection with its mask for each visible class."""
    for structure in row["structures"]:
        mask = decode_mask(structure["rle"], row["height"], row["width"])
        x, y = slice(structure["x_min"], structure["x_max"]), slice(structure["y_min"], structure["y_max"])
        class_id = structure["class_id"]
        yield _detection(path, f"structure {class_id}", names[class_id], _relative(structure, row)) | {
            "mask": _array(mask[y, x]),
            "class_id": class_id,
            "area": structure["area"],
        }


def _phrases(row: ImageRow, path: str, names: ClassNames) -> Iterator[Document]:
    """A detection for each class of each grounded phrase."""
    for number, caption in enumerate(row["captions"]):
        for place, entity in enumerate(caption["entities"]):
            yield _detection(path, f"phrase {number} {place}", names[entity["class_id"]], _relative(entity, row)) | {
                "phrase": entity["text"],
                "sentence": caption["text"],
                "language": caption["language"],
                "start": entity["start"],
                "end": entity["end"],
                "via": entity["via"],
                "one_sided": bool(entity.get("one_sided")),
                "class_id": entity["class_id"],
            }


def _detections(documents: Iterator[Document]) -> Document:
    return {"_cls": "Detections", "detections": list(documents)}


def _detection(path: str, kind: str, label: str, box: Sequence[float]) -> Document:
    return {
        "_id": {"$oid": _number(path, kind)},
        "_cls": "Detection",
        "attributes": {},
        "tags": [],
        "label": label,
        "bounding_box": list(box),
    }


def _classification(path: str, field: str, label: str | None) -> Document | None:
    if label is None:
        return None
    return {"_id": {"$oid": _number(path, field)}, "_cls": "Classification", "tags": [], "label": label}


def _relative(box: BoxRow, row: ImageRow) -> tuple[float, float, float, float]:
    """A box as x, y, width and height, shares of the picture."""
    width, height = row["width"], row["height"]
    return (
        box["x_min"] / width,
        box["y_min"] / height,
        (box["x_max"] - box["x_min"]) / width,
        (box["y_max"] - box["y_min"]) / height,
    )


def _array(mask: NDArray[np.bool_]) -> Mapping[str, Any]:
    """A mask as binary of extended JSON: an .npy file in zlib."""
    buffer = io.BytesIO()
    np.save(buffer, mask, allow_pickle=False)
    data = base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")
    return {"$binary": {"base64": data, "subType": "00"}}


def _number(*words: str) -> str:
    """24 hexadecimal digits for an object id, the same for the same words."""
    return hashlib.blake2b("|".join(words).encode(), digest_size=12).hexdigest()
