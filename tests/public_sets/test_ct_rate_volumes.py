"""CT-RATE through the stages index and volumes: right HU and mm, and the same volumes from both versions."""

from types import SimpleNamespace

import numpy as np
import pytest
from tests.factories.public_sets.ct_rate import SCANS, SHAPE, hounsfield, make_ct_rate, ras_affine
from tests.factories.runs import volumes_of_set

from refrad.public_sets import ct_rate
from refrad.public_sets.base import SetOptions

FLOOR = -1024


def stored_volumes(folder, version):
    """Series key to array, affine and row of each volume, of all reconstructions of the replica."""
    root = make_ct_rate(folder / f"CT-RATE {version}", version)
    delivered = ct_rate.read(root, SetOptions(reconstruction="all", validation=0))
    out = folder / f"out {version}" / "ct-rate"  # the name of the delivery, which is part of the pseudonyms
    stored, metrics = volumes_of_set(delivered, out, folder / "key")
    return SimpleNamespace(volumes={row["series_uid"]: (*grid, row) for *grid, row in stored}, metrics=metrics)


@pytest.fixture(scope="module")
def versions(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ct_rate")
    return {version: stored_volumes(folder, version) for version in (1, 2)}


@pytest.mark.parametrize("version", [1, 2])
def test_all_volumes_are_accepted_with_their_split(versions, version):
    result = versions[version]
    assert result.metrics["flow"] == {"taken": 8, "used": 8, "aside": {}}
    splits = {series: row["split"] for series, (_, _, row) in result.volumes.items()}
    assert splits == {
        **dict.fromkeys(["train_1_a_1", "train_1_a_2", "train_1_b_1", "train_2_a_1", "train_2_a_2"], "train"),
        **{"train_14384_a_1": "train", "valid_1_a_1": "test", "valid_1_a_2": "test"},
    }


@pytest.mark.parametrize("version", [1, 2])
def test_each_voxel_has_the_hu_of_its_place(versions, version):
    for scan in SCANS:
        if scan.name not in versions[version].volumes:
            continue
        array, affine, _ = versions[version].volumes[scan.name]
        indices = np.argwhere(np.ones(SHAPE))
        places = np.c_[indices, np.ones(len(indices))] @ ras_affine(scan).T
        stored = np.rint(places @ np.linalg.inv(affine).T)[:, :3].astype(int)
        # the prone patient's axes are reversed; padding of -8192 is raised to the floor, and nothing is rescaled twice
        np.testing.assert_array_equal(array[tuple(stored.T)], np.maximum(hounsfield(scan)[tuple(indices.T)], FLOOR))
        assert array.dtype == np.int16 and array.shape == SHAPE


def test_spacing_is_that_of_the_metadata(versions):
    # stored in float32 by the files of version 2
    for version, result in versions.items():
        for _, affine, row in result.volumes.values():
            spacing = [row["spacing_x"], row["spacing_y"], row["spacing_z"]]
            assert spacing == pytest.approx([0.7, 0.7, 1.5], abs=1e-5), version
            assert affine[2, 2] > 0 and row["plane"] == "axial" and row["body_part"] == "CHEST"


def test_both_versions_make_the_same_volumes(versions):
    first, second = versions[1].volumes, versions[2].volumes
    assert first.keys() == second.keys()
    for series, (array, affine, row) in first.items():
        other_array, other_affine, other_row = second[series]
        np.testing.assert_array_equal(array, other_array)
        np.testing.assert_allclose(affine, other_affine, atol=1e-4)
        columns = ["volume", "series", "study", "patient", "split", "sex", "age", "date", "contrast"]
        assert [row[name] for name in columns] == [other_row[name] for name in columns]
