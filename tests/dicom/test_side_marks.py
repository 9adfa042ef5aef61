import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.dicom.geometry import stack_affine
from refrad.dicom.side_marks import SECOND_LETTER, edge_letters, letters_of_slice
from refrad.dicom.slices import image_at

OPPOSITE = {"R": "L", "L": "R", "A": "P", "P": "A", "H": "F", "F": "H"}
LETTER = {"S": "H", "I": "F"}  # nibabel's names of head and foot


@st.composite
def affines(draw, degrees):
    """Affines RAS+ whose axes are permuted, flipped, scaled and then turned by at most `degrees`."""
    order = draw(st.permutations(range(3)))
    signs = draw(st.tuples(*[st.sampled_from([-1, 1])] * 3))
    spacing = draw(st.tuples(*[st.floats(0.2, 8)] * 3))
    axis = np.array(draw(st.tuples(*[st.floats(-1, 1)] * 3)))
    axis = axis / np.linalg.norm(axis) if np.linalg.norm(axis) > 0.1 else np.array([0, 0, 1.0])
    turn = Rotation.from_rotvec(np.radians(draw(st.floats(0, degrees))) * axis).as_matrix()
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.eye(3)[:, list(order)] @ np.diag(np.multiply(signs, spacing))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return affine


@given(affine=affines(40), across=st.integers(0, 2))
def test_first_letters_are_the_axes_that_nibabel_finds(affine, across):
    codes = [LETTER.get(code, code) for code in nib.aff2axcodes(affine)]
    right, bottom = (codes[axis] for axis in range(3) if axis != across)
    letters = letters_of_slice(affine, across)
    assert (letters.right[0], letters.bottom[0]) == (right, bottom)
    assert (letters.left[0], letters.top[0]) == (OPPOSITE[right], OPPOSITE[bottom])


@given(affine=affines(90), across=st.integers(0, 2))
def test_letters_of_opposite_edges_are_opposite(affine, across):
    letters = letters_of_slice(affine, across)
    assert letters.left == "".join(OPPOSITE[letter] for letter in letters.right)
    assert letters.top == "".join(OPPOSITE[letter] for letter in letters.bottom)


@given(affine=affines(90), across=st.integers(0, 2))
def test_edge_lies_to_the_side_of_its_letters(affine, across):
    """A step along the columns of the picture moves to the side that the right edge names, one down to that of the bottom edge."""
    side = {
        letter: np.eye(3)[axis] * sign for sign, row in ((1, "RAH"), (-1, "LPF")) for axis, letter in enumerate(row)
    }
    column, row = (affine[:3, axis] for axis in range(3) if axis != across)
    letters = letters_of_slice(affine, across)
    for step, name in ((column, letters.right), (row, letters.bottom)):
        shares = step / np.linalg.norm(step)
        named = [shares @ side[letter] for letter in name]
        assert named[0] == pytest.approx(np.max(np.abs(shares)))
        assert all(share >= 0 for share in named) and named == sorted(named, reverse=True)
        assert (len(name) == 1) == (named[0] > np.cos(np.radians(SECOND_LETTER)))


# Patient position, and directions of rows and columns of an axial image as the scanner stores it.
POSITIONS = [
    ("HFS", (1, 0, 0), (0, 1, 0), ("R", "L", "A", "P")),
    ("HFP", (-1, 0, 0), (0, -1, 0), ("L", "R", "P", "A")),
    ("FFS", (-1, 0, 0), (0, 1, 0), ("L", "R", "A", "P")),
    ("FFP", (1, 0, 0), (0, -1, 0), ("R", "L", "P", "A")),
    ("HFDR", (0, -1, 0), (1, 0, 0), ("P", "A", "R", "L")),
    ("HFDL", (0, 1, 0), (-1, 0, 0), ("A", "P", "L", "R")),
]


@pytest.mark.parametrize(
    ("row", "column", "letters"), [row[1:] for row in POSITIONS], ids=[row[0] for row in POSITIONS]
)
def test_letters_follow_the_patient_not_the_table(row, column, letters):
    assert edge_letters(row, column) == letters
    affine = stack_affine((0, 0, 0), 3 * np.cross(row, column), (*row, *column), (0.8, 0.7))
    assert letters_of_slice(affine) == letters


@pytest.mark.parametrize(
    ("row", "column", "letters"),
    [
        ((1, 0, 0), (0, 0, -1), ("R", "L", "H", "F")),
        ((0, 1, 0), (0, 0, -1), ("A", "P", "H", "F")),
        ((0, -1, 0), (0, 0, 1), ("P", "A", "F", "H")),
        ((1, 0, 0), (0, 0.95, -0.3), ("R", "L", "A", "P")),
        ((1, 0, 0), (0, 0.8, -0.6), ("R", "L", "AH", "PF")),
        ((0.8, 0.6, 0), (0, 0, -1), ("RA", "LP", "H", "F")),
        ((0.6, 0.8, 0), (0, 0, -1), ("AR", "PL", "H", "F")),
        ((10, 0, 0), (0, 0.001, 0), ("R", "L", "A", "P")),
    ],
)
def test_edge_letters_of_known_directions(row, column, letters):
    assert edge_letters(row, column) == letters


@pytest.mark.parametrize(("degrees", "bottom"), [(SECOND_LETTER - 0.1, "P"), (SECOND_LETTER + 0.1, "PF")])
def test_second_letter_stands_from_a_fixed_angle_on(degrees, bottom):
    turned = (0, np.cos(np.radians(degrees)), -np.sin(np.radians(degrees)))
    assert edge_letters((1, 0, 0), turned).bottom == bottom


@pytest.mark.parametrize("direction", [(0, 0, 0), (np.nan, 0, 1), (np.inf, 0, 0)])
def test_direction_without_length_is_refused(direction):
    with pytest.raises(ValueError, match="no side"):
        edge_letters(direction, (0, 1, 0))
    with pytest.raises(ValueError, match="no side"):
        edge_letters((1, 0, 0), direction)


@pytest.mark.parametrize("across", range(3))
def test_letters_are_those_of_the_slice_as_a_picture(across):
    """The pixel nearest the patient's right, front or head lies at the edge with that letter."""
    affine = stack_affine((0, 0, 0), (0, 0, 2), (1, 0, 0, 0, 1, 0), (1, 1))
    voxels = np.stack(np.meshgrid(*[np.arange(5.0)] * 3, indexing="ij"), axis=-1)
    world = voxels @ affine[:3, :3].T + affine[:3, 3]
    letters = letters_of_slice(affine, across)
    for axis, side in enumerate(("R", "A", "H")):
        if side not in letters:
            continue
        picture = image_at(world[..., axis], 2, across)
        row, column = np.unravel_index(np.argmax(picture), picture.shape)
        edge = letters._fields[letters.index(side)]
        assert {"left": column == 0, "right": column == 4, "top": row == 0, "bottom": row == 4}[edge]
