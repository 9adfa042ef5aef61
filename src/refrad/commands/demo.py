"""The command `refrad demo`: a synthetic delivery, or a synthetic copy of a public set."""

from pathlib import Path
from typing import Literal

from refrad.core.files import atomic
from refrad.demo.cohort import DEMO_KEY, write_cohort
from refrad.demo.public_set import write_totalsegmentator

__all__ = ["main"]


def main(
    *,
    out: Path,
    patients: int = 48,
    seed: int = 0,
    key: Path | None = None,
    public_set: Literal["totalsegmentator"] | None = None,
) -> None:
    """Write a synthetic delivery: DICOM files, reports and references, and the ground truth, which no stage reads.

    Args:
        out: its folder.
        patients: their number.
        seed: of all random draws; the same seed gives the same bytes.
        key: where to write the demo's secret key, which is public.
        public_set: write the patients as the NIfTI files and tables of this set instead, as its downloads unpack.
    """
    if public_set:
        write_totalsegmentator(out, patients, seed)
    else:
        write_cohort(out, patients, seed)
    if key:
        with atomic(key) as temporary:
            temporary.write_bytes(DEMO_KEY)
