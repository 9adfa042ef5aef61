"""The dataset: Parquet rows with the image inside, one row an image.

Boxes and masks are in px of the DICOM image; the stored picture is that image windowed and squashed to a square, so a box
scales by image_size / width and image_size / height.
"""

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from refrad.anatomy.schema import Schema
from refrad.files import atomic
from refrad.fingerprint import Fingerprint
from refrad.imaging.windows import scale_mr, window_ct
from refrad.tables import FINGERPRINT_KEY

__all__ = ["ROW", "encode_mask", "picture", "write_images"]

ROWS_PER_GROUP = 100  # small groups: random access reads little

STRUCTURE = pa.struct(
    [("class_id", pa.int64())]  # as `datasets` stores class labels
    + [(name, pa.int32()) for name in ("x_min", "y_min", "x_max", "y_max", "area")]
    + [("rle", pa.string())]
)
ENTITY = pa.struct(
    [("start", pa.int32()), ("end", pa.int32()), ("text", pa.string()), ("class_id", pa.int64()), ("via", pa.string())]
    + [(name, pa.int32()) for name in ("x_min", "y_min", "x_max", "y_max")]
)
CAPTION = pa.struct(
    [(name, pa.string()) for name in ("caption", "sentence", "language", "text", "indication", "question", "tie")]
    + [("entities", pa.list_(ENTITY))]
)
QUESTION = pa.struct(
    [(name, pa.string()) for name in ("language", "topic", "kind", "question")]
    + [("choices", pa.list_(pa.string())), ("answer", pa.string()), ("backend", pa.string())]
)
ROW = pa.schema(
    [(name, pa.string()) for name in ("image_id", "volume", "study", "patient", "split", "modality", "plane")]
    + [("index", pa.int32()), ("body_part", pa.string()), ("contrast", pa.bool_())]
    + [("width", pa.int32()), ("height", pa.int32()), ("spacing_x", pa.float64()), ("spacing_y", pa.float64())]
    + [("image", pa.struct([("bytes", pa.binary()), ("path", pa.string())]))]
    + [("structures", pa.list_(STRUCTURE)), ("captions", pa.list_(CAPTION)), ("questions", pa.list_(QUESTION))]
    + [
        (
            "provenance",
            pa.struct(
                [(n, pa.string()) for n in ("segmenter", "weights", "mentions", "rewriter", "translator", "vqa")]
            ),
        )
    ]
)


def picture(image: NDArray[np.int16], modality: str, windows: Sequence[Sequence[float]], size: int) -> bytes:
    """PNG bytes of an image [row, column] (HU for CT), windowed into three channels and squashed to size x size px."""
    channels = window_ct(image, windows) if modality == "CT" else scale_mr(image)
    square = Image.fromarray(np.ascontiguousarray(channels.transpose(1, 2, 0))).resize(
        (size, size), Image.Resampling.BILINEAR
    )
    buffer = io.BytesIO()
    square.save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def encode_mask(mask: NDArray[np.bool_]) -> str:
    """COCO run-length code (counts) of a mask [row, column]; its size is [height, width]."""
    return str(coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode("ascii"))


def write_images(path: Path, rows: Iterable[Mapping[str, Any]], schema: Schema, fingerprint: Fingerprint) -> int:
    """Write rows as they come, a row group at a time, and return how many there were."""
    metadata = {FINGERPRINT_KEY: fingerprint.text, "huggingface": json.dumps({"info": {"features": _features(schema)}})}
    arrow = ROW.with_metadata(metadata)
    count = 0
    with atomic(path) as temporary, pq.ParquetWriter(temporary, arrow, compression="zstd") as writer:
        group: list[Mapping[str, Any]] = []
        for row in rows:
            group.append(row)
            count += 1
            if len(group) == ROWS_PER_GROUP:
                writer.write_table(pa.Table.from_pylist(group, arrow))
                group = []
        if group:
            writer.write_table(pa.Table.from_pylist(group, arrow))
    return count


def _features(schema: Schema) -> dict[str, Any]:
    """What `datasets` needs to show pictures as pictures and class ids as names: its own description of the columns."""
    names = {one.id: one.name for one in schema.classes}
    label = {
        "names": [names.get(i, "background" if i == 0 else f"unused_{i}") for i in range(max(names) + 1)],
        "_type": "ClassLabel",
    }

    def describe(kind: pa.DataType, name: str) -> Any:
        if name == "class_id":
            return label
        if name == "image":
            return {"_type": "Image"}
        if pa.types.is_list(kind):
            return {"feature": describe(kind.value_type, ""), "_type": "List"}
        if pa.types.is_struct(kind):
            return {field.name: describe(field.type, field.name) for field in kind}
        return {"dtype": {"double": "float64"}.get(str(kind), str(kind)), "_type": "Value"}

    return {field.name: describe(field.type, field.name) for field in ROW}
