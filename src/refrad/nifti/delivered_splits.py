"""The splits that a delivery brings: official ones, of which each patient belongs to one, and train where reports prove nothing."""

from collections.abc import Callable, Iterable, Iterator

from refrad.config.public_sets import PUBLIC_SETS
from refrad.dicom.headers import Header

__all__ = ["OfficialSplits", "put_in_train"]

CROSSING = "-"


def put_in_train(headers_of_files: Iterable[list[Header]], public_set: str | None) -> Iterator[list[Header]]:
    """The headers of each file, all in split train where the reports of the public set were made from its masks.

    A score on such reports would measure what wrote them, so no share and no table puts these patients elsewhere.
    """
    only_trains = public_set is not None and PUBLIC_SETS[public_set].reports_of_masks
    for headers in headers_of_files:
        yield [header._replace(split="train") for header in headers] if only_trains else headers


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
