"""Copies: images that claim to be the same one by their headers.

Copies of a file may have been altered on their way. Whether the pixels of images are equal is found out where they are read:
`refrad.dicom.equal_images`. Copies of whole volumes: `refrad.dicom.copied_volumes`.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import numpy as np

from refrad.dicom.elements import Numbers
from refrad.dicom.geometry import SAME_POSITION
from refrad.dicom.headers import Header

__all__ = ["claimed_copies", "is_same_place", "preference"]

MOST_DECIMALS = 6  # further ones are noise of the conversion to binary numbers
UNKNOWN = (None, "", ())


def claimed_copies(headers: Sequence[Header], members: Iterable[int], attributes: Sequence[str]) -> list[list[int]]:
    """Groups of images of one UID that claim to be the same image, the best first; every member is in one group.

    Broken archives give one UID to different images. Copies agree in size and image number, in position within the
    decimals that both have, and in `attributes`, unless one of them has lost the value.

    Args:
        headers: of whole series.
        members: indices of the images of one series.
        attributes: names of the attributes of `Header` in which images of one position differ.
    """
    of_uid: dict[str, list[int]] = {}
    for number in members:
        of_uid.setdefault(headers[number].instance_key, []).append(number)
    groups: list[list[int]] = []
    for images in of_uid.values():
        groups_of_uid: list[list[int]] = []
        for number in sorted(images, key=lambda number: preference(headers[number])) if len(images) > 1 else images:
            for group in groups_of_uid:
                if _claims_to_be(headers[number], headers[group[0]], attributes):
                    group.append(number)
                    break
            else:
                groups_of_uid.append([number])
        groups += groups_of_uid
    return groups


def preference(header: Header) -> tuple[object, ...]:
    """A sort key by which the best of several copies is first: the most complete header, then the most exact position.

    Then the lowest image number, the same scale for all slices, and the lowest UID; the path decides between equal headers only.
    """
    completeness = sum(value not in UNKNOWN for value in header)
    exact = sum(_decimals([value]) for value in (*header.position, *header.orientation, *header.spacing))
    scale = (header.slope, header.intercept)
    return (
        -completeness,
        -exact,
        header.compressed,
        header.instance_number or 0,
        scale,
        header.instance_key,
        header.path,
    )


def is_same_place(first: Header, second: Header) -> bool:
    """Whether two images lie at the same place, within the decimals that both headers have."""
    return all(_agree(getattr(first, name), getattr(second, name)) for name in ("position", "orientation", "spacing"))


def _claims_to_be(copy: Header, original: Header, attributes: Sequence[str]) -> bool:
    """Whether an image with the UID of `original` may be a copy of it."""
    if (copy.modality, copy.rows, copy.columns) != (original.modality, original.rows, original.columns):
        return False
    for name in ("instance_number", *attributes):
        values = getattr(copy, name), getattr(original, name)
        if values[0] != values[1] and not any(value in UNKNOWN for value in values):
            return False
    if copy.instance_number is None and original.instance_number is None:  # only the exact place identifies the image
        return np.allclose(copy.position, original.position, rtol=0, atol=SAME_POSITION)
    return is_same_place(copy, original)


def _agree(first: Numbers, second: Numbers) -> bool:
    """Whether numbers are equal as far as their decimals go: rounded or cut off."""
    if first == second:
        return True
    tolerance = max(SAME_POSITION, 10.0 ** -min(_decimals(first), _decimals(second)))
    return len(first) == len(second) and bool(np.all(np.abs(np.subtract(first, second)) <= tolerance))


def _decimals(numbers: Sequence[float]) -> int:
    """The most decimals that one of the numbers has."""
    exponents = (Decimal(repr(number)).normalize().as_tuple().exponent for number in numbers)
    return min(MOST_DECIMALS, max((-int(exponent) for exponent in exponents), default=0)) if numbers else 0
