import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refrad.anatomy.schema import load_schema
from refrad.dicom.windows import (
    BONE,
    BRAIN,
    LUNG,
    SOFT_TISSUE,
    display_grey,
    scale_mr,
    window_ct,
    window_of_classes,
)

HU = arrays(np.int16, (3, 4), elements=st.integers(-1500, 3500))


def test_window_spreads_its_width_around_its_level():
    hu = np.array([[-136, -135, 40, 215, 216]])
    assert window_ct(hu, [(350, 40)]).tolist() == [[[0, 0, 128, 255, 255]]]


def test_channels_are_the_three_windows():
    image = window_ct(np.array([[40]]), [(2250, -100), (350, 40), (80, 40)])
    assert image.dtype == np.uint8
    assert image[:, 0, 0].tolist() == [round(255 * (40 + 1225) / 2250), 128, 128]


@given(hu=HU)
def test_window_is_monotonic(hu):
    order = np.argsort(hu, axis=None)
    for channel in window_ct(hu):
        assert np.all(np.diff(channel.ravel()[order].astype(int)) >= 0)


@given(values=arrays(np.int16, (3, 4)), factor=st.integers(1, 5), offset=st.integers(-100, 100))
def test_mr_image_fills_the_range_at_any_scale(values, factor, offset):
    image = scale_mr(values)
    assert image.shape == (3, 3, 4)
    assert image.dtype == np.uint8
    if values.min() < values.max():
        assert (image.min(), image.max()) == (0, 255)
    rescaled = scale_mr(values.astype(np.float64) * factor + offset)
    assert np.max(np.abs(rescaled.astype(int) - image)) <= 1


@pytest.mark.parametrize("value", [0, 7, -3])
def test_constant_mr_image_is_black(value):
    assert scale_mr(np.full((2, 2), value)).max() == 0


@pytest.mark.parametrize(
    ("name", "window"),
    [
        ("lung_upper_lobe_left", LUNG),
        ("lung_right", LUNG),
        ("trachea", LUNG),
        ("liver", SOFT_TISSUE),
        ("adrenal_gland_left", SOFT_TISSUE),
        ("heart", SOFT_TISSUE),
        ("pulmonary_vein", SOFT_TISSUE),
        ("spinal_cord", SOFT_TISSUE),
        ("costal_cartilages", SOFT_TISSUE),
        ("intervertebral_discs", SOFT_TISSUE),
        ("brain", BRAIN),
        ("skull", BONE),
        ("vertebrae_L5", BONE),
        ("vertebrae", BONE),
        ("sacrum", BONE),
        ("rib_left_3", BONE),
        ("sternum", BONE),
        ("clavicula_left", BONE),
        ("scapula_right", BONE),
        ("humerus_left", BONE),
        ("femur_right", BONE),
        ("hip_left", BONE),
        ("Lung_nodule", LUNG),
        ("a_class_of_a_site", SOFT_TISSUE),
    ],
)
def test_window_follows_the_organ(name, window):
    assert window_of_classes([name]) == window


@pytest.mark.parametrize(
    ("names", "window"),
    [
        ([], SOFT_TISSUE),
        (["heart", "lung_left", "lung_right"], LUNG),
        (["heart", "lung_left", "lung_left"], SOFT_TISSUE),
        (["liver", "lung_left"], SOFT_TISSUE),
        (["brain", "skull"], BRAIN),
        (["rib_left_1", "rib_left_2", "lung_left"], BONE),
    ],
)
def test_window_suits_most_of_the_classes(names, window):
    assert window_of_classes(names) == window_of_classes(names[::-1]) == window


def test_each_class_of_lungs_bones_and_brain_has_its_window(root):
    """Words of English, not of class names, as the oracle."""
    schema = load_schema(root / "workflow" / "anatomy" / "classes.yaml")
    bones = {
        "vertebra",
        "vertebrae",
        "rib",
        "sternum",
        "clavicle",
        "scapula",
        "humerus",
        "femur",
        "hip bone",
        "skull",
        "sacrum",
    }
    for entry in schema.classes:
        words = set(entry.english.split()) | {entry.english.removeprefix("left ").removeprefix("right ")}
        expected = (
            LUNG
            if words & {"lung", "trachea"}
            else BRAIN
            if "brain" in words
            else BONE
            if words & bones
            else SOFT_TISSUE
        )
        assert window_of_classes([entry.name]) == expected, entry.english


def test_ct_picture_is_in_its_window():
    hu = np.array([[-1350, -600, 150], [-160, 40, 240]])
    assert display_grey(hu, "CT", LUNG).tolist() == [[0, 128, 255], [202, 236, 255]]
    assert display_grey(hu, "CT").tolist() == [[0, 0, 198], [0, 128, 255]]


def test_mr_picture_ignores_its_extreme_values():
    values = np.concatenate([[-30000], np.arange(1000), [30000]]).reshape(1, -1)
    grey = display_grey(values, "MR", LUNG)
    assert grey.dtype == np.uint8
    assert grey[0, 501] in (127, 128) and grey[0, 0] == 0 and grey[0, -1] == 255


@pytest.mark.parametrize("value", [0, 7, -3])
def test_constant_mr_picture_is_black(value):
    assert display_grey(np.full((2, 2), value), "MR").max() == 0
