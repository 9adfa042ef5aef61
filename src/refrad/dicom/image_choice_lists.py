"""The lists of a site that choose images: reading them for stage index, and counting which of their entries match."""

import logging
from collections.abc import Mapping
from pathlib import Path

from refrad.dicom.image_choice import ImageChoice
from refrad.privacy.choice_lists import LISTS, digests_of_choice, read_choice_list
from refrad.privacy.keys import read_or_create_key
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.tally import Tally

__all__ = ["read_image_choice", "report_choice"]

log = logging.getLogger(__name__)

SHOWN_LINES = 100
# What becomes of identifiers that differ in spelling only
SPELLINGS = {"include": "none is used; write the identifier as the headers have it", "exclude": "all are left out"}


def read_image_choice(paths: Mapping[str, Path | None], key: Path, fingerprint: Fingerprint) -> ImageChoice:
    """The choice of images by the lists of the site, which must be those of the fingerprint.

    Raises:
        ValueError: if a list has changed since the run began.
    """
    lists = {name: read_choice_list(path) for name, path in paths.items() if path}
    digests = digests_of_choice(lists, read_or_create_key(key))
    for role in (f"index.{name}" for name in LISTS):
        if digests.get(role) != fingerprint.files.get(role):
            raise ValueError(f"{role}: the list has changed since the run began: start the run again")
    return ImageChoice(lists.get("include", ()), lists.get("exclude", ()))


def report_choice(choice: ImageChoice, tally: Tally) -> None:
    """Count the entries of the lists, and name the lines of those that match nothing or several identifiers."""
    for name, entries in (("include", choice.include), ("exclude", choice.exclude)):
        unmatched = sorted(set(entries.lines) - entries.matched)
        if entries.lines:
            tally.add(f"entries of index.{name}", "match images", len(entries.lines) - len(unmatched))
            tally.add(f"entries of index.{name}", "match none in this delivery", len(unmatched))
        for lines, finding in (
            (unmatched, "match no image of this delivery"),
            (sorted(entries.doubtful), f"match several identifiers that differ in spelling only: {SPELLINGS[name]}"),
        ):
            if lines:
                numbers = ", ".join(map(str, lines[:SHOWN_LINES])) + ", ..." * (len(lines) > SHOWN_LINES)
                log.warning("index.%s: %d entries %s: line %s", name, len(lines), finding, numbers)
    if choice.include.kinds and not tally.used:
        kinds = ", ".join(sorted(choice.include.kinds))
        log.warning(
            "index.include: no image of this delivery is used: one must match an entry of each kind of the list: %s",
            kinds,
        )
