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
    found = ours.argmax_classes(values)
    assert found.dtype == np.uint8 and np.array_equal(found, values.argmax(0))


def test_argmax_classes_of_large_volumes_and_many_classes():
    random = np.random.default_rng(0)
    values = random.normal(size=(300, 3, 90, 260)).astype(np.float16)
    found = ours.argmax_classes(values)
    assert found.dtype == np.uint16 and np.array_equal(found, values.argmax(0))


def predictor(classes, tile, scale=1.0):
    made = nnUNetPredictor(
        tile_step_size=0.8,
        use_mirroring=False,
        device=torch.device("cpu"),
        perform_everything_on_device=False,
        allow_tqdm=False,
    )
    torch.manual_seed(classes)
    made.network = torch.nn.Conv3d(1, classes, 3, padding=1)
    made.network.weight.data *= scale
    made.configuration_manager = SimpleNamespace(patch_size=tile)
    made.label_manager = SimpleNamespace(num_segmentation_heads=classes)
    made.allowed_mirroring_axes = None
    return made


@settings(max_examples=15)
@given(
    st.integers(2, 6),
    st.tuples(*[st.sampled_from([4, 6, 8])] * 3),
    st.tuples(*[st.integers(0, 9)] * 3),
    st.integers(0, 99),
)
def test_sum_tiles_equals_nnunet_bit_for_bit(classes, tile, more, seed):
    made = predictor(classes, tile)
    shape = [side + extra for side, extra in zip(tile, more, strict=True)]
    image = torch.from_numpy(np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32))
    slicers = made._internal_get_sliding_window_slicers(image.shape[1:])
    theirs = made._internal_predict_sliding_window_return_logits(image, slicers, False)
    found = ours.sum_tiles(made, image, slicers)
    assert found.dtype == theirs.dtype == torch.half
    assert torch.equal(found.view(torch.int16), theirs.view(torch.int16))


def test_sum_tiles_refuses_infinite_sums_as_nnunet():
    made = predictor(3, (4, 4, 4), scale=1e7)
    image = torch.ones(1, 4, 4, 4)
    slicers = made._internal_get_sliding_window_slicers(image.shape[1:])
    with pytest.raises(RuntimeError, match="inf"):
        made._internal_predict_sliding_window_return_logits(image, slicers, False)
    with pytest.raises(RuntimeError, match="infinite"):
        ours.sum_tiles(made, image, slicers)
