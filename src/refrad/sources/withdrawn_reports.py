"""Reports of patients who have withdrawn."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from refrad.privacy.withdrawals import Withdrawals
from refrad.sources.reports import Report
from refrad.sources.study_ids import LOOSE, StudyIds, spelling_key

__all__ = ["WITHDRAWN", "is_withdrawn", "mark_withdrawn", "spelling_of"]

WITHDRAWN = "withdrawn"  # a problem of a report


def mark_withdrawn(reports: Iterable[Report], withdrawals: Withdrawals, ids: StudyIds) -> Iterator[Report]:
    """The reports, those of patients who have withdrawn with the problem "withdrawn"."""
    for report in reports:
        yield replace(report, problem=WITHDRAWN) if is_withdrawn(report, withdrawals, ids) else report


def is_withdrawn(report: Report, withdrawals: Withdrawals, ids: StudyIds) -> bool:
    """Whether an id of a report is that of a patient who has withdrawn.

    An id that differs in spelling counts unless it is, as it is written, the id of another patient: else the report would
    go to a patient whose id is similar. A key of a study that is no UID is that of the report's patient only.
    """
    if (
        withdrawals.has("patient", report.patient_id)
        or (withdrawals.has("study", report.study_uid) and not ids.names_another_patient(report))
        or withdrawals.has("accession", report.accession_number)
        or withdrawals.has("folder", report.dicom.strip("/"))
    ):
        return True
    spellings = {column: getattr(report, column) for column in LOOSE}
    return any(
        value and not ids.knows(column, value) and withdrawals.has("spelling", spelling_of(column, value))
        for column, value in spellings.items()
    )


def spelling_of(column: str, identifier: str) -> str:
    """What all spellings of a patient_id or accession_number share."""
    return f"{column}|{spelling_key(identifier)}"
