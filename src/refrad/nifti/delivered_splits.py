"""The official splits of a delivery of NIfTI files: each patient belongs to one of them, however the patient's key is written."""

from collections.abc import Callable

from refrad.dicom.headers import Header

__all__ = ["OfficialSplits"]

CROSSING = "-"


class OfficialSplits:
    """The split of each patient of a delivery that has official splits: `learn` from the header of each file first.

    Args:
        patient_of: key by which spellings of one patient are told together.
    """

    def __init__(self, patient_of: Callable[[Header], str]) -> None:
        self._patient_of = patient_of
        self._splits: dict[int, str] = {}  # hash of the patient's key to the split
        self._with, self._without = 0, 0  # files

    def learn(self, header: Header) -> None:
        """Note the split of a file; files without an owner, and those whose row cannot be read, have none."""
        if not header.modality or header.reason == "wrong_entry":
            return
        if not header.split:
            self._without += 1
            return
        self._with += 1
        patient = hash(self._patient_of(header))
        if self._splits.setdefault(patient, header.split) != header.split:
            self._splits[patient] = CROSSING

    def settle(self) -> None:
        """Check that all files have an official split, or none.

        Raises:
            ValueError: if some have.
        """
        if self._with and self._without:
            raise ValueError(
                f"deliveries.volumes: {self._without} of {self._with + self._without} files have no split: the column split"
                " must be filled in for all files, or for none"
            )

    def leave_out(self, headers: list[Header]) -> list[Header]:
        """The headers, with the reason "split_differs" for files of patients that have several splits."""
        return [
            header._replace(reason="split_differs") if header.reason is None and self._crosses(header) else header
            for header in headers
        ]

    def _crosses(self, header: Header) -> bool:
        return bool(header.split) and self._splits.get(hash(self._patient_of(header))) == CROSSING
