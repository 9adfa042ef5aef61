import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes
from scipy.spatial.transform import Rotation

from refrad.dicom.hanging import PLANES, TURNS, axis_across, radiological_turn, turned_letters
from refrad.dicom.side_marks import slice_directions
from refrad.dicom.slices import image_at

HANGS = {"axial": ("R", "L", "A", "P"), "coronal": ("R", "L", "H", "F"), "sagittal": ("A", "P", "H", "F")}
LPS = {"R": (-1, 0, 0), "L": (1, 0, 0), "A": (0, -1, 0), "P": (0, 1, 0), "F": (0, 0, -1), "H": (0, 0, 1)}
PLANE_OF = {frozenset("xy"): "axial", frozenset("xz"): "coronal", frozenset("yz"): "sagittal"}
AXIS = {"R": "x", "L": "x", "A": "y", "P": "y", "F": "z", "H": "z"}
STORED = [(right, down) for right in LPS for down in LPS if AXIS[right] != AXIS[down]]
turns = st.sampled_from(sorted(TURNS))


@pytest.mark.parametrize(("right", "down"), STORED, ids=["-".join(pair) for pair in STORED])
def test_slice_of_any_storage_hangs_as_its_plane(right, down):
    plane = PLANE_OF[frozenset({AXIS[right], AXIS[down]})]
    turn = radiological_turn(LPS[right], LPS[down])
    assert turned_letters(LPS[right], LPS[down], turn) == HANGS[plane]


@pytest.mark.parametrize(
    ("position", "right", "down", "turn"),
    [
        ("supine", "L", "P", "none"),
        ("prone", "R", "A", "rotate_180"),
        ("decubitus right", "P", "R", "rotate_90"),
        ("decubitus left", "A", "L", "rotate_270"),
    ],
)
def test_patient_who_lies_otherwise_is_turned(position, right, down, turn):
    """Directions that a scanner writes whose pictures have the table at the bottom, seen from the feet."""
    assert radiological_turn(LPS[right], LPS[down]) == TURNS[turn], position


@given(st.integers(0, 2**32 - 1), st.floats(0, 25))
def test_tilted_slice_hangs_as_the_nearest_plane(seed, degrees):
    rng = np.random.default_rng(seed)
    right, down = STORED[rng.integers(len(STORED))]
    axis = rng.normal(size=3)
    tilt = Rotation.from_rotvec(np.radians(degrees) * axis / np.linalg.norm(axis))
    directions = tilt.apply(LPS[right]), tilt.apply(LPS[down])
    plane = PLANE_OF[frozenset({AXIS[right], AXIS[down]})]
    letters = turned_letters(*directions, radiological_turn(*directions))
    assert tuple(letter[0] for letter in letters) == HANGS[plane]


@given(turns, st.integers(1, 9), st.integers(1, 9), st.data())
def test_box_is_turned_with_its_mask(name, width, height, data):
    turn = TURNS[name]
    x_min, y_min = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    x_max, y_max = data.draw(st.integers(x_min + 1, width)), data.draw(st.integers(y_min + 1, height))
    mask = np.zeros((height, width), bool)
    mask[y_min:y_max, x_min:x_max] = True
    turned = turn.image(mask)
    rows, columns = np.nonzero(turned)
    box = turn.box((x_min, y_min, x_max, y_max), width, height)
    assert box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turned.shape[::-1] == turn.size(width, height)
    assert turn.inverse.box(box, *turn.size(width, height)) == (x_min, y_min, x_max, y_max)


@given(turns, st.integers(1, 5), st.integers(1, 5))
def test_inverse_restores_the_picture(name, rows, columns):
    picture = np.arange(rows * columns * 3).reshape(rows, columns, 3)
    turn = TURNS[name]
    assert np.array_equal(turn.inverse.image(turn.image(picture)), picture)
    assert turn.name == name


@given(st.permutations(range(3)), st.tuples(*[st.sampled_from([-1, 1])] * 3), st.integers(0, 2))
def test_turned_volume_has_the_axes_that_nibabel_names(order, signs, across):
    affine = np.eye(4)
    affine[:3, :3] = np.diag(signs)[:, order]
    right, down = slice_directions(affine, across)
    names = [{"S": "H", "I": "F"}.get(code, code) for code in aff2axcodes(affine)]
    kept = [name for axis, name in enumerate(names) if axis != across]
    letters = turned_letters(right, down, TURNS["none"])
    assert [letters.right, letters.bottom] == kept


@st.composite
def affines(draw, degrees):
    order, signs = draw(st.permutations(range(3))), draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    turn = Rotation.from_euler("xyz", draw(st.tuples(*[st.floats(0, degrees)] * 3)), degrees=True).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, list(order)] @ np.diag(signs) @ np.diag(draw(st.permutations([1, 2, 3])))
    return affine


@given(affine=affines(10), plane=st.sampled_from(sorted(PLANES)))
def test_views_of_any_array_have_the_edges_of_their_plane(affine, plane):
    directions = slice_directions(affine, axis_across(affine, plane))
    assert turned_letters(*directions, radiological_turn(*directions, plane)) == HANGS[plane]


@given(affine=affines(12), plane=st.sampled_from(sorted(PLANES)))
def test_hung_slice_is_that_of_the_canonical_array(affine, plane):
    """Nibabel as the oracle: the array turned to RAS+, then each picture from its far ends."""
    volume = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5)
    axis = axis_across(affine, plane)
    turn = radiological_turn(*slice_directions(affine, axis), plane)
    canonical = np.asarray(nib.as_closest_canonical(nib.Nifti1Image(volume, affine)).dataobj)
    across = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    slices = [np.take(canonical, index, across).T[::-1, ::-1].tolist() for index in range(canonical.shape[across])]
    hung = [turn.image(image_at(volume, index, axis)).tolist() for index in range(volume.shape[axis])]
    assert sorted(hung) == sorted(slices)
    assert hung in (slices, slices[::-1])


@pytest.mark.parametrize("directions", [((0, 0, 0), (0, 1, 0)), ((1, 0, 0), (1, 0, 0)), ((np.nan, 0, 0), (0, 1, 0))])
def test_directions_without_a_plane_are_refused(directions):
    with pytest.raises(ValueError, match="span no plane"), np.errstate(invalid="ignore"):
        radiological_turn(*directions)
