import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.factories import AUGMENT

from refrad.dataset.examples import ImageExample
from refrad.dataset.image_codec import encode_mask
from refrad.model.preprocess import WHOLE, View, box_in_image, box_in_view, mask_in_image, render_view, whole_view
from refrad.training.augment import random_view

BOX = (0.4, 0.2, 0.6, 0.5)
TURNED = AUGMENT.model_copy(update={"rotation": 30.0})
sizes = st.tuples(st.integers(20, 400), st.integers(20, 400))
shares = st.floats(0, 1)


def shape(size, box):
    """A white ellipse on black that fills a box, as a mask and as an RGB image."""
    width, height = size
    x, y = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
    x_min, y_min, x_max, y_max = box
    far = ((2 * x - x_min - x_max) / (x_max - x_min)) ** 2
    mask = far + ((2 * y - y_min - y_max) / (y_max - y_min))[:, None] ** 2 <= 1
    return mask, Image.fromarray(mask).convert("RGB")


@pytest.fixture(scope="module")
def picture():
    """A white rectangle on black: columns 40 to 60 and rows 20 to 50 of 100."""
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[20:50, 40:60] = 255
    return Image.fromarray(pixels)


def found(seen):
    ys, xs = np.nonzero(seen)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]) / len(seen)


@given(seed=st.integers(0, 10_000))
def test_the_box_follows_what_it_surrounds(picture, seed):
    view = random_view(np.random.default_rng(seed), AUGMENT).geometry
    box = box_in_view(BOX, view, 0.5)
    if box is not None:
        assert np.abs(found(render_view(picture, view, 200)[..., 0] > 127) - box).max() < 0.02


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10_000),
    size=st.sampled_from([(300, 300), (400, 250), (200, 320)]),
    resize=st.sampled_from(["stretch", "pad"]),
)
def test_the_box_of_a_turned_mask_is_the_box_turned(seed, size, resize):
    mask, image = shape(size, BOX)
    outlined = ImageExample("", "", "", {}, {}, (), (), {1: encode_mask(mask)}, size)
    view = random_view(np.random.default_rng(seed), TURNED, whole_view(size, resize)).geometry
    box = box_in_view(BOX, view, 0.5, outlined.outline(1))
    for resample in (Image.Resampling.NEAREST, Image.Resampling.BILINEAR):
        seen = render_view(image, view, 200, resample)[..., 0] > 127
        assert box is not None and np.abs(found(seen) - box).max() < 0.015
    if view.turn:
        loose = np.array(box_in_view(BOX, view))
        assert (loose[:2] <= np.array(box[:2]) + 0.005).all() and (loose[2:] >= np.array(box[2:]) - 0.005).all()


def test_a_turn_of_the_window_is_a_turn_in_pixels():
    """By hand: in an image of 400 x 200 px, a point 100 px right of the middle lies 100 px below it after a turn by 90 degrees
    clockwise, which is half of the height, and so at the lower border.
    """
    view = View((0.0, 0.0, 1.0, 1.0), turn=90.0, aspect=2.0)
    points = np.array([(0.5, 0.5), (0.75, 0.5), (0.5, 0.5), (0.75, 0.75)])
    assert box_in_view(WHOLE.window, view, outline=points) == pytest.approx((0.375, 0.5, 0.5, 1.0))


def test_the_outline_of_a_class_reaches_its_box():
    mask, _ = shape((50, 40), (0.2, 0.25, 0.6, 0.75))
    picture = ImageExample("", "", "", {}, {}, (), (), {3: encode_mask(mask)}, (50, 40))
    ys, xs = np.nonzero(mask)
    outline = picture.outline(3)
    assert outline.min(0) == pytest.approx((xs.min() / 50, ys.min() / 40))
    assert outline.max(0) == pytest.approx(((xs.max() + 1) / 50, (ys.max() + 1) / 40))
    assert picture.outline(4) is None


def test_the_whole_view_changes_nothing(picture):
    assert np.array_equal(render_view(picture, WHOLE, 100), np.asarray(picture))
    assert box_in_view((0.1, 0.2, 0.3, 0.4), WHOLE) == pytest.approx((0.1, 0.2, 0.3, 0.4))
    assert whole_view((512, 384), "stretch").window == WHOLE.window == whole_view((7, 7), "pad").window


def test_padding_by_hand():
    """512 x 384 px in a square of 224: scaled by 0.4375 to 224 x 168 px, with 28 px of black above and below."""
    view = whole_view((512, 384), "pad")
    x_min, y_min, x_max, y_max = (one * 224 for one in box_in_view((0.25, 0.0, 0.5, 1.0), view))
    assert (x_min, y_min, x_max, y_max) == pytest.approx((56, 28, 112, 196))
    white = Image.fromarray(np.full((384, 512, 3), 255, np.uint8))
    for squashed in (white, white.resize((128, 128))):  # as the shards hold it: shares stay shares
        seen = render_view(squashed, view, 224)
        assert (seen[:27] == 0).all() and (seen[197:] == 0).all() and (seen[29:195] == 255).all()
    tall = render_view(Image.fromarray(np.full((384, 96, 3), 255, np.uint8)), whole_view((96, 384), "pad"), 64)
    assert (tall[:, 25:39] == 255).all() and (tall[:, :23] == 0).all() and (tall[:, 41:] == 0).all()


@given(size=sizes, corners=st.tuples(shares, shares, shares, shares), resize=st.sampled_from(["stretch", "pad"]))
def test_a_box_survives_the_way_into_the_square_and_back(size, corners, resize):
    box = min(corners[0::2]), min(corners[1::2]), max(corners[0::2]), max(corners[1::2])
    view = whole_view(size, resize)
    inside = box_in_view(box, view)
    if inside is not None:
        assert box_in_image(inside, view) == pytest.approx(box, abs=1e-9)
        assert resize == "pad" or inside == box  # not a bit is lost where nothing is padded


@settings(max_examples=30)
@given(size=sizes)
def test_a_mask_survives_the_way_into_the_padded_square_and_back(size):
    mask, image = shape(size, (0.2, 0.1, 0.8, 0.7))
    view = whole_view(size, "pad")
    seen = render_view(image, view, 2 * max(size), Image.Resampling.NEAREST)[..., 0] > 127
    back = mask_in_image(seen, view, size)
    assert back.shape == mask.shape and (back != mask).mean() < 0.02


def test_what_is_said_of_the_padding_lies_on_the_border_of_the_image():
    view = whole_view((200, 100), "pad")
    assert box_in_image((0.0, 0.0, 1.0, 0.1), view) == pytest.approx((0.0, 0.0, 1.0, 0.0))
    assert box_in_image((0.25, 0.1, 0.5, 0.5), view) == pytest.approx((0.25, 0.0, 0.5, 0.5))


def test_intensities_by_hand():
    grey = Image.fromarray(np.full((4, 4, 3), 102, np.uint8))  # 0.4 of the range
    for view, level in [
        (View(WHOLE.window, gamma=2.0), 0.16),
        (View(WHOLE.window, brightness=-0.1), 0.3),
        (View(WHOLE.window, contrast=1.5), 0.35),
        (View(WHOLE.window, gamma=2.0, contrast=0.5, brightness=0.25), 0.58),
        (View(WHOLE.window, contrast=9.0), 0.0),
    ]:
        assert render_view(grey, view, 4)[0, 0, 0] == pytest.approx(level * 255, abs=0.6)


def test_a_box_that_is_mostly_outside_is_gone():
    view = View((0.2, 0.2, 0.8, 0.8))
    assert box_in_view((0.0, 0.0, 0.3, 0.3), view, 0.5) is None
    assert box_in_view((0.0, 0.0, 0.3, 0.3), view, 0.1) == pytest.approx((0, 0, 1 / 6, 1 / 6))
    assert box_in_view((0.0, 0.0, 0.1, 0.1), view) is None


@given(seed=st.integers(0, 10_000), size=sizes)
def test_views_stay_in_the_ranges_of_the_options_and_are_never_mirrored(seed, size):
    whole = whole_view(size, "pad")
    options = TURNED.model_copy(update={"scale": [0.8, 1.0], "contrast": [0.7, 1.4], "stretch": 1.0})
    view = random_view(np.random.default_rng(seed), options, whole)
    left, top, right, bottom = view.window
    assert whole.window[0] - 1e-9 <= left < right <= whole.window[2] + 1e-9
    assert whole.window[1] - 1e-9 <= top < bottom <= whole.window[3] + 1e-9
    assert 0.8 - 1e-9 <= (right - left) / (whole.window[2] - whole.window[0]) <= 1 + 1e-9
    assert abs(view.turn) <= 30 and 0.7 <= view.contrast <= 1.4
    assert 0.8 <= view.gamma <= 1.25 and abs(view.brightness) <= 0.05


def test_intensities_change_in_the_share_of_views_that_the_options_name():
    options = AUGMENT.model_copy(update={"gamma_probability": 0.3, "brightness_probability": 0.5})
    rng = np.random.default_rng(0)
    views = [random_view(rng, options) for _ in range(2000)]
    assert np.mean([view.gamma != 1 for view in views]) == pytest.approx(0.3, abs=0.04)
    assert np.mean([view.brightness != 0 for view in views]) == pytest.approx(0.5, abs=0.04)


def test_what_is_not_asked_for_draws_no_number():
    """By hand: the first six numbers of the generator, as options without turns and chances have always used them."""
    rng = np.random.default_rng(5)
    view = random_view(rng, AUGMENT)
    again = np.random.default_rng(5)
    size, stretch = again.uniform(0.9, 1.1), 1.06 ** again.uniform(-0.5, 0.5)
    x, y = again.uniform(0, 1, 2) * (1 - np.array([size * stretch, size / stretch]))
    assert view.window == (x, y, x + size * stretch, y + size / stretch)
    assert view.gamma == float(np.exp(again.uniform(*np.log([0.8, 1.25]))))
    assert view.brightness == again.uniform(-0.05, 0.05)
    assert rng.random() == again.random()
