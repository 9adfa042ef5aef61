import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.dicom.reasons import QuarantineError
from refrad.dicom.stack import check_stack, irregularity_of, regular_runs

AXIAL = [1, 0, 0, 0, 1, 0]
LIMITS = {"minimum_slices": 3, "spacing_tolerance": 0.02, "angle_tolerance": 0.5}


def check(positions, orientation=AXIAL, spacing=(1, 1), **limits):
    orientations = np.broadcast_to(orientation, (len(positions), 6))
    return check_stack(positions, orientations, spacing, **{**LIMITS, **limits})


def column(places, x=0.0):
    """Positions one above the other, at these places along z; `x` is how far each is shifted aside a mm."""
    return [(x * z, 0, z) for z in places]


def refusal(positions, **options):
    with pytest.raises(QuarantineError) as refused:
        check(positions, **options)
    return refused.value.reason


@given(
    seed=st.integers(0, 2**32 - 1),
    step=st.floats(0.2, 20),
    spacing=st.tuples(st.floats(0.05, 10), st.floats(0.05, 10)),
    order=st.permutations(range(9)),
)
def test_regular_stack_is_ordered_along_its_normal(seed, step, spacing, order):
    along_row, along_column, normal = Rotation.random(random_state=seed).as_matrix()
    positions = np.array([100.0, -50, 20]) + step * np.array(order)[:, None] * normal
    stack = check(positions, [*along_row, *along_column], spacing)
    assert [order[i] for i in stack.order] == list(range(9))
    assert stack.spacing == pytest.approx((spacing[1], spacing[0], step))
    assert np.linalg.det(stack.affine[:3, :3]) > 0
    for index, number in enumerate(stack.order):
        np.testing.assert_allclose(stack.affine @ [0, 0, index, 1], [*(positions[number] * [-1, -1, 1]), 1], atol=1e-6)


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ([0, 5, 10, 20, 25], "slice_missing"),
        ([0, 5, 10, 25, 30, 35], "slice_missing"),
        ([0, 5, 10, 18, 23], "spacing_irregular"),
        ([0, 3, 6, 9, 17, 25], "spacing_irregular"),
        ([0, 5, 10, 20, 27, 32], "spacing_irregular"),
        ([0, 5, 5, 10, 15], "four_dimensional"),
        ([0, 5], "too_few_slices"),
        ([0], "too_few_slices"),
    ],
)
def test_irregular_stack_is_refused_with_its_reason(places, reason):
    assert refusal(column(places)) == reason


def test_distances_may_differ_by_the_tolerance_only():
    assert check(column([0, 1, 2.019, 3.019])).plane == "axial"
    assert refusal(column([0, 1, 2.021, 3.021])) == "spacing_irregular"


def test_distances_with_small_errors_may_not_add_up():
    places = np.cumsum([0] + [1.019] * 60 + [0.981] * 60)
    assert refusal(column(places)) == "spacing_irregular"


def test_slice_shifted_in_its_plane_is_refused():
    assert refusal([(0, 0, 0), (0.6, 0, 5), (0, 0, 10), (0, 0, 15)]) == "spacing_irregular"
    assert check([(0, 0, 0), (0.4, 0, 5), (0, 0, 10), (0, 0, 15)]).order.tolist() == [0, 1, 2, 3]


def test_slanted_stack_is_a_tilted_gantry():
    assert refusal(column(range(0, 25, 5), x=np.tan(np.radians(18.5)))) == "gantry_tilt"
    assert refusal(column(range(0, 25, 5), x=np.tan(np.radians(0.51)))) == "gantry_tilt"
    assert check(column(range(0, 25, 5), x=np.tan(np.radians(0.49)))).plane == "axial"


def test_slices_that_are_not_parallel_are_refused():
    turned = Rotation.from_euler("z", 0.6, degrees=True).as_matrix()
    orientations = [AXIAL, AXIAL, AXIAL, [*turned[0], *turned[1]]]
    with pytest.raises(QuarantineError) as refused:
        check_stack(column([0, 1, 2, 3]), orientations, (1, 1), **LIMITS)
    assert refused.value.reason == "orientation_inconsistent"


def runs_of(positions, minimum=3):
    runs = regular_runs(positions, AXIAL, (1, 1), minimum_slices=minimum, spacing_tolerance=0.02)
    return [run.tolist() for run in runs]


@pytest.mark.parametrize(
    ("places", "runs"),
    [
        ([0, 2, 4, 8, 10, 12], [[0, 1, 2], [3, 4, 5]]),
        ([0, 2, 4, 8, 10, 14, 16, 18, 20], [[0, 1, 2], [5, 6, 7, 8]]),  # two slices are too few
        ([0, 5, 10, 15, 17, 19, 21, 23], [[0, 1, 2], [3, 4, 5, 6, 7]]),  # the border belongs to the longer run
        ([0, 2, 4, 6, 11, 16], [[0, 1, 2, 3]]),  # and what is left of the shorter one is too short
        ([0, 5, 7, 9, 11], [[1, 2, 3, 4]]),
        ([12, 4, 0, 10, 2, 8], [[2, 4, 1], [5, 3, 0]]),  # in the order of the normal
        ([0, 3, 7, 8, 14], []),
    ],
)
def test_regular_runs_of_a_stack_with_gaps(places, runs):
    assert runs_of(column(places)) == runs


def test_regular_runs_end_where_the_table_moved():
    positions = [(0, 0, z) for z in range(5)] + [(30, 0, z) for z in range(5, 9)]
    assert runs_of(positions) == [[0, 1, 2, 3, 4], [5, 6, 7, 8]]


@given(
    steps=st.lists(st.sampled_from([1, 1, 1, 1, 2, 2.5, 3]), min_size=1, max_size=60),
    noise=st.integers(0, 2**32 - 1),
)
def test_regular_runs_are_grids_and_share_no_slice(steps, noise):
    r = np.random.default_rng(noise)
    places = np.cumsum([0.0, *steps]) + r.uniform(-0.004, 0.004, len(steps) + 1)
    positions = column(places, x=0.3)
    numbers = r.permutation(len(places))
    runs = runs_of([positions[number] for number in numbers])
    members = [number for run in runs for number in run]
    assert len(set(members)) == len(members)
    for run in runs:
        stack = check([positions[numbers[member]] for member in run], sheared=True)
        assert stack.order.tolist() == list(range(len(run)))
    if set(steps) == {1} and len(places) >= 3:
        assert [len(run) for run in runs] == [len(places)]


def rounded(places, decimals):
    return [round(float(place), decimals) for place in places]


# mm between slices, decimals
ROUNDED = [
    (1.25, 1),
    (0.625, 2),
    (0.625, 1),
    (1 / 3, 2),
    (1 / 3, 1),
    (0.7, 1),
    (5 / 3, 1),
    (1.5, 0),
    (2.5, 0),
    (0.8, 1),
]
COARSE_ENOUGH = [(step, decimals) for step, decimals in ROUNDED if 10**-decimals <= 0.4 * step]


@pytest.mark.parametrize(("step", "decimals"), COARSE_ENOUGH)
@pytest.mark.parametrize("start", [-100, 0.37, 12.345])
@pytest.mark.parametrize("rule", ["round", "floor"])
def test_rounded_positions_are_a_grid(step, decimals, start, rule):
    unit = 10**-decimals
    exact = start + step * np.arange(40)
    places = rounded(exact if rule == "round" else np.floor(exact / unit) * unit, decimals)
    stack = check(column(places), decimals=[(0, 0, decimals)] * 40)
    assert stack.spacing[2] == pytest.approx(step, abs=unit / 30)
    for index, place in enumerate(exact):
        assert stack.affine[2, 3] + index * stack.affine[2, 2] == pytest.approx(place, abs=1.5 * unit + 1e-9)


@pytest.mark.parametrize(("step", "decimals"), COARSE_ENOUGH)
@pytest.mark.parametrize("lost", [1, 5, 20, 38])
def test_rounding_explains_no_lost_slice(step, decimals, lost):
    places = rounded(np.delete(-100 + step * np.arange(40), lost), decimals)
    assert refusal(column(places), decimals=[(0, 0, decimals)] * 39) == "slice_missing"


@pytest.mark.parametrize(
    ("places", "decimals"),
    [
        ([0, 1, 2, 4, 5, 6], 0),  # a unit as large as the distance explains anything
        ([0, 5, 10, 18, 23], 0),
        ([0, 2.5, 5, 7.5, 12.5, 17.5], 1),
        ([0, 1.3, 2.5, 3.8, 5.0, 6.7], 1),  # 0.2 off
        ([0, 1.3, 2.5, 3.8, 5.0, 6.3], 2),  # written with more decimals, so not rounded
    ],
)
def test_irregular_places_are_no_rounded_ones(places, decimals):
    assert refusal(column(places), decimals=[(0, 0, decimals)] * len(places)) != ""


def test_coordinates_of_each_axis_have_their_own_decimals():
    """The decimals along x do not matter to an axial stack; nor does a slice at a round place."""
    places = rounded(1.25 * np.arange(20), 1)
    decimals = [(9, 9, 0 if place.is_integer() else 1) for place in places]
    assert check(column(places), decimals=decimals).plane == "axial"


@given(
    turn=st.tuples(st.floats(-180, 180), st.floats(-180, 180), st.floats(-180, 180)),
    step=st.floats(0.5, 6),
    decimals=st.integers(1, 3),
    order=st.permutations(range(12)),
)
def test_rounded_oblique_stack_is_a_grid(turn, step, decimals, order):
    along_row, along_column, normal = Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    exact = np.array([10.0, -50, 20]) + step * np.array(order)[:, None] * normal
    written = np.round(exact, decimals)
    if np.sqrt(3) / 2 * 10**-decimals > 0.18 * step:
        return
    stack = check(written, [*along_row, *along_column], angle_tolerance=3, decimals=np.full((12, 3), decimals))
    assert [order[i] for i in stack.order] == list(range(12))


@pytest.mark.parametrize("decimals", [3, 4])
def test_orientation_may_be_rounded_too(decimals):
    along_row, along_column, normal = Rotation.from_euler("xyz", (20, 10, 5), degrees=True).as_matrix()
    positions = 3.0 * np.arange(20)[:, None] * normal
    assert check(positions, np.round([*along_row, *along_column], decimals)).plane == "axial"


def test_regular_runs_of_rounded_positions():
    places = rounded([*(1.25 * np.arange(8)), *(20 + 1.25 * np.arange(6))], 1)
    runs = regular_runs(
        column(places), AXIAL, (1, 1), minimum_slices=3, spacing_tolerance=0.02, decimals=[(0, 0, 1)] * 14
    )
    assert [len(run) for run in runs] == [8, 6]


@pytest.mark.parametrize("count", range(4, 12))
@pytest.mark.parametrize("unit", [0.15, 0.25, 0.299, 0.3, 0.35, 0.4, 0.44])
def test_coarse_rounding_explains_no_lost_slice_of_few(count, unit):
    """Slices 1/unit apart, in units that are written without decimals."""
    for lost in range(1, count - 1):
        for start in np.arange(0, 1, 0.1):
            places = np.round(start + np.delete(np.arange(count), lost) / unit)
            refusal(column(places), decimals=[(0, 0, 0)] * (count - 1))


def test_irregularity_is_that_of_the_stack():
    places = column([0, 5, 10, 20, 25])
    assert irregularity_of(places, AXIAL, (1, 1), spacing_tolerance=0.02) == "slice_missing"
    assert irregularity_of(column([10, 0, 5]), AXIAL, (1, 1), spacing_tolerance=0.02) is None
