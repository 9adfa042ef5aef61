import multiprocessing
import pickle
import re
import stat
from typing import get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refrad.privacy.pseudonyms import (
    DEMO_KEY_PREFIX,
    Distinct,
    FileRow,
    FileTable,
    Pseudonyms,
    fold_patient_key,
    read_or_create_key,
    shard_of,
    split_of,
)

ONE, OTHER = Pseudonyms(bytes(32)), Pseudonyms(bytes(31) + b"1")
KINDS = ["patient", "study", "series", "volume", "instance", "file", "report"]
PATIENTS = st.integers(0, 2**64 - 1).map("{:016x}".format)


@given(st.text())
def test_pseudonym_has_16_digits_and_depends_on_kind_key_value(value):
    made = [getattr(ONE, kind)(value) for kind in KINDS]
    assert all(re.fullmatch("[0-9a-f]{16}", pseudonym) for pseudonym in made)
    assert len(set(made)) == len(KINDS)
    assert made == [getattr(Pseudonyms(bytes(32)), kind)(value) for kind in KINDS]
    assert set(made).isdisjoint(getattr(OTHER, kind)(value) for kind in KINDS)
    assert ONE.patient(value) != ONE.patient(value + "x")


def test_pseudonym_never_changes():
    """Splits of deliveries years apart rest on this."""
    assert ONE.patient("P1") == "3c6150ac536a51ad"


@given(st.text())
def test_dates_move_back_by_up_to_ten_years_and_by_the_key(patient):
    days = ONE.date_shift(patient).days
    assert -3650 <= days <= -1
    assert ONE.date_shift(patient).days == days


def test_other_patients_and_keys_have_other_shifts():
    assert len({ONE.date_shift(str(number)) for number in range(100)}) > 90
    assert [ONE.date_shift(str(n)) for n in range(5)] != [OTHER.date_shift(str(n)) for n in range(5)]


def test_splits_have_their_shares():
    splits = [split_of(ONE.patient(str(number)), test=0.2, validation=0.1) for number in range(20_000)]
    assert splits.count("test") / 20_000 == pytest.approx(0.2, abs=0.01)
    assert splits.count("validation") / 20_000 == pytest.approx(0.1, abs=0.01)


@given(PATIENTS, st.floats(0, 1))
def test_patient_stays_in_the_test_split_when_it_grows(patient, test):
    if split_of(patient, test=test, validation=0) == "test":
        assert split_of(patient, test=min(1, test + 0.1), validation=0) == "test"


@pytest.mark.parametrize(
    "spellings",
    [
        ("123", "0123", "000123", " 123 ", "123.0", "123,00", "123^^^KLINIK&1.2&ISO", "1 23", "12-3", "１２３"),
        ("P123", "p123", "P00123", "p-0123", "P/123", "P.123"),
        ("0", "000"),
        ("4711A", "4711a", "04711-A"),
    ],
)
def test_spellings_of_one_patient_id_have_one_key(spellings):
    assert len({fold_patient_key(spelling) for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [("123", "1230"), ("P123", "Q123"), ("12", "123"), ("1023", "123"), ("0", "1"), ("123", "P123")],
)
def test_other_patient_ids_keep_other_keys(first, second):
    assert fold_patient_key(first) != fold_patient_key(second)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
def test_folded_key_is_a_key_and_stays_itself(key):
    folded = fold_patient_key(key)
    assert folded and fold_patient_key(folded) == folded


@pytest.mark.parametrize("key", ["4711", "P123", "58124944", "A1B2", "^", "-", "---"])
def test_key_without_padding_or_marks_is_as_it_was(key):
    assert fold_patient_key(key) == key


def test_shares_of_nothing_and_of_all_are_exact():
    for patient in ("0" * 16, "8" * 16, "f" * 16):
        assert split_of(patient, test=0, validation=0) == "train"
        assert split_of(patient, test=0, validation=1) == "validation" or patient == "f" * 16
        assert split_of(patient, test=1, validation=0) == "test" or patient == "f" * 16


@given(PATIENTS, st.integers(1, 1000))
def test_patient_has_a_shard(patient, shards):
    assert 0 <= shard_of(patient, shards) < shards


def test_shards_are_even_and_independent_of_the_split():
    patients = [ONE.patient(str(number)) for number in range(10_000)]
    tested = [shard_of(p, 4) for p in patients if split_of(p, test=0.2, validation=0.1) == "test"]
    for shard in range(4):
        assert tested.count(shard) / len(tested) == pytest.approx(0.25, abs=0.04)


def test_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "private" / "key"
    key = read_or_create_key(path)
    assert len(key) == 32
    assert read_or_create_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(path.parent.iterdir()) == [path]
    assert read_or_create_key(tmp_path / "other") != key


def test_key_is_never_printed(tmp_path, caplog, capfd):
    caplog.set_level("DEBUG")
    key = read_or_create_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    read_or_create_key(tmp_path / "key")
    said = caplog.text + str(capfd.readouterr())
    assert key.hex() not in said
    assert repr(key) not in said


def test_open_key_is_closed_to_others(tmp_path):
    key = read_or_create_key(tmp_path / "key")
    (tmp_path / "key").chmod(0o644)
    assert read_or_create_key(tmp_path / "key") == key
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    (tmp_path / "demo").write_bytes(DEMO_KEY_PREFIX + bytes(16))
    (tmp_path / "demo").chmod(0o644)
    read_or_create_key(tmp_path / "demo")
    assert stat.S_IMODE((tmp_path / "demo").stat().st_mode) == 0o644, "the key of the demo is public"


def test_key_is_the_same_for_concurrent_processes(tmp_path):
    with multiprocessing.get_context("fork").Pool(8) as pool:
        keys = pool.map(read_or_create_key, [tmp_path / "key"] * 64, chunksize=1)
    assert len(set(keys)) == 1


def test_damaged_key_is_refused_rather_than_replaced(tmp_path):
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(ValueError, match=r"privacy\.key"):
        read_or_create_key(tmp_path / "key")
    assert (tmp_path / "key").read_bytes() == b"short"


def test_key_of_the_demo_is_known_as_such():
    assert Pseudonyms(DEMO_KEY_PREFIX + b"x" * 16).of_the_demo
    assert not ONE.of_the_demo


@given(st.lists(st.integers(0, 9), max_size=40))
def test_different_pseudonyms_are_counted_in_any_order(numbers):
    names = [ONE.patient(str(number)) for number in numbers]
    distinct = Distinct()
    others = [distinct.add(name) for name in names]
    assert len(distinct) == len(set(names))
    assert others == [before != name for before, name in zip([None, *names], names, strict=False)]


def test_file_row_has_columns_of_its_table():
    assert list(get_type_hints(FileRow)) == list(FileTable.to_schema().columns)


def test_pseudonyms_are_the_same_in_another_process():
    pseudonyms = Pseudonyms(bytes(range(32)))
    assert pickle.loads(pickle.dumps(pseudonyms)).patient("123") == pseudonyms.patient("123")
