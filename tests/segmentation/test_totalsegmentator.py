import itertools
import os
import shutil
import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.demo.bodies import make_body
from refrad.demo.rendering import render
from refrad.dicom.volume_store import store_volume
from refrad.segmentation.base import UnsegmentableError
from refrad.segmentation.labels import coverage, resample_labels
from refrad.segmentation.totalsegmentator import TotalSegmentator

AFFINE = np.array([[-2.0, 0, 0, 30], [0, -2.0, 0, 20], [0, 0, 5.0, -10], [0, 0, 0, 1]])


@given(st.permutations([0, 1, 2]), st.tuples(*[st.booleans()] * 3), st.integers(0, 9))
def test_resampling_undoes_flips_and_permutations(order, flips, seed):
    labels = np.random.default_rng(seed).integers(0, 200, (7, 6, 5)).astype(np.uint8)
    turned = labels.transpose(order)
    affine = AFFINE.copy()
    affine[:3, :3] = AFFINE[:3, list(order)]
    for axis, flip in enumerate(flips):
        if flip:
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
            turned = np.flip(turned, axis)
    assert np.array_equal(resample_labels(turned, affine, AFFINE, labels.shape), labels)


@pytest.mark.parametrize(
    ("columns", "slices", "share"), [(0, 0, 1.0), (500, 0, 0.0), (0, 1, 0.8), (0, -1, 0.8), (3.5, 0, 4 / 7)]
)
def test_coverage_is_the_share_of_voxels_in_the_field_of_view(columns, slices, share):
    moved = AFFINE.copy()
    moved[:3, 3] += AFFINE[:3, 0] * columns + AFFINE[:3, 2] * slices
    assert np.isclose(coverage((7, 6, 5), moved, AFFINE, (7, 6, 5)), share)


def test_coverage_by_finer_and_coarser_grids_is_whole():
    finer = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    finer[:3, 3] -= AFFINE[:3, :3].sum(1) * 0.25
    assert coverage((200, 120, 80), finer, AFFINE, (100, 60, 40)) == 1
    assert coverage((100, 60, 40), AFFINE, finer, (200, 120, 80)) == 1


def test_resampling_to_a_finer_grid_labels_its_outer_voxels():
    finer = AFFINE @ np.diag([0.5, 1, 1, 1])
    finer[:3, 3] -= AFFINE[:3, 0] * 0.25 + AFFINE[:3, 2] * 1e-9
    labels = np.arange(1, 25).reshape(4, 3, 2).astype(np.uint8)
    assert np.array_equal(resample_labels(labels, AFFINE, finer, (8, 3, 2)), labels.repeat(2, axis=0))


def test_missing_network_is_named_with_the_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"network 298 .* totalseg_download_weights"):
        TotalSegmentator(tmp_path, "fastest", "cpu").segment(np.zeros((9, 9, 9), np.int16), np.eye(4), "total")


def test_rois_that_do_not_exist_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"masks.rois: lever is no class"):
        TotalSegmentator(tmp_path, "fastest", "cpu", ["spleen", "lever"])


def test_task_without_the_rois_gets_no_labels(root, monkeypatch):
    segmenter = TotalSegmentator(root / "workflow" / "demo_weights", "fastest", "cpu", ["rib_left_1"])
    assert segmenter.name == "totalsegmentator fastest, demo weights"
    with pytest.raises(FileNotFoundError, match="network 852"):  # MR looks for them with the 3 mm network
        segmenter.weights("total_mr")
    monkeypatch.setattr(segmenter, "weights", lambda _: "digest")
    with pytest.raises(UnsegmentableError, match="rois_not_in_task"):
        segmenter.segment(np.zeros((9, 9, 9), np.int16), np.eye(4), "total_mr")


def test_resampling_does_not_wrap_at_the_corners():
    labels = np.zeros((4, 4, 4), np.uint8)
    for corner in itertools.product((0, 3), repeat=3):
        labels[corner] = 9
    shifted = AFFINE.copy()
    shifted[:3, 3] += AFFINE[:3, 0]
    moved = resample_labels(labels, shifted, AFFINE, (4, 4, 4))
    assert np.array_equal(moved[1:], labels[:-1]) and not moved[0].any()


@pytest.fixture(scope="session")
def body(tmp_path_factory):
    """A made-up body that the demo weights never saw, on an oblique-free but flipped grid, once for each modality."""
    from totalsegmentator.map_to_binary import class_map

    folder = tmp_path_factory.mktemp("body")

    def make(modality, task):
        affine = np.diag([-4.0, -4.0, 6.0, 1.0])
        affine[:3, 3] = [190, 190, 170]
        native = {name: number for number, name in class_map[task].items()}
        image, truth = render(make_body(77), affine, (96, 96, 40), modality, native, seed=1)
        return folder / store_volume(np.round(image).astype(np.int16), affine, folder)[1], truth

    return make


# The command. Its search for the trainer class imports every trainer, some of which need torchvision; so the class is registered.
COMMAND = """
import sys
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from totalsegmentator import nnunet
from totalsegmentator.bin.TotalSegmentator import main

for epochs in (2000, 4000):
    name = f"nnUNetTrainer_{epochs}epochs_NoMirroring"
    nnunet.custom_trainers[name] = type(name, (nnUNetTrainer,), {})
if __name__ == "__main__":
    sys.exit(main())
"""

# Segments as the stage does, and fails if anything asks for an internet address on the way.
OFFLINE = """
import sys
from pathlib import Path

def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname") or event == "socket.connect" and isinstance(arguments[1], tuple):
        print("internet access:", event, arguments, file=sys.stderr)
        sys.stderr.flush()
        __import__("os")._exit(9)

sys.addaudithook(watch)
import numpy as np
from refrad.segmentation.totalsegmentator import TotalSegmentator
from refrad.dicom.volume_store import read_volume

volume, affine = read_volume(Path(sys.argv[1]))
segmenter = TotalSegmentator(Path(sys.argv[2]), "fastest", "cpu", sys.argv[5:])
np.save(sys.argv[3], segmenter.segment(volume, affine, sys.argv[4]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("modality", "task", "rois"),
    [("MR", "total_mr", []), ("CT", "total", ["liver", "kidney_left"])],
)
def test_labels_equal_the_command_without_internet(root, tmp_path, body, modality, task, rois):
    path, truth = body(modality, task)
    weights = root / "workflow" / "demo_weights"
    home = tmp_path / "home"
    home.mkdir()
    (home / "config.json").write_text('{"totalseg_id": "x", "send_usage_stats": false, "prediction_counter": 0}')
    environment = os.environ | {"TOTALSEG_HOME_DIR": str(home), "TOTALSEG_WEIGHTS_PATH": str(weights)}
    command = [sys.executable, "-c", COMMAND, "-i", path, "-o", tmp_path / "theirs.nii.gz", "-nr", "1", "-ns", "1"]
    command += ["--ml", "--fastest", "-d", "cpu", "-q", "-ta", task, *(["-rs", *rois] if rois else [])]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    theirs = np.asarray(nib.load(tmp_path / "theirs.nii.gz").dataobj)

    cut_off = ["unshare", "--map-root-user", "--net"]  # no interface at all, where the system allows it
    allowed = shutil.which("unshare") and subprocess.run([*cut_off, "true"], capture_output=True).returncode == 0
    command = [sys.executable, "-c", OFFLINE, path, weights, tmp_path / "ours.npy", task, *rois]
    environment = os.environ | {"HOME": str(tmp_path / "empty")}
    subprocess.run([*(cut_off if allowed else []), *command], env=environment, check=True)
    ours = np.load(tmp_path / "ours.npy")
    assert ours.dtype == np.uint8 and np.array_equal(ours, theirs)
    assert not (tmp_path / "empty" / ".totalsegmentator").exists()  # nothing was written to the user's home
    from totalsegmentator.map_to_binary import class_map

    native = {name: number for number, name in class_map[task].items()}
    for organ in rois or ("liver", "heart", "kidney_left", "kidney_right"):
        predicted, expected = ours == native[organ], truth == native[organ]
        if expected.sum() > 500:
            assert 2 * (predicted & expected).sum() / (predicted.sum() + expected.sum()) > 0.6, organ


# What the GPU would be given, on a machine without one: torch says that there is one, and refuses when it is used.
ON_GPU = """
import sys
from pathlib import Path
import torch
from refrad.segmentation import nnunet_patches as networks
from refrad.segmentation.totalsegmentator import TotalSegmentator
from refrad.dicom.volume_store import read_volume

volume, affine = read_volume(Path(sys.argv[1]))
segmenter = TotalSegmentator(Path(sys.argv[2]), "fastest", "gpu")
try:
    segmenter.load()
except RuntimeError as error:
    assert "masks.device is gpu" in str(error), error
torch.cuda.is_available, torch.cuda.device_count = lambda: True, lambda: 1
made, make = [], networks.make_predictor
networks.make_predictor = lambda *arguments: made.append(make(*arguments)) or made[-1]
try:
    segmenter.segment(volume, affine, "total")
except (AssertionError, RuntimeError) as error:
    assert "CUDA" in str(error), error
else:
    raise SystemExit("it was not segmented on a GPU")
(one,) = made
assert (one.device, one.perform_everything_on_device) == (torch.device("cuda:0"), True)
assert (one.tile_step_size, one.use_gaussian, one.use_mirroring) == (0.8, True, False)
assert "_internal_predict_sliding_window_return_logits" not in vars(one)  # nnU-Net's own sums, on the GPU
"""


@pytest.mark.slow
def test_gpu_gets_the_settings_of_the_package_or_an_error(root, body):
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU, which would be used")
    path, _ = body("CT", "total")
    command = [sys.executable, "-c", ON_GPU, path, root / "workflow" / "demo_weights"]
    subprocess.run(command, check=True)
