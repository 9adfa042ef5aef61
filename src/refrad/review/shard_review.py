"""The review of a shard as stage shards applies it."""

from pathlib import Path

from refrad.dataset.shard_rows import ImageRow
from refrad.review.feedback import leave_out, rejections
from refrad.review.left_out import LeftOutRow
from refrad.review.verdicts import open_verdicts
from refrad.workflow.tally import Tally

__all__ = ["ShardReview"]

COUNTED = "left out after review"  # table of the metrics

COUNTED_AS = {"caption": "captions that leave or lose a phrase", "question": "questions"}


class ShardReview:
    """The verdicts of a site, applied to the images of a shard.

    Attributes:
        left_out: the items that have left so far.

    Args:
        verdicts: file of the verdicts; None: nothing leaves.
        until: number of the last verdict to use; None: all.

    Raises:
        VerdictError: if the file is damaged.
    """

    def __init__(self, verdicts: Path | None, until: int | None) -> None:
        self.left_out: list[LeftOutRow] = []
        self._by_image = {}
        if verdicts is not None:
            with open_verdicts(verdicts, writable=False) as store:
                self._by_image = rejections(store.latest(until=until))

    def apply(self, row: ImageRow, tally: Tally) -> ImageRow | None:
        """The image without what verdicts reject, or None where no caption stays; what leaves is counted in the tally."""
        verdicts = self._by_image.get(row["image_id"])
        if not verdicts:
            return row
        reviewed = leave_out(row, verdicts)
        self.left_out += reviewed.left_out
        for left_row in reviewed.left_out:
            tally.add(COUNTED, COUNTED_AS[left_row["item"]])
        if reviewed.structures:
            tally.add(COUNTED, "structures", reviewed.structures)
        if reviewed.outdated:
            tally.add(COUNTED, "verdicts without effect, as the item has changed", reviewed.outdated)
        return reviewed.row
