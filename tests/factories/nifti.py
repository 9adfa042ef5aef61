"""NIfTI files as a delivery has them: any order and direction of axes, any type of values, scaled or not."""

import gzip
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.dicom.convert import GeometryCriteria
from refrad.nifti.convert import FileConversion, convert_file
from refrad.nifti.volume_entry import VolumeEntry

__all__ = ["AXIS_ORDERS", "convert_nifti", "entry_of", "nifti_files", "reordered", "write_nifti"]

# The 48 orders and directions in which a file may store three axes: file axis of each axis, and whether it is reversed
AXIS_ORDERS = list(product(permutations(range(3)), product((False, True), repeat=3)))
CRITERIA = GeometryCriteria(minimum_slices=2, spacing_tolerance=0.05, angle_tolerance=0.5, sheared=True)


def entry_of(path: str = "a.nii.gz", **fields: Any) -> VolumeEntry:
    """The entry of a CT file, unless `fields` say otherwise."""
    keys = {"patient": "P", "study": "S", "series": "1", "modality": "CT"}
    return VolumeEntry(path, **(keys | fields))


def reordered(values: np.ndarray, affine: np.ndarray, order: Any) -> tuple[np.ndarray, np.ndarray]:
    """The same image with its axes in another order and direction: values and affine."""
    axes, flips = order
    index = np.zeros((4, 4))
    index[3, 3] = 1
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):  # old = size - 1 - new, or old = new
        index[old, new] = -1 if flip else 1
        index[old, 3] = values.shape[old] - 1 if flip else 0
    turned = values.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    return turned, affine @ index


def write_nifti(
    path: Path,
    values: np.ndarray,
    affine: np.ndarray,
    scale: tuple[float, float] | None = None,
    slice_axis: int | None = None,
    forms: tuple[str, ...] = ("sform",),
) -> Path:
    """Write stored values with an affine in mm, as sform or qform or both, and a slope and intercept if `scale` has them."""
    image = nib.Nifti1Image(values, affine, dtype=values.dtype)
    image.header.set_sform(affine, 1 if "sform" in forms else 0)
    image.header.set_qform(affine, 1 if "qform" in forms else 0)
    image.header.set_dim_info(slice=slice_axis)
    image.header["scl_slope"], image.header["scl_inter"] = scale or (0, 0)
    content = bytearray(image.to_bytes())
    content[112:120] = np.array(scale or (0, 0), "<f4").tobytes()  # nibabel would choose them by itself
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".gz"):
        content = gzip.compress(bytes(content), 1)
    path.write_bytes(bytes(content))
    return path


def convert_nifti(folder: Path, entry: VolumeEntry, floor: int | None = -1024, **criteria: Any) -> Any:
    """The result for a file below `folder`; its store is `store` there."""
    job = FileConversion("V", folder, entry, CRITERIA._replace(**criteria), folder / "store", floor)
    (result,) = convert_file(job)
    return result


@st.composite
def nifti_files(draw):
    """Arguments of `write_nifti` but the path, of any file: a strategy of hypothesis."""
    seed = draw(st.integers(0, 2**32 - 1))
    random = np.random.default_rng(seed)
    shape = draw(st.lists(st.integers(2, 6), min_size=3, max_size=3))
    widths = draw(st.lists(st.sampled_from([0.5, 0.75, 1.0, 1.25, 3.0, 5.0]), min_size=3, max_size=3))
    affine = np.eye(4)
    affine[:3, :3] = np.diag(widths)
    if draw(st.booleans()):  # oblique
        affine[:3, :3] = Rotation.random(random_state=seed).as_matrix() @ affine[:3, :3]
    affine[:3, 3] = random.uniform(-300, 300, 3)
    dtype = draw(st.sampled_from(["<i2", "<f4", "<f8", "<u2", "<i4", "<i8"]))
    scales = [(1.0, -1024.0), (2.0, -1024.0), (0.5, -1024.0)]
    scale = draw(st.sampled_from(scales if dtype == "<u2" else [None, *scales]))
    slope, intercept = scale or (1.0, 0.0)
    hounsfield = random.integers(-512, 1500, shape) * 2  # whole HU at each of the slopes
    hounsfield[0] = random.integers(-500, -50, shape[1:]) * 2  # air and fat, without which the values could not be HU
    stored = (hounsfield - intercept) / slope
    values, affine = reordered(stored.astype(dtype), affine, draw(st.sampled_from(AXIS_ORDERS)))
    slice_axis = draw(st.sampled_from([None, None, 0, 1, 2]))
    return values, affine, scale, slice_axis, draw(st.sampled_from([("sform",), ("qform",), ("sform", "qform")]))
