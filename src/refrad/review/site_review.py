"""The verdicts of a site as the rules use them: which shards and what else must run again because of them."""

import shlex
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from refrad.core.files import digest_bytes
from refrad.core.private_files import REVIEW
from refrad.privacy.pseudonyms import shard_of
from refrad.review.erased_rejections import read_digests, rejection_digest
from refrad.review.feedback import rejections
from refrad.review.judgement import ReviewVerdict, VerdictHistory, standing
from refrad.review.verdicts import open_verdicts
from refrad.workflow.fingerprint import Fingerprint
from refrad.workflow.site import Site

__all__ = ["SiteReview", "verdicts_file"]

ROLE = "review"  # of the verdicts among the files of a fingerprint


def verdicts_file(private: str | Path) -> Path:
    """The file of verdicts in the private folder of a site."""
    return Path(private) / REVIEW / "verdicts.sqlite"


class SiteReview:
    """Fingerprints with the verdicts of the review, which are read once.

    A rejection counts for the shard of its patient in each delivery, since a patient may be in several. The order of verdicts does
    not matter; for the shards, neither who gave them nor how many gave the same, and what is accepted changes no shard.

    Attributes:
        site: the config.
    """

    def __init__(self, site: Site) -> None:
        self.site = site
        self._path = verdicts_file(site.config.privacy.folder)

    def fingerprint(self, stage: str) -> Any:
        """A Snakemake params function: the fingerprint of a stage for the job of the wildcards."""

        def text(wildcards: Any) -> str:
            return self.fingerprint_of(stage, getattr(wildcards, "delivery", None), getattr(wildcards, "shard", None))

        return text

    def fingerprint_of(self, stage: str, delivery: str | None = None, shard: str | int | None = None) -> str:
        """The fingerprint of a job; that of the stage alone for stages that use no verdicts, or where none is there."""
        text = self.site.fingerprint(stage)
        if stage == "card":
            digest = _digest(_counted_for_card(self._read[1]))
        elif stage == "shards" and delivery is not None and shard is not None:
            count = self.site.deliveries[delivery].shards
            digest = _digest(set(self._rejected.get((count, int(shard)), ())))
        else:
            digest = ""
        if not digest:
            return text
        fingerprint = Fingerprint.parse(text)
        return replace(fingerprint, files={**fingerprint.files, ROLE: digest}).text

    @property
    def flags(self) -> Any:
        """A Snakemake params function: ` --verdicts FILE --until NUMBER` for jobs that use verdicts, or nothing without any.

        It takes `resources`, so Snakemake leaves it out of the triggers of a rerun: the fingerprint is one. The number is that of
        the last verdict of which the fingerprint knows.
        """

        def text(wildcards: Any, resources: Any) -> str:  # noqa: ARG001 - names that Snakemake looks for
            number = self._read[0]
            return f" --verdicts {shlex.quote(str(self._path))} --until {number}" if number else ""

        return text

    @cached_property
    def _read(self) -> tuple[int, list[ReviewVerdict]]:
        """Number of the last verdict, and all verdicts up to it."""
        if not self._path.exists():
            return 0, []
        with open_verdicts(self._path, writable=False) as store:
            number = store.last_number()
            return number, store.all(until=number)

    @cached_property
    def _rejected(self) -> dict[tuple[int, int], list[str]]:
        """Number of shards of a delivery, and number of the shard, to digests of what is rejected in it, now or before a removal."""
        counts = {delivery.shards for delivery in self.site.deliveries.values()}
        by_shard: dict[tuple[int, int], list[str]] = {}
        for count, shard, digest in read_digests(Path(self.site.config.privacy.folder)):
            by_shard.setdefault((count, shard), []).append(digest)
        for verdicts in rejections(standing(self._read[1])).values():
            for count in counts:
                digests = by_shard.setdefault((count, shard_of(verdicts[0].patient, count)), [])
                digests += map(rejection_digest, verdicts)
        return by_shard


def _counted_for_card(verdicts: Iterable[ReviewVerdict]) -> list[str]:
    """What the statistics of the card rest on: which verdicts count, which of them are of the random queue, and which have the same reviewer.

    Reviewers are numbers here, since their names must not be found by trying.
    """
    counting = VerdictHistory(verdicts).counting()
    reviewers = sorted({verdict.reviewer for verdict in counting.standing})
    return [
        f"{queue} {reviewers.index(verdict.reviewer)} {rejection_digest(verdict)}"
        for queue, of_queue in (("any", counting.standing), ("random", counting.sample))
        for verdict in of_queue
    ]


def _digest(verdicts: Iterable[str]) -> str:
    """12 hexadecimal digits of the digests of verdicts, whatever their order; "" without any."""
    digests = sorted(verdicts)
    return digest_bytes(*(digest.encode() for digest in digests))[:12] if digests else ""
