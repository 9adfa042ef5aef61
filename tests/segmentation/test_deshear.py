import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from refrad.segmentation.deshear import deshear, is_sheared
from refrad.segmentation.labels import resample_labels
from refrad.segmentation.totalsegmentator import TotalSegmentator


def tilted(degrees, azimuth, turn, shape=(40, 36, 12), spacing=(2.0, 2.5, 4.0)):
    """Affine of a stack that leans by `degrees` towards `azimuth` in the plane of its slices, around the origin."""
    lean = np.tan(np.radians(degrees)) * np.array([np.cos(azimuth), np.sin(azimuth)])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.column_stack([[1, 0, 0], [0, 1, 0], [*lean, 1]]) @ np.diag(spacing)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def positions_of_voxels(affine, shape):
    """Patient coordinates [..., 3] of all voxels."""
    return np.moveaxis(np.indices(shape), 0, -1) @ affine[:3, :3].T + affine[:3, 3]


def body(points):
    """A smooth made-up body as a function of the place, HU."""
    return 900 * np.exp(-np.sum((points / [18, 14, 16]) ** 2, axis=-1)) + 3 * points[..., 0] - 500


CASES = {"degrees": st.floats(1, 30), "azimuth": st.floats(0, 2 * np.pi), "seed": st.integers(0, 10_000)}


@settings(max_examples=25, deadline=None)
@given(**CASES)
def test_deshear_keeps_the_body_in_place(degrees, azimuth, seed):
    shape = (40, 36, 12)
    affine = tilted(degrees, azimuth, Rotation.random(random_state=seed).as_matrix())
    values = np.rint(body(positions_of_voxels(affine, shape))).astype(np.int16)
    straight, its_affine = deshear(values, affine)
    assert is_sheared(affine)
    assert not is_sheared(its_affine)
    is_covered = straight > values.min()
    error = np.abs(straight - body(positions_of_voxels(its_affine, straight.shape)))[is_covered]
    assert is_covered.sum() > 0.5 * values.size
    assert np.quantile(error, 0.95) < 12  # of a range of 900 HU: what linear interpolation costs


@settings(max_examples=25, deadline=None)
@given(**CASES)
def test_labels_of_the_upright_volume_fit_the_tilted_slices(degrees, azimuth, seed):
    shape = (40, 36, 12)
    affine = tilted(degrees, azimuth, Rotation.random(random_state=seed).as_matrix())
    ball = lambda points: (np.linalg.norm(points, axis=-1) < 17).astype(np.uint8)  # noqa: E731
    straight, its_affine = deshear(np.zeros(shape, np.int16), affine)
    labels = resample_labels(ball(positions_of_voxels(its_affine, straight.shape)), its_affine, affine, shape)
    truth = ball(positions_of_voxels(affine, shape))
    overlap = 2 * (labels & truth).sum() / (labels.sum() + truth.sum())
    assert overlap > 0.93  # voxels of 2 to 4 mm at the edge of a ball of 34 mm


@pytest.mark.parametrize("degrees", [0, 0.4])
def test_stack_with_a_tiny_tilt_is_not_sheared(degrees):
    assert not is_sheared(tilted(degrees, 0.3, np.eye(3)))


def test_segmenter_gets_an_upright_volume_for_a_tilted_one(root, monkeypatch):
    """The package is replaced by a threshold that records the affine of its image."""
    affines = []

    def threshold(image, **_options):
        affines.append(image.affine)
        return nib.Nifti1Image((np.asarray(image.dataobj) > -450).astype(np.uint8), image.affine)

    for variable in ("TOTALSEG_HOME_DIR", "TOTALSEG_WEIGHTS_PATH", "THP_MEM_ALLOC_ENABLE"):
        monkeypatch.setenv(variable, "1")  # the segmenter sets them; after the test they are as before
    monkeypatch.setattr("refrad.segmentation.nnunet_patches.load_totalsegmentator", lambda _weights: threshold)
    affine = tilted(20, 0.7, np.eye(3))
    truth = np.linalg.norm(positions_of_voxels(affine, (40, 36, 12)), axis=-1) < 17
    segmenter = TotalSegmentator(root / "workflow" / "demo_weights", "fastest", "cpu")
    labels = segmenter.segment(np.where(truth, 100, -1000).astype(np.int16), affine, "total")
    assert len(affines) == 1 and not is_sheared(affines[0])
    assert labels.shape == truth.shape
    assert 2 * (labels & truth).sum() / (labels.sum() + truth.sum()) > 0.93
