"""Passes and phases in one series, by all that may tell them apart. The series are made up of headers alone."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.factories import plain_header

from refrad.dicom.series import VolumeMember, divide_into_volumes

DAY = 86400.0


def images(places, start=0, modality="CT", times=None, **attributes):
    """Headers at these places along z; `times`: the time of acquisition of each, s; callables give the value of image k."""
    headers = []
    for k, z in enumerate(places):
        values = {name: value(k) if callable(value) else value for name, value in attributes.items()}
        headers.append(
            plain_header(
                start + k,
                **{
                    "modality": modality,
                    "position": (0.0, 0.0, float(z)),
                    "decimals": (0, 0, 3),
                    "times": () if times is None else (None, float(times[k]), None, None),
                    **values,
                },
            )
        )
    return headers


def volumes(headers):
    """The volumes as sets of instance UIDs."""
    ordered = sorted(headers, key=lambda header: header.path)
    parts = {}
    for header, image in zip(ordered, divide_into_volumes(ordered), strict=True):
        if isinstance(image, VolumeMember):
            parts.setdefault(image.volume, set()).add(header.instance_uid)
    return {frozenset(part) for part in parts.values()}


def all_of(parts):
    return [header for part in parts for header in part]


def names(headers):
    return frozenset(header.instance_uid for header in headers)


def sizes(headers):
    return sorted(len(volume) for volume in volumes(headers))


PLACES = 3.0 * np.arange(20)
# Another pass over the same range at places of its own: half-way, at a third, at odd places
OFFSETS = [1.5, 1.0, 0.8]

# What tells two passes apart: attributes of the first and of the second
DIFFERENCES = {
    "acquisition": ({"acquisition": 1.0}, {"acquisition": 2.0}),
    "temporal position": ({"temporal": 1.0}, {"temporal": 2.0}),
    "kernel": ({"kernel": "B30f"}, {"kernel": "B70f"}),
    "tube voltage": ({"kilovolts": 80.0}, {"kilovolts": 140.0}),
    "contrast": ({"contrast": ""}, {"contrast": "agent"}),
    "thickness": ({"thickness": 3.0}, {"thickness": 5.0}),
    "cardiac phase": ({"cardiac_phase": 40.0}, {"cardiac_phase": 75.0}),
    "respiratory phase": ({"respiratory_phase": 0.0}, {"respiratory_phase": 50.0}),
    "component": ({"component": "MAGNITUDE"}, {"component": "PHASE"}),
    "irradiation event": ({"irradiation": "1.2.1"}, {"irradiation": "1.2.2"}),
    "time of the pass": ({"times": [100.0] * 20}, {"times": [160.0] * 20}),
    "times of slices": ({"times": 100 + 0.2 * np.arange(20)}, {"times": 160 + 0.2 * np.arange(20)}),
    "times of slices, no pause": ({"times": np.arange(20)}, {"times": 20 + np.arange(20)}),
    "times of slices, back": ({"times": 100 + 0.2 * np.arange(20)}, {"times": 160 - 0.2 * np.arange(20)}),
    "times over midnight": ({"times": DAY - 20 + 0.2 * np.arange(20)}, {"times": 30 + 0.2 * np.arange(20)}),
    "instance numbers": ({"instance_number": lambda k: k + 1}, {"instance_number": lambda k: k + 21}),
}


@pytest.mark.parametrize("offset", OFFSETS)
@pytest.mark.parametrize("difference", DIFFERENCES)
def test_passes_of_ct_over_one_range_are_two_volumes(difference, offset):
    first, second = DIFFERENCES[difference]
    series = [images(PLACES, **first), images(PLACES + offset, start=100, **second)]
    assert volumes(series[0] + series[1]) == {names(part) for part in series}


@pytest.mark.parametrize("difference", sorted(DIFFERENCES.keys() - {"times of slices, no pause", "instance numbers"}))
@pytest.mark.parametrize("second_places", [31.3 + PLACES, 58.9 + PLACES, 12.1 + 2.5 * np.arange(20), PLACES[:8] + 13.3])
def test_passes_of_ct_that_are_no_grid_together_are_two_volumes(difference, second_places):
    first, second = DIFFERENCES[difference]
    second = {name: value[: len(second_places)] if name == "times" else value for name, value in second.items()}
    series = [images(PLACES, **first), images(second_places, start=100, **second)]
    assert volumes(series[0] + series[1]) == {names(part) for part in series}


def test_three_phases_at_thirds_are_three_volumes():
    phases = [images(PLACES + k, start=100 * k, acquisition=float(k)) for k in range(3)]
    assert volumes(all_of(phases)) == {names(phase) for phase in phases}


def test_passes_of_two_kernels_are_four_volumes():
    parts = [
        images(PLACES + offset, start=start, kernel=kernel, acquisition=offset)
        for start, (offset, kernel) in enumerate([(0, "a"), (0, "b"), (1.5, "a"), (1.5, "b")])
    ]
    renamed = [[h._replace(path=f"{i}{h.path}", instance_uid=f"{i}{h.path}") for h in p] for i, p in enumerate(parts)]
    assert volumes(all_of(renamed)) == {names(part) for part in renamed}


def test_mr_that_interleaves_acquisitions_is_one_volume():
    odd_and_even = [images(PLACES + 1.5 * k, start=100 * k, modality="MR", acquisition=float(k)) for k in range(2)]
    assert sizes(odd_and_even[0] + odd_and_even[1]) == [40]


def test_mr_with_a_lost_slice_is_not_cut_into_its_acquisitions():
    acquired = images(
        [k * 1.5 for k in range(20) if k != 1], modality="MR", acquisition=lambda k: float((k + (k > 0)) % 2)
    )
    assert sizes(acquired) == [19]


@pytest.mark.parametrize("slices_of_step", [1, 4, 10])
def test_acquisitions_of_table_positions_are_one_volume(slices_of_step):
    def number(k):
        return float(k // slices_of_step)

    assert sizes(images(PLACES, acquisition=number, times=[number(k) for k in range(20)])) == [20]


@pytest.mark.parametrize("lost", [1, 4, 5, 10, 18])
@pytest.mark.parametrize("slices_of_step", [5, 10])
def test_lost_slice_of_several_acquisitions_does_not_cut_the_volume(lost, slices_of_step):
    places = np.delete(PLACES, lost)
    series = images(
        places, acquisition=lambda k: places[k] // (3 * slices_of_step), times=places // (3 * slices_of_step)
    )
    assert sizes(series) == [19]


def test_passes_that_nothing_tells_apart_stay_one_volume():
    assert sizes(images(PLACES) + images(PLACES + 1.5, start=100)) == [40]


# Dynamic series

ORDERS = {"ascending": range(8), "interleaved": [0, 4, 1, 5, 2, 6, 3, 7], "descending": range(7, -1, -1)}


def dynamic(passes, order, start=100.0, of_pass=10.0, of_slice=1.0, modality="MR"):
    """A list of passes over 8 places, each slice at a time of its own."""
    return [
        images(
            3.0 * np.arange(8),
            start=100 * number,
            modality=modality,
            times=[start + number * of_pass + of_slice * list(order).index(k) for k in range(8)],
        )
        for number in range(passes)
    ]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dynamic_series_divides_into_its_passes(order, modality):
    passes = dynamic(4, ORDERS[order], modality=modality)
    assert volumes(all_of(passes)) == {names(part) for part in passes}


def test_dynamic_series_divides_by_one_time_for_each_pass():
    passes = dynamic(5, ORDERS["ascending"], of_slice=0.0)
    assert volumes(all_of(passes)) == {names(part) for part in passes}


def test_dynamic_series_may_run_over_midnight():
    passes = [
        [h._replace(times=(None, h.times[1] % DAY, None, None)) for h in part]
        for part in dynamic(4, ORDERS["ascending"], start=DAY - 15)
    ]
    assert volumes(all_of(passes)) == {names(part) for part in passes}


def test_last_pass_of_a_dynamic_series_may_end_early():
    passes = dynamic(4, ORDERS["ascending"])
    passes[-1] = passes[-1][:3]
    assert volumes(all_of(passes)) == {names(part) for part in passes}


@pytest.mark.parametrize("kind", range(4))
def test_any_kind_of_time_divides_a_dynamic_series(kind):
    passes = [
        [h._replace(times=tuple(h.times[1] if i == kind else None for i in range(4))) for h in part]
        for part in dynamic(3, ORDERS["ascending"])
    ]
    assert volumes(all_of(passes)) == {names(part) for part in passes}


def test_trigger_times_that_differ_between_slices_divide_a_series():
    phases = [images(PLACES, start=100 * n, modality="MR", trigger_time=lambda k, n=n: 40.0 * n + k) for n in range(4)]
    assert volumes(all_of(phases)) == {names(phase) for phase in phases}


@pytest.mark.parametrize(
    "times",
    [
        [[0, 0, 0], [0, 0, 0]],  # no difference
        [[0, 2, 4], [1, 3, 5]],  # all images of a slice, then of the next
        [[0, 1, 2], [2, 3, 4]],  # one pass begins as the other ends
    ],
)
def test_passes_that_are_not_certain_stay_together(times):
    series = [images(PLACES[:3], start=100 * n, modality="MR", times=t) for n, t in enumerate(times)]
    assert sizes(series[0] + series[1]) == [6]


def test_acquisitions_of_half_the_slices_are_put_together_again():
    """Each pass is acquired in two halves of their own number and time."""
    halves = [
        images(6.0 * np.arange(6) + 3 * half, start=100 * n, modality="MR", times=[10.0 * n] * 6, acquisition=float(n))
        for n, half in enumerate([0, 1, 0, 1])
    ]
    assert volumes(all_of(halves)) == {names(halves[0] + halves[1]), names(halves[2] + halves[3])}


def test_phases_of_ct_with_other_coverage_divide_by_their_times():
    phases = [
        images(PLACES[:14], times=100 + 0.2 * np.arange(14)),
        images(PLACES[6:], start=100, times=160 + 0.2 * np.arange(14)),
    ]
    assert volumes(phases[0] + phases[1]) == {names(phase) for phase in phases}


def test_images_that_watch_the_contrast_are_in_no_phase():
    watching = images([30.0] * 3, start=200, times=[50, 52, 54])
    phases = [
        images(PLACES, times=100 + 0.2 * np.arange(20)),
        images(PLACES[4:16], start=100, times=160 + 0.2 * np.arange(12)),
    ]
    assert {names(phase) for phase in phases} <= volumes(watching + phases[0] + phases[1])


# Diffusion

DIRECTIONS = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), (0.6, 0.8, 0.0)]


def test_directions_of_one_b_value_are_volumes():
    weighted = [(0.0, ())] + [(1000.0, direction) for direction in DIRECTIONS] + [(2000.0, d) for d in DIRECTIONS]
    parts = [
        images(PLACES, start=100 * n, modality="MR", b_value=b, direction=direction)
        for n, (b, direction) in enumerate(weighted)
    ]
    assert volumes(all_of(parts)) == {names(part) for part in parts}


def test_trace_and_directional_images_of_one_b_value_are_two_volumes():
    kinds = ["DIRECTIONAL", "ISOTROPIC"]
    parts = [
        images(PLACES, start=100 * n, modality="MR", b_value=800.0, directionality=kind) for n, kind in enumerate(kinds)
    ]
    assert volumes(parts[0] + parts[1]) == {names(part) for part in parts}


# Values that differ by rounding

# Attribute, jitter of one setting, two settings that differ
JITTER = [
    ("echo_time", 1e-4, (2.46, 2.56)),
    ("echo_time", 4e-3, (4.92, 7.38)),
    ("b_value", 0.1, (0.0, 5.0)),
    ("flip_angle", 1e-3, (9.0, 10.0)),
    ("kilovolts", 0.1, (80.0, 100.0)),
    ("inversion_time", 1e-3, (400.0, 401.0)),
    ("trigger_time", 0.02, (0.0, 20.0)),
    ("cardiac_phase", 1e-4, (40.0, 45.0)),
    ("respiratory_phase", 1e-4, (0.0, 50.0)),
    ("thickness", 1e-4, (3.0, 5.0)),
]


@pytest.mark.parametrize(("attribute", "jitter", "settings_"), JITTER)
def test_jitter_of_a_setting_divides_nothing(attribute, jitter, settings_):
    series = [
        images(PLACES, start=100 * n, modality="MR", **{attribute: lambda k, s=setting: s + jitter * (k % 4)})
        for n, setting in enumerate(settings_)
    ]
    assert volumes(series[0]) == {names(series[0])}
    assert volumes(series[0] + series[1]) == {names(part) for part in series}


def test_jitter_of_directions_divides_nothing():
    parts = [
        images(PLACES, start=100 * n, modality="MR", direction=lambda k, d=d: tuple(c + 1e-4 * (k % 3) for c in d))
        for n, d in enumerate(DIRECTIONS)
    ]
    assert volumes(all_of(parts)) == {names(part) for part in parts}


# Any order of files

TELLING = st.sampled_from(["acquisition", "kernel", "temporal", "contrast", "times", "times of slices"])


@settings(max_examples=60, deadline=None)
@given(
    telling=TELLING,
    offsets=st.sampled_from([(0, 0), (0, 1.5), (0, 1.1, 2.2), (0, 1, 2), (0, 0, 1.5), (0, 28.7), (0, 45.0)]),
    modality=st.sampled_from(["CT", "MR"]),
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(6, 24),
    plane=st.sampled_from(
        [(1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)]
    ),
)
def test_division_does_not_depend_on_the_order_of_files(telling, offsets, modality, seed, count, plane):
    r = np.random.default_rng(seed)
    normal = np.cross(plane[:3], plane[3:])
    series = []
    for n, offset in enumerate(offsets):
        slices = r.permutation(count)
        attributes = {
            "acquisition": {"acquisition": float(n)},
            "kernel": {"kernel": str(n)},
            "temporal": {"temporal": float(n)},
            "contrast": {"contrast": "agent" * n},
            "times": {"times": [60.0 * n] * count},
            "times of slices": {"times": 60.0 * n + slices * 0.5},
        }[telling]
        part = images(np.arange(count), start=1000 * n, modality=modality, echo_time=2.0, **attributes)
        series += [
            header._replace(
                position=tuple(normal * (3 * k + offset) + r.uniform(-1e-4, 1e-4, 3)),
                decimals=(6, 6, 6),
                orientation=plane,
                echo_time=2.0 + r.uniform(-1e-4, 1e-4),
            )
            for k, header in enumerate(part)
        ]
    expected = volumes(series)
    renamed = [h._replace(path=f"{number:05}") for h, number in zip(series, r.permutation(len(series)), strict=True)]
    assert volumes(renamed) == expected
    assert sum(map(len, expected)) == len(series)
    if modality == "CT" or 45.0 in offsets or len(set(offsets)) == 1:
        by_number = Counter(frozenset(int(name) // 1000 for name in volume) for volume in expected)
        joined = [parts for parts in by_number if len(parts) > 1]
        assert not joined or 3.0 * count < max(offsets) + 1, joined  # passes one after the other may be one grid


def test_dimensions_of_a_multi_frame_image_divide_it():
    """Stack, position, and what the vendor alone knows, such as labelled and control images; another index for each image."""
    series = all_of(
        images(PLACES[:8], 100 * turn, "MR", dimensions=lambda k, turn=turn: (1.0, k + 1.0, turn + 1.0, 8.0 * turn + k))
        for turn in range(3)
    )
    assert sizes(series) == [8, 8, 8]
    alike = all_of(images(PLACES[:8], 100 * turn, "MR", dimensions=lambda k: (1.0, k + 1.0)) for turn in range(3))
    assert sizes(alike) == [24]
    assert sizes(series[:8] + images(PLACES[:8], 200, "MR")) == [16]  # one file has dimensions, the other none


def test_two_dimensions_divide_one_after_the_other():
    series = all_of(
        images(PLACES[:8], 100 * turn, "MR", dimensions=lambda k, turn=turn: (turn // 2 + 1.0, k + 1.0, turn % 2 + 1.0))
        for turn in range(4)
    )
    assert sizes(series) == [8, 8, 8, 8]


@pytest.mark.parametrize("offset", [10.4, 24.0, 101.3])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_stacks_of_a_multi_frame_image_that_are_no_grid_together(offset, modality):
    """Stations that overlap, meet or lie apart; of a grid, stacks are parts."""
    first, second = images(PLACES[:8], 0, modality, stack="1"), images(offset + PLACES[:8], 100, modality, stack="2")
    assert sizes(first + second) == ([16] if offset == 24 else [8, 8])


def test_stacks_of_few_frames_divide_nothing():
    assert sizes(images([0, 3, 6, 12, 15, 18], 0, "MR", stack=lambda k: str(k // 3))) == [6]
