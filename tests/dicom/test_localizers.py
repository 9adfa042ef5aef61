import pytest
from tests.factories import plain_header

from refrad.dicom.localizers import localizers_by_name
from refrad.dicom.series import QuarantinedImage, divide_into_volumes

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
TILTED = (1.0, 0.0, 0.0, 0.0, 0.8, 0.6)  # 37 degrees


def image(number, name="named", distance=3.0, spacing=0.8, orientation=AXIAL, series="s"):
    return plain_header(
        number,
        path=f"{series}/{number}",
        modality="MR",
        series_uid=series,
        instance_uid=f"{series}.{number}",
        position=(0.0, 0.0, distance * number),
        orientation=orientation,
        spacing=(spacing, spacing),
        localizer_name=name,
    )


def stack(count, **attributes):
    return [image(number, **attributes) for number in range(count)]


@pytest.mark.parametrize(
    ("images", "localizers"),
    [
        (stack(7), 7),  # few
        (stack(20), 20),
        (stack(21), 0),  # many, thin and fine: the name says how they were planned
        (stack(30, distance=10.0), 30),  # thick
        (stack(128, distance=1.6, spacing=1.6), 128),  # coarse, as an automatic three-dimensional scout
        (stack(10) + stack(10, orientation=SAGITTAL) + stack(10, orientation=CORONAL), 30),  # crossing
        (stack(7, name=""), 0),
        (stack(30, name="", distance=10.0), 0),
        (stack(7, name="mentioned"), 0),
        (stack(30, name="mentioned", distance=10.0), 0),
        (stack(5, name="mentioned") + stack(5, name="mentioned", orientation=TILTED), 0),  # angled along the spine
        (stack(5, name="mentioned") + stack(5, name="mentioned", orientation=CORONAL), 10),
        (stack(1), 1),
        (stack(30, distance=0.0), 0),  # repetitions of one position say nothing about thickness
        ([], 0),
    ],
)
def test_localizers_need_a_name_and_images_like_it(images, localizers):
    assert len(list(localizers_by_name(images))) == localizers


def test_localizers_are_decided_series_by_series():
    images = stack(30, series="fine") + stack(7, series="few") + stack(7, series="plain", name="")
    assert [images[number].series_uid for number in localizers_by_name(images)] == ["few"] * 7


def test_images_with_a_reason_keep_it():
    images = [image(0)._replace(reason="burned_in"), *(image(number) for number in range(1, 7))]
    reasons = [answer.reason for answer in divide_into_volumes(images) if isinstance(answer, QuarantinedImage)]
    assert reasons == ["burned_in", *["localizer"] * 6]
