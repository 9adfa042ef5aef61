"""Affines from the texts of tables: DICOM's position, directions and distances in RAS+."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.public_sets.scanner_geometry import affines_of

AXIAL = {"xy": "[0.5, 0.8]", "z": "2.0", "position": "[-10, -20, 30]", "orientation": "[1, 0, 0, 0, 1, 0]"}


def affine_of(**changes):
    texts = AXIAL | changes
    return affines_of(*(pl.Series([texts[name]]) for name in ("xy", "z", "position", "orientation")))[0]


def test_axial_slices_by_hand():
    # LPS+ x and y change their sign in RAS+: columns 0.5 mm apart to the left, rows 0.8 mm to the back, slices 2 mm to the head
    assert affine_of() == "-0.5 0 0 10 0 -0.8 0 20 0 0 2 30"


def test_sagittal_slices_by_hand():
    # columns to the back (LPS +y), rows to the feet (-z), and so slices along y x -z = -x, to the right
    assert affine_of(orientation="[0, 1, 0, 0, 0, -1]") == "0 0 2 10 -0.5 0 0 20 0 -0.8 0 30"


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.floats(0.1, 5)] * 3),
    st.tuples(*[st.floats(-500, 500)] * 3),
)
def test_voxels_lie_where_the_standard_puts_them(seed, spacing, position):
    turned = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    orientation = str(turned[:, :2].T.ravel().tolist())
    text = affine_of(
        xy=str(list(spacing[:2])), z=str(spacing[2]), position=str(list(position)), orientation=orientation
    )
    affine = np.array(text.split(), float).reshape(3, 4)
    index = np.array([3.0, 5.0, 7.0])
    lps = np.array(position) + turned @ (index * spacing)  # PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1
    np.testing.assert_allclose(affine[:, :3] @ index + affine[:, 3], lps * [-1, -1, 1], atol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"xy": ""},
        {"xy": "[0.5, 0.5, 0.5]"},
        {"xy": "[-0.5, 0.5]"},
        {"xy": "nan"},
        {"z": ""},
        {"z": "0"},
        {"z": "1e999"},
        {"position": "[1, 2]"},
        {"orientation": "[1, 0, 0, 0, 2, 0]"},
        {"orientation": "[1, 0, 0, 1, 0, 0]"},
        {"orientation": "None"},
    ],
)
def test_impossible_values_have_no_affine(changes):
    assert affine_of(**changes) is None


@pytest.mark.parametrize(
    "text", ["[-10, -20, 30]", "['-10', '-20', '30']", "(-10.0,-20.0,30.0)", "-10\\-20\\30", "-1e1 -20. 3E+1"]
)
def test_all_spellings_of_lists_are_read(text):
    assert affine_of(position=text) == affine_of()
