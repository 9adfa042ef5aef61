"""Regions of truth and prediction that cannot be compared: a box and a mask, masks of two sizes, boxes in two units."""

from collections.abc import Mapping, Sequence
from typing import Any

from refrad.evaluation.metrics.grounding import Region

__all__ = ["check_comparable", "check_midline", "image_size", "is_beyond_image", "kind_of_regions"]

BEYOND = 0.5  # of width or height: how far a box in shares may reach beyond the image
WIDEST = 100_000  # px, of any image
EDGE = 0.1  # the same, of a box whose unit or image is doubtful

BOXES, PIXELS, SHARES = "boxes", "boxes in pixels", "boxes in shares of the image"


def kind_of_regions(regions: Sequence[Region], size: Sequence[float] | None = None) -> str | None:
    """The kind of the regions of a row: `PIXELS`, `SHARES`, `BOXES` whose unit is not clear, or masks of a size; None without any.

    The unit of boxes is not clear if all their numbers are 0 or 1: the whole image in shares is the first pixel in pixels.

    Args:
        regions: boxes, or masks as run lengths.
        size: width and height of the image in the unit of the boxes, if that is known.

    Raises:
        ValueError: in one sentence, if the regions are of several kinds, or a box is outside of an image of this size.
    """
    kinds = {_kind(region) for region in regions}
    if len(kinds) == 2 and kinds in ({BOXES, PIXELS}, {BOXES, SHARES}):
        kinds.remove(BOXES)
    if len(kinds) > 1:
        raise ValueError(f"the regions of a row are of several kinds: {' and '.join(sorted(kinds))}")
    kind = kinds.pop() if kinds else None
    if size is not None and kind in (BOXES, PIXELS):
        boxes: Sequence[Any] = regions
        if any(box[0] >= size[0] or box[1] >= size[1] for box in boxes):
            raise ValueError('a box is outside of the image: "size" is [width, height] in the unit of the boxes')
        return PIXELS if max(size) > 1 + BEYOND else SHARES
    return kind


def check_comparable(predicted: Sequence[Region], true: Sequence[Region], size: Sequence[float] | None) -> bool:
    """False if the boxes of a prediction may be in another unit than the true ones.

    Args:
        predicted: regions of an answer.
        true: those of its question.
        size: width and height of the image, in the unit of the true boxes.

    Raises:
        ValueError: in one sentence, if the predicted regions cannot be compared with the true ones.
    """
    true_kind, kind = kind_of_regions(true, size), kind_of_regions(predicted)
    if true_kind is None or kind is None or kind == true_kind:
        return True
    if BOXES in (kind, true_kind) and {kind, true_kind} <= {BOXES, PIXELS, SHARES}:
        unclear = predicted if kind == BOXES else true
        return SHARES in (kind, true_kind) or not any(map(_has_area, unclear))
    raise ValueError(f"the truth has {true_kind}, the prediction {kind}: give both in the same form")


def is_beyond_image(regions: Sequence[Region], size: Sequence[float] | None) -> bool:
    """True if a box reaches more than a tenth of its image beyond it: perhaps its unit or its image is another one.

    Args:
        regions: boxes, or masks as run lengths.
        size: width and height of the image in the unit of the boxes; without it only shares are compared, with 1.
    """
    boxes: list[Any] = [region for region in regions if isinstance(region, list | tuple)]
    if size is None:
        size = (1.0, 1.0)
        if (farthest := max(map(max, boxes), default=0)) > 1 + BEYOND:  # pixels
            return farthest > WIDEST
    width, height = size
    return any(
        box[2] > (1 + EDGE) * width or box[3] > (1 + EDGE) * height or box[0] < -EDGE * width or box[1] < -EDGE * height
        for box in boxes
    )


def image_size(regions: Sequence[Region], size: Sequence[float] | None) -> tuple[float, float] | None:
    """Width and height of the image of some regions, at least one, in their unit: px, or 1 for shares; None if they are unknown.

    Args:
        regions: boxes; or masks, as run lengths or bool [height, width].
        size: width and height of the image as the truth gives them; not those of masks, which have their own.
    """
    first: Any = regions[0]
    if not isinstance(first, list | tuple):
        height, width = first["size"] if isinstance(first, Mapping) else first.shape
        return float(width), float(height)
    if kind_of_regions(regions, size) != PIXELS:
        return 1.0, 1.0
    return (size[0], size[1]) if size else None


def check_midline(midline: float, regions: Sequence[Region], size: Sequence[float] | None) -> None:
    """Check that a midline has the unit of the regions of its row, at least one, and lies in their image.

    Raises:
        ValueError: in one sentence, if it does not.
    """
    kind = kind_of_regions(regions, size)
    image = image_size(regions, size)
    if not 0 <= midline <= (image[0] if image else midline):
        raise ValueError("midline is an x within the image, in the unit of the boxes or in px of the mask")
    if 0 < midline < 1 and kind not in (SHARES, BOXES):
        raise ValueError("midline is a share of the width, and the regions are in pixels: give both in the same unit")


def _kind(region: Any) -> str:
    if not isinstance(region, list | tuple) and isinstance(region, Mapping):  # the second is slow, and boxes are many
        height, width = region["size"]
        return f"masks of {height} x {width} px"
    if max(region) > 1 + BEYOND or min(region) < -BEYOND:
        return PIXELS
    return BOXES if all(side in (0, 1) for side in region) else SHARES


def _has_area(box: Any) -> bool:
    return bool(box[0] < box[2] and box[1] < box[3])
