"""Answers of a model about DICOM files."""

from pathlib import Path

import numpy as np

from refrad.dicom.windows import MEDGEMMA_WINDOWS
from refrad.inference.load_image import load_image
from refrad.inference.predictor import Prediction, Region


def answer_about(path: Path, *regions: Region, text: str = "Die Leber.", index: int | None = None) -> Prediction:
    """An answer with these regions about an image in a file."""
    return Prediction(text, regions, (), text, load_image(path, MEDGEMMA_WINDOWS, index))


def mask_of(size: tuple[int, int], first: int, end: int) -> np.ndarray:
    """A mask of `size` with all rows and the columns from `first` to before `end`."""
    mask = np.zeros(size, bool)
    mask[:, first:end] = True
    return mask
