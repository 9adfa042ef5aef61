"""The images that belong to a caption, and its mentions that may have a box in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from refrad.anatomy.schema import Schema
from refrad.core.table_rows import CaptionRow, MentionRow, ReferenceRow
from refrad.grounding.pairing import UNGROUNDED, GroundableMention, Matcher, PairingError, Slice, StudyImages
from refrad.grounding.phrase_extent import finer_classes
from refrad.workflow.tally import Tally

__all__ = ["CaptionImages", "ImageFinder", "is_paired"]


def is_paired(pairs: Literal["all", "grounded"]) -> pl.Expr:
    """Whether a row of `TripletTable` is a pair of the dataset, with a choice of `shards.pairs`."""
    is_grounded = pl.col("reason").is_null()
    return is_grounded | pl.col("reason").is_in(UNGROUNDED) if pairs == "all" else is_grounded


@dataclass(frozen=True)
class CaptionImages:
    """The images of a caption.

    Attributes:
        images: one or more.
        mentions: those that may have a box in an image.
        reason: why no image can have a box of the caption: no_mention, only_absent_mentions, or None.
    """

    images: Sequence[Slice]
    mentions: Sequence[GroundableMention]
    reason: str | None


@dataclass(frozen=True)
class ImageFinder:
    """Finds the images of captions.

    Args:
        anatomy: the class schema.
        match: of named and visible classes.
        count: images of a caption, or of a series that it names, at most.
        tally: of the stage; each reference is counted, as found or by the reason why not.
    """

    anatomy: Schema
    match: Matcher
    count: int
    tally: Tally

    def find(
        self,
        caption: CaptionRow,
        rows: Sequence[MentionRow],
        references: Sequence[ReferenceRow],
        study: StudyImages | None,
    ) -> CaptionImages:
        """The images that a caption names, or else slices of its study that show what it mentions.

        A caption without a groundable mention has the images that it names.

        Args:
            caption: of the table.
            rows: its mentions.
            references: its references to images.
            study: its images, or None.

        Raises:
            PairingError: if it has no image.
        """
        try:
            mentions, reason = _groundable_mentions(rows, caption, self.anatomy), None
        except PairingError as error:
            if caption["tie"] == "structure" or str(error) not in UNGROUNDED:
                raise
            mentions, reason = [], str(error)
        try:
            return CaptionImages(self._images(caption["tie"], references, mentions, study), mentions, reason)
        except PairingError as error:
            raise PairingError(reason or str(error)) from None

    def _images(
        self,
        tie: str,
        references: Sequence[ReferenceRow],
        mentions: Sequence[GroundableMention],
        study: StudyImages | None,
    ) -> list[Slice]:
        if study is None or not study.labelled:
            raise PairingError("no_image_in_study")
        if tie == "structure":
            return study.with_largest(mentions, self.match, self.count)
        images: dict[str, Slice] = {}
        failure = PairingError("reference_not_found")
        for reference in references:
            instance = reference["instance"]
            if (instance is None) == (tie == "explicit"):
                continue  # a caption that is tied by hand has no other images
            try:
                if instance is not None:
                    named = study.with_instance(instance)
                else:
                    first, last = reference["image_first"], reference["image_last"]
                    named = study.with_numbers(reference["series_number"], first, last, reference["plane"])
                    if first is None:  # a whole series: its best slices
                        named = StudyImages(named).with_largest(mentions, self.match, self.count)
            except PairingError as reason:
                failure = reason
                self.tally.add("references", str(reason))
            else:
                images |= {image.instance: image for image in named}
                self.tally.add("references", "found")
        if not images:
            raise failure
        return list(images.values())


def _groundable_mentions(rows: Sequence[MentionRow], caption: CaptionRow, anatomy: Schema) -> list[GroundableMention]:
    """One mention for each span; an absent organ is not in the image."""
    text, language = caption["text"], caption["language"]
    if not rows:
        raise PairingError("no_mention")
    spans: dict[tuple[int, int, str], list[int]] = {}
    for row in rows:
        if text[row["start"] : row["end"]] != row["text"]:
            raise PairingError("mention_not_verbatim")
        if row["assertion"] != "absent":
            spans.setdefault((row["start"], row["end"], row["text"]), []).append(row["class_id"])
    if not spans:
        raise PairingError("only_absent_mentions")
    mentions = []
    for span, classes in spans.items():
        boxed = frozenset(classes).union(*(anatomy.related[class_id] for class_id in classes))
        finer = finer_classes(text, *span[:2], language, boxed, anatomy)
        mentions.append(GroundableMention(*span, tuple(classes), finer))
    return mentions
