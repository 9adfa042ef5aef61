"""Rejections of patients who have withdrawn: erased as verdicts, and kept as digests, so that their shards need not run again.

The fingerprint of a shard names what reviewers reject in it. The rejected items of the patient are in no shard any more, so the
shard is as it would be made anew; without the digests its fingerprint would be another. A digest is of keyed pseudonyms, and says
neither who nor what.
"""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from refrad.core.checksums import TableError
from refrad.core.files import digest_bytes
from refrad.core.manifests import read_sealed, write_sealed
from refrad.core.private_files import REMOVALS, only_for_the_owner
from refrad.privacy.pseudonyms import shard_of
from refrad.review.feedback import rejections
from refrad.review.judgement import ReviewVerdict, standing
from refrad.review.verdicts import open_verdicts

__all__ = ["ErasedRejection", "keep_digests", "read_digests", "rejection_digest", "rejections_of_patients"]

LIST = "rejections.json"

ErasedRejection = tuple[int, int, str]
"""Number of shards of a delivery, number of the shard, and `rejection_digest`."""


def rejection_digest(verdict: ReviewVerdict) -> str:
    """16 hexadecimal digits of what a verdict says, whoever gave it."""
    return digest_bytes(f"{verdict.key} {verdict.entity} {verdict.verdict}".encode())[:16]


def rejections_of_patients(verdicts: Path, patients: Collection[str], counts: Iterable[int]) -> list[ErasedRejection]:
    """The rejections of some patients (pseudonyms), for each number of shards of a delivery; none without a file of verdicts.

    Raises:
        VerdictError: if the file is damaged.
    """
    if not verdicts.exists():
        return []
    with open_verdicts(verdicts, writable=False) as store:
        by_image = rejections(standing(store.all()))
    own = [verdict for judged in by_image.values() for verdict in judged if verdict.patient in patients]
    return sorted(
        {(count, shard_of(verdict.patient, count), rejection_digest(verdict)) for count in counts for verdict in own}
    )


def keep_digests(private: Path, erased: Iterable[Sequence[int | str]]) -> None:
    """Add rejections to the list in the private folder."""
    rows = {tuple(row) for row in erased}
    if rows:
        rows |= read_digests(private)
        with only_for_the_owner():
            write_sealed(private / REMOVALS / LIST, {"rejections": sorted(rows)})


def read_digests(private: Path) -> set[ErasedRejection]:
    """The list in the private folder. Without it, or if it is damaged, some shards run again, to the same result."""
    try:
        rows = read_sealed(private / REMOVALS / LIST)["rejections"]
    except (FileNotFoundError, TableError):
        return set()
    return {(count, shard, digest) for count, shard, digest in rows}
