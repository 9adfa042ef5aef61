"""MR-RATE through the stages index and volumes: images are read inside of their archives, and lie where their affine says."""

import nibabel as nib
import numpy as np
import pytest
from tests.factories.public_sets.mr_rate import write_mr_rate
from tests.factories.runs import volumes_of_set

from refrad.formats.nifti import open_volume_file
from refrad.public_sets import mr_rate
from refrad.public_sets.base import SetOptions


@pytest.fixture(scope="module")
def delivered(tmp_path_factory):
    root = tmp_path_factory.mktemp("set") / "MR-RATE"
    root.mkdir()
    write_mr_rate(root)
    return mr_rate.read(root, SetOptions())


@pytest.fixture(scope="module")
def stored(delivered, tmp_path_factory):
    """Keys of study and series to array, affine and row of each volume; and the flow of the stage."""
    out = tmp_path_factory.mktemp("out")
    stored, metrics = volumes_of_set(delivered, out, out / "key")
    return {(row["study_uid"], row["series_uid"]): (*grid, row) for *grid, row in stored}, metrics["flow"]


def test_all_volumes_are_accepted_with_their_keys_and_split(stored):
    found, flow = stored
    assert flow == {"taken": 5, "used": 5, "aside": {}}
    assert {key: row["split"] for key, (_, _, row) in found.items()} == {
        ("study_0001", "flair-raw-sag"): "train",
        ("study_0001", "t1w-raw-axi"): "train",
        ("study_0001", "t1w-raw-axi-2"): "train",
        ("study_0002", "mra-raw-obl"): "train",
        ("study_0004", "t2w-raw-sag"): "validation",
    }
    _, _, row = found["study_0001", "t1w-raw-axi"]
    assert (row["modality"], row["sex"], row["age"], row["series_number"]) == ("MR", "F", 47, 3)
    assert len({row["patient"] for _, _, row in found.values()}) == 2


def test_each_voxel_is_where_nibabel_has_it(delivered, stored):
    found, _ = stored
    for entry in delivered.volumes:
        with open_volume_file(delivered.folder, entry.path) as file:
            image = nib.Nifti1Image.from_bytes(file.read())
        array, affine, row = found[entry.study, entry.series]
        indices = np.argwhere(np.ones(image.shape))
        places = np.c_[indices, np.ones(len(indices))] @ image.affine.T
        there = np.rint(places @ np.linalg.inv(affine).T)[:, :3].astype(int)
        np.testing.assert_array_equal(array[tuple(there.T)], np.asarray(image.dataobj)[tuple(indices.T)])
        # The second axis of the file, of 5 places 5 mm apart, goes to the head: these are the slices.
        assert array.shape == (6, 4, 5) and row["plane"] == "axial" and affine[2, 2] == pytest.approx(5.0)
