"""The command `refrad demo`: a synthetic delivery."""

from pathlib import Path

from refrad.core.files import atomic
from refrad.demo.cohort import DEMO_KEY, write_cohort

__all__ = ["main"]


def main(*, out: Path, patients: int = 48, seed: int = 0, key: Path | None = None) -> None:
    """Write a synthetic delivery: DICOM files, reports and references, and the ground truth, which no stage reads.

    Args:
        out: its folder.
        patients: their number.
        seed: of all random draws; the same seed gives the same bytes.
        key: where to write the demo's secret key, which is public.
    """
    write_cohort(out, patients, seed)
    if key:
        with atomic(key) as temporary:
            temporary.write_bytes(DEMO_KEY)
