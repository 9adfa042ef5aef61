"""Verdicts from a ticked sheet of `refrad audit`, which is a random sample of the captions as the random queue is."""

from refrad.reporting.audit_sheet import read_marks
from refrad.review.item_index import ItemIndex
from refrad.review.judgement import LONGEST, ReviewVerdict

__all__ = ["verdicts_of_sheet"]


def verdicts_of_sheet(text: str, name: str, reviewer: str, index: ItemIndex) -> tuple[list[ReviewVerdict], int]:
    """The marks of a sheet as verdicts, and the number of marks on pairs that are not in the dataset as they were on the sheet.

    Args:
        text: of the returned sheet.csv; yes accepts a caption, no rejects it, and the comment is the reason.
        name: of the file, for messages.
        reviewer: who ticked it.
        index: of the dataset.

    Raises:
        ValueError: if it is no sheet, or one of an earlier release, which does not tell what was on it.
    """
    marks = read_marks(text, name)
    if "digest" not in marks[0][0]:
        raise ValueError(
            f"{name}: no column digest, as in sheets of earlier releases: make a new sheet with refrad audit"
        )
    verdicts, changed = [], 0
    for row, right in marks:
        if right is None:
            continue
        number = index.place_of(row["image_id"], row["caption"])
        item = index.items.row(number, named=True) if number is not None else None
        if item is None or item["digest"] != row["digest"]:
            changed += 1
            continue
        verdicts.append(
            ReviewVerdict(
                reviewer=reviewer,
                delivery=item["delivery"],
                shard=item["shard"],
                patient=item["patient"],
                image_id=item["image_id"],
                item="caption",
                item_id=item["item_id"],
                verdict="accept" if right else "reject",
                reason=(row.get("comment") or "")[: LONGEST["reason"]],
                queue="random",
                digest=item["digest"],
            )
        )
    return verdicts, changed
