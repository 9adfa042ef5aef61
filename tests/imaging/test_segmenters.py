import itertools
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.demo.bodies import make_body, render
from refrad.imaging.segmenters import TotalSegmentator, Unsegmentable, onto_grid

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.0, 0, 20], [0, 0, 5.0, -10], [0, 0, 0, 1]])


@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), st.integers(0, 9))
def test_flipped_and_turned_masks_come_back_voxel_by_voxel(order, flips, seed):
    labels = np.random.default_rng(seed).integers(0, 200, (7, 6, 5)).astype(np.uint8)
    turned = labels.transpose(order)
    affine = AFFINE.copy()
    affine[:3, :3] = AFFINE[:3, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
            turned = np.flip(turned, axis)
    assert np.array_equal(onto_grid(turned, affine, AFFINE, labels.shape), labels)


def test_a_mask_of_another_place_is_refused():
    away = AFFINE.copy()
    away[0, 3] += 500
    with pytest.raises(Unsegmentable, match="mask_elsewhere"):
        onto_grid(np.zeros((7, 6, 5), np.uint8), away, AFFINE, (7, 6, 5))


def test_a_missing_network_is_named_with_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"network 298 .* totalseg_download_weights"):
        TotalSegmentator(tmp_path, "fastest", "cpu").segment(np.zeros((9, 9, 9), np.int16), np.eye(4), "total")


def test_telemetry_is_off(tmp_path):
    segmenter = TotalSegmentator(tmp_path, "fastest", "cpu")
    assert os.environ["TOTALSEG_HOME_DIR"] == segmenter.home.name
    config = json.loads((Path(segmenter.home.name) / "config.json").read_text(encoding="utf-8"))
    assert config["send_usage_stats"] is False


@pytest.mark.slow
@pytest.mark.parametrize(("task", "modality"), [("total", "CT"), ("total_mr", "MR")])
def test_the_real_package_finds_large_organs_in_a_body_it_never_saw(root, task, modality):
    from totalsegmentator.map_to_binary import class_map

    native = {name: number for number, name in class_map[task].items()}
    affine = np.diag([-4.0, -4.0, 6.0, 1.0])
    affine[:3, 3] = [190, 190, 170]
    image, truth = render(make_body(77), affine, (96, 96, 40), modality, native, seed=1)
    segmenter = TotalSegmentator(root / "workflow" / "demo_weights", "fastest", "cpu")
    found = segmenter.segment(np.round(image).astype(np.int16), affine, task)
    assert found.shape == truth.shape and found.dtype == np.uint8
    for organ in ("liver", "heart", "kidney_left", "kidney_right"):
        one, other = found == native[organ], truth == native[organ]
        if other.sum() > 500:
            assert 2 * (one & other).sum() / (one.sum() + other.sum()) > 0.6, organ
    left, right = (np.argwhere(found == native[f"kidney_{side}"]).mean(0)[0] for side in ("left", "right"))
    assert left > right  # the affine lets x (RAS, towards the right) fall along the first array axis


def test_the_corners_of_the_grid_do_not_wrap():
    labels = np.zeros((4, 4, 4), np.uint8)
    for corner in itertools.product((0, 3), repeat=3):
        labels[corner] = 9
    shifted = AFFINE.copy()
    shifted[:3, 3] += AFFINE[:3, 0]
    moved = onto_grid(labels, shifted, AFFINE, (4, 4, 4))
    assert np.array_equal(moved[1:], labels[:-1]) and not moved[0].any()
