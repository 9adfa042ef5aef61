"""Facts and types that several packages share."""

from collections.abc import Mapping
from typing import Any, Literal, TypedDict, get_args

__all__ = [
    "FINGERPRINT_KEY",
    "LANGUAGES",
    "MODALITIES",
    "PUBLIC_SET_KEY",
    "SEG_TOKENS",
    "SPLITS",
    "TASK_OF",
    "Box",
    "Language",
    "Modality",
    "ModelShaping",
    "Split",
]

Box = tuple[float, float, float, float]
"""x_min, y_min, x_max, y_max, half-open; in px or as shares of width and height, as the docstring that uses it states."""

Language = Literal["de", "en"]
LANGUAGES: tuple[str, ...] = get_args(Language)
"""Languages of reports, captions, questions and prompts. Seeded draws depend on the order."""

Split = Literal["train", "validation", "test"]
SPLITS: tuple[str, ...] = get_args(Split)
"""Parts of the dataset; each patient belongs to one."""

Modality = Literal["CT", "MR"]
MODALITIES: tuple[str, ...] = get_args(Modality)
"""Modalities (DICOM tag 0008,0060) that become volumes."""

TASK_OF: Mapping[str, str] = {"CT": "total", "MR": "total_mr"}
"""The TotalSegmentator task that labels volumes of a modality."""

SEG_TOKENS = 128
"""Class tokens of PaliGemma, `<seg000>` to `<seg127>`. 0 is the background, so the ids of classes are 1 to 127."""

FINGERPRINT_KEY = "refrad.fingerprint"
"""Key of a stage's fingerprint in the metadata of the Parquet files that it writes."""

PUBLIC_SET_KEY = "refrad.public_set"
"""Key of the name of the public set in the metadata of the tables of a delivery that is one."""


class ModelShaping(TypedDict):
    """The options of a language model that change its answers, as fingerprints hold them."""

    model: str
    temperature: float
    extra: dict[str, Any]
    thinking: int
