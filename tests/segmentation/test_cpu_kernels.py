"""What replaces parts of nnU-Net is held against nnU-Net itself, bit for bit."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

from refrad.segmentation import cpu_kernels as ours

SPECIAL = [0.0, -0.0, 1.0, -1.0, float("inf"), float("-inf"), float("nan"), 65504.0, 6e-8]


@given(
    arrays.arrays(
        st.sampled_from([np.float16, np.float32]),
        arrays.array_shapes(min_dims=4, max_dims=4, max_side=5),
        elements=st.one_of(st.sampled_from(SPECIAL), st.floats(-2, 2, width=16)),
    )
)
def test_argmax_classes_takes_the_first_of_equal_ones(values):
    classes = ours.argmax_classes(values)
    assert classes.dtype == np.uint8 and np.array_equal(classes, values.argmax(0))


def test_argmax_classes_of_large_volumes_and_many_classes():
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 3, 90, 260)).astype(np.float16)
    classes = ours.argmax_classes(values)
    assert classes.dtype == np.uint16 and np.array_equal(classes, values.argmax(0))


def predictor(classes, tile, scale=1.0):
    nnunet = nnUNetPredictor(
        tile_step_size=0.8,
        use_mirroring=False,
        device=torch.device("cpu"),
        perform_everything_on_device=False,
        allow_tqdm=False,
    )
    torch.manual_seed(classes)
    nnunet.network = torch.nn.Conv3d(1, classes, 3, padding=1)
    nnunet.network.weight.data *= scale
    nnunet.configuration_manager = SimpleNamespace(patch_size=tile)
    nnunet.label_manager = SimpleNamespace(num_segmentation_heads=classes)
    nnunet.allowed_mirroring_axes = None
    return nnunet


@settings(max_examples=15)
@given(
    st.integers(2, 6),
    st.tuples(*[st.sampled_from([4, 6, 8])] * 3),
    st.tuples(*[st.integers(0, 9)] * 3),
    st.integers(0, 99),
)
def test_sum_tiles_equals_nnunet_bit_for_bit(classes, tile, extra, seed):
    nnunet = predictor(classes, tile)
    shape = [side + pixels for side, pixels in zip(tile, extra, strict=True)]
    image = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32))
    slicers = nnunet._internal_get_sliding_window_slicers(image.shape[1:])
    expected = nnunet._internal_predict_sliding_window_return_logits(image, slicers, False)
    sums = ours.sum_tiles(nnunet, image, slicers)
    assert sums.dtype == expected.dtype == torch.half
    assert torch.equal(sums.view(torch.int16), expected.view(torch.int16))


def test_sum_tiles_refuses_infinite_sums_as_nnunet():
    nnunet = predictor(3, (4, 4, 4), scale=1e7)
    image = torch.ones(1, 4, 4, 4)
    slicers = nnunet._internal_get_sliding_window_slicers(image.shape[1:])
    with pytest.raises(RuntimeError, match="inf"):
        nnunet._internal_predict_sliding_window_return_logits(image, slicers, False)
    with pytest.raises(RuntimeError, match="infinite"):
        ours.sum_tiles(nnunet, image, slicers)
