"""The overlap with test images is searched once for the same files, and again for others."""

import numpy as np
import pytest
from tests.factories.dataset import SHARDS
from tests.factories.images import image_row

from refrad.dataset.shard_io import write_shard
from refrad.training import recorded_overlap
from refrad.training.recorded_overlap import find_recorded_overlap
from refrad.training.set_aside import claim_folder


@pytest.fixture
def searches(monkeypatch):
    """The correlations of the searches that have run."""
    correlations = []

    def search(training, tested, correlation):
        correlations.append(correlation)
        return find(training, tested, correlation)

    find = recorded_overlap.find_training_overlap
    monkeypatch.setattr(recorded_overlap, "find_training_overlap", search)
    return correlations


@pytest.fixture
def write(tmp_path, schema):
    """The function that writes a file of images, by name of the file, split and numbers of the pictures."""

    def write(name, split, *numbers):
        rows = [image_row(number, split, np.random.default_rng(number)) for number in numbers]
        rows = [row | {"image_id": f"{name}:{row['image_id']}", "patient": f"{name} {row['patient']}"} for row in rows]
        write_shard(tmp_path / f"{name}.parquet", rows, schema, SHARDS)
        return tmp_path / f"{name}.parquet"

    return write


def test_overlap_is_searched_once_for_the_same_files(write, searches, tmp_path):
    ours, theirs = write("ours", "train", 0, 1), write("theirs", "test", 0, 2)
    first = find_recorded_overlap(tmp_path / "x.work", [ours], [theirs], 0.75)
    claim_folder(tmp_path / "x.work", "a training")  # there is no state to move aside
    again = find_recorded_overlap(tmp_path / "x.work", [ours], [theirs], 0.75)
    assert searches == [0.75]
    assert first == again and first.training_ids == {"ours:i0000"} and first.compared == 4


def test_other_files_or_another_correlation_are_searched_again(write, searches, tmp_path):
    ours, theirs = write("ours", "train", 0, 1), write("theirs", "test", 0, 2)
    find_recorded_overlap(tmp_path, [ours], [theirs], 0.75)
    find_recorded_overlap(tmp_path, [ours], [theirs], 0.9)
    assert searches == [0.75, 0.9]
    theirs = write("theirs", "test", 1, 2)  # the same name, other content
    assert find_recorded_overlap(tmp_path, [ours], [theirs], 0.9).training_ids == {"ours:i0001"}
    assert (
        find_recorded_overlap(tmp_path, [theirs], [ours], 0.9).compared == 0
    )  # the sides are exchanged: nothing is trained on
    assert searches == [0.75, 0.9, 0.9, 0.9]


@pytest.mark.parametrize("damage", [b"", b"{}", b'{"key": 1, "sealed": {}}'])
def test_damaged_record_is_searched_again(write, searches, tmp_path, damage):
    ours, theirs = write("ours", "train", 0, 1), write("theirs", "test", 0, 2)
    expected = find_recorded_overlap(tmp_path, [ours], [theirs], 0.75)
    (tmp_path / ".overlap.json").write_bytes(damage)
    assert find_recorded_overlap(tmp_path, [ours], [theirs], 0.75) == expected
    assert searches == [0.75, 0.75]
