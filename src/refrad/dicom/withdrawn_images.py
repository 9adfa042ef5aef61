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
        if withdrawals.has_image(header.patient_key, header.study_uid, header.path, bool(header.modality)):
            tally.take()
            tally.quarantine("withdrawn")
            tally.add("reason", "withdrawn", len(headers))
        else:
            yield headers
