from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.factories import plain_header

from refrad.dicom.headers import Header
from refrad.dicom.series import QuarantinedImage, VolumeMember, divide_into_volumes


def slice_at(z, uid, **changes):
    return plain_header(uid, **{"position": (0.0, 0.0, float(z)), "decimals": (3, 3, 3), **changes})


def sizes(headers):
    """Sizes of the volumes, largest first, and the number of images of each quarantine reason."""
    images = divide_into_volumes(sorted(headers, key=lambda header: header.path))
    volumes = Counter(image.volume for image in images if isinstance(image, VolumeMember))
    return sorted(volumes.values(), reverse=True), dict(Counter(reason for reason in reasons(images) if reason))


def reasons(images):
    """The reason of each quarantined image, None of each image of a volume."""
    return [image.reason if isinstance(image, QuarantinedImage) else None for image in images]


def test_slices_of_a_series_are_one_volume():
    assert sizes([slice_at(z, z) for z in range(5)]) == ([5], {})


@pytest.mark.parametrize(
    "differs",
    [
        {"series_uid": "2"},
        {"study_uid": "T"},
        {"patient_id": "Q"},
        {"rows": 8},
        {"spacing": (1.0, 1.1)},
        {"orientation": (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)},
        {"image_type": "DERIVED\\PRIMARY\\P"},
        {"echo_time": 40.0},
        {"frame_of_reference": "other"},
    ],
)
def test_images_of_another_kind_are_another_volume(differs):
    assert sizes([slice_at(z, z) for z in range(5)] + [slice_at(z + 9, z + 9, **differs) for z in range(4)]) == (
        [5, 4],
        {},
    )


def scattered(heights, frames, **changes):
    pairs = zip(heights, frames, strict=True)
    return [slice_at(z, n, frame_of_reference=str(frame), **changes) for n, (z, frame) in enumerate(pairs)]


DIFFER = "frames_of_reference_differ"
ALONE = range(12)  # a frame of reference each


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (scattered(range(12), ALONE), ([12], {})),
        (scattered([5 * z for z in range(12)], ["", *ALONE[1:]]), ([12], {})),
        (scattered(range(12), [*ALONE[:10], 9, 9]), ([12], {})),
        (scattered(range(12), [n // 2 for n in range(12)]), ([12], {})),
        (scattered(range(5), range(5)), ([5], {})),
        (scattered(range(4), range(4)), ([], {DIFFER: 4})),
        (scattered([*range(6), *range(9, 15)], ALONE), ([], {DIFFER: 12})),
        (scattered([0, 1, 2.7, 4, 5, 6, 7.4, 8, 9, 10, 11, 12], ALONE), ([], {DIFFER: 12})),
        (scattered([3] * 12, ALONE), ([], {DIFFER: 12})),
        (scattered([*range(9), 30, 41, 57], [*[0] * 4, *range(1, 9)]), ([4], {DIFFER: 8})),
        (scattered(range(12), [n // 4 for n in range(12)]), ([4, 4, 4], {})),
        (scattered(range(12), [*[0] * 10, 1, 2]), ([10, 1, 1], {})),
    ],
)
def test_frames_of_reference_of_single_images_are_not_trusted(headers, expected):
    assert sizes(headers) == expected


def test_phases_with_a_frame_of_reference_for_each_image_are_volumes():
    phases = [slice_at(z, 9 * t + z, temporal=t, frame_of_reference=f"{t} {z}") for t in range(2) for z in range(8)]
    assert sizes(phases) == ([8, 8], {})


def test_scattered_frames_of_one_direction_leave_others_as_they_are():
    sagittal = {"orientation": (0.0, 1.0, 0.0, 0.0, 0.0, -1.0), "frame_of_reference": "one"}
    axial = scattered([*range(6), *range(9, 15)], ALONE)
    assert sizes([*axial, *(slice_at(0, 50 + x, position=(5.0 * x, 0.0, 0.0), **sagittal) for x in range(3))]) == (
        [3],
        {DIFFER: 12},
    )


def test_acquisition_numbers_of_slices_do_not_divide_a_volume():
    assert sizes([slice_at(z, z, acquisition=z, trigger_time=17.0 * z) for z in range(6)]) == ([6], {})


@pytest.mark.parametrize(
    "attribute", ["temporal", "acquisition", "b_value", "trigger_time", "inversion_time", "flip_angle"]
)
def test_phases_at_the_same_positions_are_separate_volumes(attribute):
    phases = [slice_at(z, 100 * phase + z, **{attribute: phase}) for phase in range(3) for z in range(5)]
    assert sizes(phases) == ([5, 5, 5], {})


def test_division_prefers_the_attribute_that_leaves_volumes():
    """Every image has an acquisition of its own; the temporal position tells the phases apart."""
    images = [slice_at(z, 100 * t + z, temporal=t, acquisition=100 * t + z) for t in range(2) for z in range(5)]
    assert sizes(images) == ([5, 5], {})


def test_division_may_need_two_attributes():
    images = [
        slice_at(z, 1000 * t + 100 * b + z, temporal=t, b_value=b) for t in range(2) for b in range(2) for z in range(5)
    ]
    assert sizes(images) == ([5, 5, 5, 5], {})


def test_copies_of_an_image_are_in_its_volume_under_its_key():
    """Headers alone do not tell whether their pixels are equal."""
    series = [slice_at(z, z) for z in range(5)]
    copies = [header._replace(path=f"zz/{header.path}") for header in series]
    images = divide_into_volumes(series + copies)
    assert reasons(images) == [None] * 10
    assert images[:5] == images[5:]


def test_rare_copies_of_an_image_are_duplicates():
    series = [slice_at(z, z) for z in range(5)]
    images = divide_into_volumes([*series, series[2]._replace(path="zz")])
    assert reasons(images) == [None] * 5 + ["duplicate"]
    assert images[2].instance == images[5].instance
    assert reasons(divide_into_volumes([*series, series[2]._replace(path="zz")], keep_one=False)) == [None] * 6


def test_altered_copies_do_not_divide_a_volume():
    series = [slice_at(z, z, instance_number=z, frame_of_reference="1") for z in range(5)]
    copies = [
        slice_at(z, z, instance_number=z, path=f"a{z}", image_type="DERIVED", position=(0.0, 0.0, z + 0.4))
        for z in range(5)
    ]
    images = divide_into_volumes(copies + series)
    assert reasons(images) == [None] * 10
    assert len({image.volume for image in images}) == 1
    assert len({image.instance for image in images}) == 10  # both become volumes if their pixels differ


def test_rare_repetitions_keep_the_lowest_instance_number():
    series = [slice_at(z, z, instance_number=z + 1) for z in range(5)]
    again = slice_at(2, 99, instance_number=1)
    images = divide_into_volumes([*series, again])
    assert reasons(images) == [None, None, "duplicate", None, None, None]


def test_indistinguishable_repetitions_stay_together():
    assert sizes([slice_at(z, 100 * t + z) for t in range(3) for z in range(5)]) == ([15], {})


def test_different_images_with_one_uid_have_separate_keys():
    headers = [slice_at(z, z, instance_uid="same") for z in range(5)]
    assert sizes(headers) == ([5], {})
    assert len({image.instance for image in divide_into_volumes(headers)}) == 5


def test_images_with_a_reason_are_in_no_volume():
    headers = [slice_at(z, z) for z in range(5)] + [slice_at(9, 9, reason="localizer"), Header("x", reason="not_dicom")]
    assert sizes(headers) == ([5], {"localizer": 1, "not_dicom": 1})
    assert divide_into_volumes(headers)[-1].instance is None


@given(noise=st.lists(st.floats(-1e-4, 1e-4), min_size=6, max_size=6), edge=st.sampled_from([0.0005, 0.0015, 0.5]))
def test_directions_that_differ_by_rounding_are_one_direction(noise, edge):
    series = [slice_at(z, z, orientation=(1.0, e, 0.0, e, 1.0, 0.0)) for z, e in enumerate(edge + n for n in noise)]
    assert sizes(series) == ([6], {})


@given(st.permutations(range(12)))
def test_volume_names_do_not_depend_on_file_names(order):
    headers = [slice_at(z, 100 * t + z, temporal=t) for t in range(2) for z in range(6)]
    renamed = sorted(
        (h._replace(path=f"{number:03}") for h, number in zip(headers, order, strict=True)), key=lambda h: h.path
    )
    before = {image.instance: image.volume for image in divide_into_volumes(headers)}
    assert {image.instance: image.volume for image in divide_into_volumes(renamed)} == before
