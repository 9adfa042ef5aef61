import numpy as np
import polars as pl
import pytest

from refrad.core.tables import write_frame
from refrad.dataset.image_codec import encode_pixels, encode_sketch
from refrad.dataset.leakage import find_leakage
from refrad.dataset.shard_io import write_shard
from refrad.workflow.fingerprint import Fingerprint

R = np.random.default_rng(3)
BODIES = [R.integers(0, 255, (8, 8)).repeat(8, 0).repeat(8, 1) for _ in range(6)]


def row(number, split, patient=None, study=None, body=None, noise=0):
    grey = BODIES[number if body is None else body] + R.normal(0, noise, (64, 64))
    channels = np.repeat(np.uint8(np.clip(grey, 0, 255))[None], 3, 0)
    return {
        "image_id": f"i{number}",
        "patient": patient or f"p{number}",
        "study": study or f"s{number}",
        "volume": f"v{number}",
        "split": split,
        "pixels": encode_pixels(channels),
        "sketch": encode_sketch(channels),
    }


@pytest.fixture
def look(tmp_path, schema):
    def find(*rows, persons=()):
        write_shard(tmp_path / "a.parquet", rows, schema, Fingerprint("shards", 1, {}, {}), formats=["raw"])
        return find_leakage([tmp_path / "a.parquet"], 0.75, persons)

    return find


def test_clean_dataset_has_no_leak(look):
    leakage = look(row(0, "train"), row(1, "train", patient="p0", study="s0"), row(2, "test"), row(3, "validation"))
    assert (leakage.images, leakage.total) == (4, 0)


def test_patient_and_study_in_two_splits_are_leaks(look):
    leakage = look(
        row(0, "train", patient="p", study="s"), row(1, "test", patient="p"), row(2, "validation", study="s")
    )
    assert leakage.patients == ("p",) and leakage.studies == ("s",) and leakage.total == 2


def test_same_picture_is_a_leak_only_across_splits(look):
    assert look(row(0, "train"), row(1, "train", body=0)).total == 0
    leakage = look(row(0, "train"), row(1, "test", body=0, noise=2), row(2, "test"))
    assert [(pair[:2], pair[3]) for pair in leakage.pictures] == [(("i0", "i1"), "as it is")]
    assert leakage.pictures[0][2] > 0.9 and leakage.compared >= 1


def test_persons_in_two_splits_are_a_warning_and_no_leak(look, tmp_path):
    persons = pl.DataFrame({"patient": ["p0", "p1", "p2", "p9", "p2"], "person": ["x", "x", "y", "y", None]})
    for name, part in (("a", persons[:1]), ("b", persons[1:])):
        write_frame(tmp_path / f"{name}.persons", part)
    rows = row(0, "train"), row(1, "test"), row(2, "validation")
    leakage = look(*rows, persons=[tmp_path / "a.persons", tmp_path / "b.persons"])
    assert leakage.persons == (("p0", "p1"),) and leakage.total == 0
    assert look(*rows).persons is None


def test_dataset_without_images_has_no_leak(look):
    assert look().total == 0
