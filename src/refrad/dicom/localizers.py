"""Localizers of MR that only their name tells, confirmed by the images of their series."""

from collections.abc import Iterator, Sequence

import numpy as np

from refrad.dicom.geometry import SAME_POSITION, normal_of, positions_along
from refrad.dicom.headers import Header
from refrad.dicom.image_kinds import NAMED

__all__ = ["localizers_by_name"]

CROSSING = 0.7  # cosine of the angle between two slices; about 45 degrees
FEW = 20  # images in one plane
THICK = 5.0  # mm between slices
COARSE = 1.2  # mm between pixels


def localizers_by_name(headers: Sequence[Header]) -> Iterator[int]:
    """Yield the indices of usable images that belong to a localizer by the name of their series.

    A name alone is not trusted, since it may also say how slices were planned. A series is a localizer by its name if its
    images cross each other, or else are few, thick or coarse; a series whose name only mentions a localizer must have images
    that cross.
    """
    series: dict[tuple[str, str, str], list[int]] = {}
    for number, header in enumerate(headers):
        if header.localizer_name and header.reason is None:
            series.setdefault((header.patient_key, header.study_key, header.series_key), []).append(number)
    for members in series.values():
        images = [headers[number] for number in members]
        if _cross(images) or (images[0].localizer_name == NAMED and (len(images) <= FEW or _is_coarse(images))):
            yield from members


def _cross(images: Sequence[Header]) -> bool:
    normals = np.array([normal_of(image.orientation) for image in images])
    return bool((np.abs(normals @ normals[0]) < CROSSING).any())


def _is_coarse(images: Sequence[Header]) -> bool:
    """Whether slices or pixels are far apart. All images have about the same direction."""
    heights = np.sort(positions_along([image.position for image in images], normal_of(images[0].orientation)))
    distances = np.diff(heights)
    distances = distances[distances > SAME_POSITION]
    return max(images[0].spacing) >= COARSE or (distances.size > 0 and float(np.median(distances)) >= THICK)
