"""Files of patients who have withdrawn."""

from collections.abc import Iterable, Iterator

from refrad.dicom.headers import Header
from refrad.privacy.withdrawals import Withdrawals
from refrad.workflow.tally import Tally

__all__ = ["leave_out_withdrawn"]


def leave_out_withdrawn(
    files: Iterable[list[Header]], withdrawals: Withdrawals, tally: Tally
) -> Iterator[list[Header]]:
    """The headers of each file that is of no patient who has withdrawn; the others are counted."""
    for headers in files:
        header = headers[0]
        study = header.study_key if header.nested_keys else header.study_uid
        if withdrawals.has_image(header.patient_key, study, header.path, bool(header.modality)):
            tally.take()
            tally.quarantine("withdrawn")
            tally.add("reason", "withdrawn", len(headers))
        else:
            yield headers
