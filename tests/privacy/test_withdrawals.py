"""Patients who have withdrawn are known by keyed digests."""

import json
import stat

import pytest

from refrad.privacy.pseudonyms import Pseudonyms
from refrad.privacy.withdrawals import Withdrawals, withdrawals_of

KEY = bytes(range(32))


@pytest.fixture
def withdrawals(tmp_path):
    listed = Withdrawals(tmp_path / "forgotten" / "withdrawn.json", Pseudonyms(KEY))
    listed.add({"patient": ["P1"], "study": ["1.2.3"], "folder": ["a/P1"], "accession": [""]})
    return listed


@pytest.mark.parametrize(
    ("patient", "study", "path", "has_owner", "expected"),
    [
        ("P1", "9.9", "x/1.dcm", True, True),
        ("P2", "1.2.3", "x/1.dcm", True, True),
        ("P2", "9.9", "a/P1/1.dcm", True, False),  # of another patient, whatever the folder
        ("P2", "9.9", "a/P1/broken", False, True),
        ("", "", "a/broken", False, False),
        ("p1", "", "x", True, False),
        ("1.2.3", "P1", "x", True, False),  # kinds are apart
        ("", "", "", True, False),
    ],
)
def test_image_is_of_a_withdrawn_patient(withdrawals, patient, study, path, has_owner, expected):
    assert withdrawals.has_image(patient, study, path, has_owner) is expected


def test_list_holds_digests_only_and_is_closed(withdrawals, tmp_path):
    path = tmp_path / "forgotten" / "withdrawn.json"
    assert len(withdrawals) == 3
    assert not any(word in path.read_text() for word in ("P1", "1.2.3", Pseudonyms(KEY).patient("P1")))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_list_grows_and_is_read_by_other_stages(withdrawals, tmp_path):
    withdrawals.add({"patient": ["P2"]})
    again = withdrawals_of(tmp_path / "demo" / "files.parquet", Pseudonyms(KEY))
    assert again.has("patient", "P1") and again.has("patient", "P2") and not again.has("patient", "P3")


@pytest.mark.usefixtures("withdrawals")
def test_other_key_knows_nobody(tmp_path):
    again = withdrawals_of(tmp_path / "demo" / "files.parquet", Pseudonyms(bytes(32)))
    assert len(again) == 3 and not again.has("patient", "P1")


def test_missing_list_is_empty(tmp_path):
    assert not withdrawals_of(tmp_path / "demo" / "files.parquet", Pseudonyms(KEY)).has("patient", "P1")


@pytest.mark.usefixtures("withdrawals")
def test_damaged_list_is_refused(tmp_path):
    path = tmp_path / "forgotten" / "withdrawn.json"
    value = json.loads(path.read_text())
    value["digests"] = []
    path.write_text(json.dumps(value))
    with pytest.raises(ValueError, match="is damaged"):
        withdrawals_of(tmp_path / "demo" / "files.parquet", Pseudonyms(KEY))
