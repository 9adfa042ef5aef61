import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.dataset.image_codec import encode_pixels, perceptual_hash
from refrad.dataset.leakage import DISTANCE, find_leakage, find_near_pairs
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
        "split": split,
        "pixels": encode_pixels(channels),
        "perceptual_hash": perceptual_hash(channels),
    }


@pytest.fixture
def look(tmp_path, schema):
    def find(*rows):
        write_shard(tmp_path / "a.parquet", rows, schema, Fingerprint("shards", 1, {}, {}), formats=["raw"])
        return find_leakage([tmp_path / "a.parquet"], 2.0)

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
    assert [pair[:2] for pair in leakage.pictures] == [("i0", "i1")]


def test_same_hash_of_different_pixels_is_no_leak(look):
    same_hash = row(1, "test") | {"perceptual_hash": row(0, "train")["perceptual_hash"]}
    leakage = look(row(0, "train"), same_hash)
    assert leakage.compared == 1 and leakage.total == 0


hashes = st.integers(0, 2**64 - 1)
flips = st.lists(st.integers(0, 63), max_size=5)


@given(st.lists(st.tuples(hashes, flips, st.sampled_from(["train", "test"])), max_size=8))
def test_pairs_within_the_distance_are_all_found(images):
    rows = []
    for value, bits, split in images:
        rows.append((value, split))
        for bit in bits:
            value ^= 1 << bit
        rows.append((value, "test" if split == "train" else "train"))
    frame = pl.DataFrame(
        [(f"{value:016x}", split) for value, split in rows],
        schema={"perceptual_hash": pl.String, "split": pl.String},
        orient="row",
    )
    expected = {
        (a, b)
        for a in range(len(rows))
        for b in range(a + 1, len(rows))
        if rows[a][1] != rows[b][1] and (rows[a][0] ^ rows[b][0]).bit_count() <= DISTANCE
    }
    assert set(find_near_pairs(frame)) == expected
