"""One split for each patient, by the official splits and the key of the patient alone."""

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from refrad.public_sets.base import SetOptions
from refrad.public_sets.official_splits import settle_splits, share_of

OFFICIAL = st.sampled_from(["train", "validation", "test"])
ROWS = st.lists(st.tuples(st.text(min_size=1, max_size=3), OFFICIAL), min_size=1, max_size=30)


def settled(rows, **options):
    patients, official = zip(*rows, strict=True)
    result = settle_splits(pl.Series(patients), pl.Series(official), SetOptions(**options))
    return result.splits.to_list(), result.crossing


@given(ROWS)
def test_no_patient_is_in_two_splits_and_no_other_split_than_an_official_one(rows):
    official = {}
    for patient, split in rows:
        official.setdefault(patient, set()).add(split)
    for resplit in (False, True):
        splits, crossing = settled(rows, resplit=resplit, validation=0)
        assert crossing == sum(len(names) > 1 for names in official.values())
        of_patient = {}
        for (patient, _), split in zip(rows, splits, strict=True):
            of_patient.setdefault(patient, set()).add(split)
        for patient, (split,) in of_patient.items():
            assert split in official[patient] if resplit or len(official[patient]) == 1 else split == ""


@given(ROWS, ROWS)
def test_splits_of_patients_stay_as_the_set_grows(rows, more):
    further = [(f"new {patient}", split) for patient, split in more]
    has_validation = [("v", "validation")]  # in both, since a share is taken only of sets without it
    before, _ = settled([*has_validation, *rows], resplit=True)
    after, _ = settled([*has_validation, *rows, *further], resplit=True)
    assert after[: len(before)] == before


def test_crossing_patients_are_spread_over_their_splits():
    rows = [(str(number), split) for number in range(400) for split in ("train", "test")]
    splits, _ = settled(rows, resplit=True, validation=0)
    assert 160 < splits.count("test") / 2 < 240  # 200 expected, four standard deviations are 40


def test_a_share_of_the_training_patients_validates_where_the_set_has_none():
    rows = [(str(number), "train" if number % 4 else "test") for number in range(2000)]
    splits, _ = settled(rows, validation=0.1)
    assert 100 < splits.count("validation") < 200  # 150 of 1500 expected
    assert all(split == "test" for (_, official), split in zip(rows, splits, strict=True) if official == "test")
    splits, _ = settled([*rows, ("v", "validation")], validation=0.1)
    assert splits.count("validation") == 1


def test_share_is_the_same_everywhere_and_differs_by_purpose():
    # int.from_bytes(hashlib.blake2b(b"split|train_1", digest_size=6).digest(), "big") / 2**48
    assert share_of("train_1", "split") == 0.7686077299440264 != share_of("train_1", "validation")
    assert 0 <= share_of("", "") < 1
