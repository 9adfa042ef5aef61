"""Patients who have withdrawn: keyed digests of their identifiers, so that a later delivery cannot bring them back.

The list is no option and stands in no fingerprint: removing a patient leaves the tables as a new run with the list would make
them, so no stage runs again because the list has grown.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

from refrad.core.checksums import TableError
from refrad.core.manifests import read_sealed, write_sealed
from refrad.core.private_files import REMOVALS, only_for_the_owner
from refrad.privacy.pseudonyms import Pseudonyms

__all__ = ["LIST", "Kind", "Withdrawals", "withdrawals_of"]

LIST = "withdrawn.json"

Kind = Literal["patient", "spelling", "study", "accession", "folder"]
"""Of an identifier: PatientID; the same in any spelling; StudyInstanceUID; AccessionNumber; folder inside a delivery."""


class Withdrawals:
    """The identifiers of the patients who have withdrawn, as keyed digests.

    Args:
        path: of the list, which need not exist.
        pseudonyms: with the site's key.

    Raises:
        TableError: if the list is damaged.
    """

    def __init__(self, path: Path, pseudonyms: Pseudonyms) -> None:
        self._path, self._pseudonyms = path, pseudonyms
        try:
            self._digests: set[str] = set(read_sealed(path)["digests"]) if path.exists() else set()
        except TableError:
            raise TableError(
                f"{path} is damaged: put a backup of it in its place; without it, patients who have withdrawn come back"
            ) from None

    def __len__(self) -> int:
        return len(self._digests)

    def has(self, kind: Kind, identifier: str) -> bool:
        """Whether an identifier is that of a patient who has withdrawn."""
        if not self._digests or not identifier:
            return False
        return self._pseudonyms.withdrawn(kind, identifier) in self._digests

    def has_image(self, patient_key: str, study_uid: str, path: str, has_owner: bool) -> bool:
        """Whether a file of a delivery is of such a patient.

        Args:
            patient_key: of the patient, PatientID or its substitute.
            study_uid: StudyInstanceUID, or "".
            path: of the file inside the delivery.
            has_owner: whether the file could be read as an image; of others, the folder counts.
        """
        if not has_owner:
            return self.has("folder", PurePosixPath(path).parent.as_posix())
        return self.has("patient", patient_key) or self.has("study", study_uid)

    def add(self, identifiers: Mapping[Kind, Iterable[str]]) -> None:
        """Add identifiers and write the list, readable by its owner alone."""
        new = {
            self._pseudonyms.withdrawn(kind, value) for kind, values in identifiers.items() for value in values if value
        }
        self._digests |= new
        with only_for_the_owner():
            write_sealed(self._path, {"digests": sorted(self._digests)})


def withdrawals_of(files: Path, pseudonyms: Pseudonyms) -> Withdrawals:
    """The list in the private folder, in which `files`, the private file table of a delivery, has a folder.

    Raises:
        TableError: if the list is damaged.
    """
    return Withdrawals(files.parent.parent / REMOVALS / LIST, pseudonyms)
