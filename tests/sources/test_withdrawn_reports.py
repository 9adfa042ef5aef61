"""Reports of patients who have withdrawn, by any id and spelling, and never those of others."""

import pytest

from refrad.privacy.pseudonyms import Pseudonyms
from refrad.privacy.withdrawals import Withdrawals
from refrad.sources.reports import Report
from refrad.sources.study_ids import StudyIds
from refrad.sources.withdrawn_reports import mark_withdrawn, spelling_of


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ({"patient_id": "00123"}, "withdrawn"),
        ({"study_uid": "1.2.3"}, "withdrawn"),
        ({"accession_number": "A 7"}, "withdrawn"),
        ({"dicom": "scans/x/"}, "withdrawn"),
        ({"patient_id": "123"}, "withdrawn"),  # a table without the padding
        ({"patient_id": "123.0"}, "withdrawn"),
        ({"accession_number": "a7"}, "withdrawn"),
        ({"patient_id": "0123"}, ""),  # exactly that of another patient
        ({"patient_id": "124"}, ""),
        ({"accession_number": "00123"}, ""),
        ({"study_uid": "3"}, "withdrawn"),  # a key of a study of NIfTI files
        ({"study_uid": "3", "patient_id": "124"}, "withdrawn"),  # no patient of the delivery
        ({"study_uid": "3", "patient_id": "0123"}, ""),  # the study 3 of another patient
        ({"study_uid": "1.2.3", "patient_id": "0123"}, "withdrawn"),  # a UID is that of one study
        ({}, ""),
    ],
)
def test_report_is_of_a_withdrawn_patient(tmp_path, ids, expected):
    withdrawals = Withdrawals(tmp_path / "withdrawn.json", Pseudonyms(bytes(32)))
    spellings = [spelling_of("patient_id", "00123"), spelling_of("accession_number", "A 7")]
    withdrawals.add(
        {
            "patient": ["00123"],
            "study": ["1.2.3", "3"],
            "accession": ["A 7"],
            "folder": ["scans/x"],
            "spelling": spellings,
        }
    )
    known = StudyIds({"study_uid": {}, "accession_number": {}, "patient_id": {"0123": {"s"}}}, [])
    fields = {"patient_id": "", "accession_number": "", "study_uid": "", "language": "", "dicom": ""} | ids
    (report,) = mark_withdrawn([Report("r", text="Leber.", **fields)], withdrawals, known)
    assert report.problem == expected
