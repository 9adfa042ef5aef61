import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dicom.geometry import angle_between, is_plausible, plane_of, stack_affine

AXIAL = [1, 0, 0, 0, 1, 0]


def test_affine_of_a_known_case():
    """Supine, head first, axial: columns count to the left, rows to the back, slices to the head."""
    affine = stack_affine((10, 20, 30), (0, 0, 5), AXIAL, spacing=(2, 3))
    assert affine.tolist() == [[-3, 0, 0, -10], [0, -2, 0, -20], [0, 0, 5, 30], [0, 0, 0, 1]]


@pytest.mark.parametrize(
    ("orientation", "plane"),
    [
        ([1, 0, 0, 0, 1, 0], "axial"),
        ([-1, 0, 0, 0, -1, 0], "axial"),
        ([1, 0, 0, 0, 0, -1], "coronal"),
        ([0, 1, 0, 0, 0, -1], "sagittal"),
        ([1, 0, 0, 0, np.cos(0.4), np.sin(0.4)], "axial"),
        ([1, 0, 0, 0, np.cos(0.7), np.sin(0.7)], "oblique"),
    ],
)
def test_plane_has_the_name_of_the_nearest_body_plane(orientation, plane):
    assert plane_of(orientation) == plane


@pytest.mark.parametrize(
    ("position", "orientation", "spacing"),
    [
        ((), AXIAL, (1, 1)),
        ((0, 0, 0), (), (1, 1)),
        ((0, 0, 0), AXIAL, ()),
        ((0, 0, 0), AXIAL, (1, 0)),
        ((0, 0, 0), (0, 0, 0, 0, 0, 0), (1, 1)),
        ((0, 0, 0), (1, 0, 0, 1, 0, 0), (1, 1)),
        ((0, 0, 0), (2, 0, 0, 0, 1, 0), (1, 1)),
    ],
)
def test_geometry_with_invalid_values_is_implausible(position, orientation, spacing):
    assert is_plausible((0, 0, 0), AXIAL, (1, 1))
    assert not is_plausible(position, orientation, spacing)


@given(degrees=st.floats(0, 180))
def test_angles_are_exact_when_tiny(degrees):
    radians = np.radians(degrees)
    assert angle_between([1, 0, 0], [np.cos(radians), np.sin(radians), 0]) == pytest.approx(degrees, abs=1e-9)
