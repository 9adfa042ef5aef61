import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.dicom.body_planes import PLANES, hung_letters, hung_slice, radiological_view

EDGES = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "H", "F"), "sagittal": ("A", "P", "H", "F")}


@st.composite
def affines(draw, degrees):
    order, signs = draw(st.permutations(range(3))), draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    turn = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(0, degrees)] * 3)), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, list(order)] @ np.diag(signs) @ np.diag(draw(st.permutations([1, 2, 3])))
    return affine


@given(affine=affines(10), plane=st.sampled_from(sorted(PLANES)))
def test_views_of_any_array_have_the_edges_of_their_plane(affine, plane):
    assert hung_letters(affine, radiological_view(affine, plane)) == EDGES[plane]


@given(affine=affines(12), plane=st.sampled_from(sorted(PLANES)))
def test_hung_slice_is_that_of_the_canonical_array(affine, plane):
    """Nibabel as the oracle: the array turned to RAS+, then each picture from its far ends."""
    volume = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    view = radiological_view(affine, plane)
    canonical = np.asarray(nib.as_closest_canonical(nib.Nifti1Image(volume, affine)).dataobj)
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    slices = [np.take(canonical, index, across).T[::-1, ::-1].tolist() for index in range(canonical.shape[across])]
    hung = [hung_slice(volume, view, index).tolist() for index in range(volume.shape[view.across])]
    assert sorted(hung) == sorted(slices)
    assert hung in (slices, slices[::-1])


@pytest.mark.parametrize("plane", sorted(PLANES))
def test_hung_slice_is_a_view_of_the_array(plane):
    volume = np.zeros((3, 4, 5), np.int16)
    assert hung_slice(volume, radiological_view(np.eye(4), plane), 1).base is not None
