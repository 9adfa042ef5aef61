"""The DICOM images of a volume, as highdicom reads them to make objects that refer to them."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, config
from pydicom.uid import generate_uid
from pydicom.valuerep import validate_value

__all__ = ["SliceGrid", "SourceSlice", "stand_ins"]

IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
# Required, but may be empty: type 2 of the modules Patient and General Study (PS3.3 C.7.1.1 and C.7.2.1). De-identified files lack some.
MAY_BE_EMPTY = (
    *("PatientID", "PatientName", "PatientBirthDate", "PatientSex"),
    *("StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
ELSEWHERE = 1e6  # mm; of frames that are not in the volume


@dataclass(frozen=True)
class SourceSlice:
    """The image that a slice of a volume shows: a DICOM file without its pixels, and the frame, from 0, if it is multi-frame."""

    image: Dataset
    frame: int | None = None


@dataclass(frozen=True)
class SliceGrid:
    """The slices of a volume in DICOM's patient coordinates (LPS+, mm).

    Attributes:
        first: centre of the first pixel of the first slice, [3].
        step: from a slice to the next, [3]; it leans in volumes of a tilted gantry.
        orientation: direction cosines of the rows and of the columns, [6].
        spacing: of rows and of columns.
        distance: of the planes of two neighbouring slices.
    """

    first: NDArray[np.float64]
    step: NDArray[np.float64]
    orientation: list[float]
    spacing: list[float]
    distance: float

    @classmethod
    def of(cls, affine: NDArray[np.float64]) -> "SliceGrid":
        """The grid of an affine of [column, row, slice], RAS+ mm, [4, 4]."""
        across, down, step, first = (np.diag([-1.0, -1.0, 1.0]) @ affine[:3]).T
        width, height = float(np.linalg.norm(across)), float(np.linalg.norm(down))
        across, down = across / width, down / height
        distance = abs(float(step @ np.cross(across, down)))
        return cls(first, step, [*across.tolist(), *down.tolist()], [height, width], distance)

    def position(self, index: int) -> list[float]:
        """Centre of the first pixel of a slice."""
        position: list[float] = (self.first + index * self.step).tolist()
        return position


def stand_ins(slices: Mapping[int, SourceSlice], grid: SliceGrid) -> list[Dataset]:
    """Copies of the images with the headers that highdicom needs, and with the geometry of the volume.

    What may be empty and is absent is added empty. Images without a frame of reference, or with one each, as de-identified archives
    have them, get one that is made from the series UID: the same in each object of the series. highdicom finds the image of a slice by its
    place, and multi-frame files may have it in each frame or nowhere, so the copies have that of the grid.

    Args:
        slices: index to the image of the slice: single images of one series, or the frames of one file.
        grid: of the volume.

    Raises:
        ValueError: if an identifier is missing, a header that is repeated is not valid, with its keyword, or the slices are frames
            of several files.
    """
    images = {id(piece.image): piece.image for piece in slices.values()}
    multi_frame = any(piece.frame is not None for piece in slices.values())
    if multi_frame and len(images) > 1:
        raise ValueError("its slices are frames of several files, and a segmentation can refer to one multi-frame file")
    _check_identifiers(list(images.values()))
    references = {str(image.FrameOfReferenceUID) for image in images.values() if image.get("FrameOfReferenceUID")}
    reference = references.pop() if len(references) == 1 else None
    if multi_frame:
        (image,) = images.values()
        frames = {piece.frame: index for index, piece in slices.items() if piece.frame is not None}
        sources = [_multi_frame(_completed(image, grid, reference), frames, grid)]
    else:
        sources = [
            _single(_completed(piece.image, grid, reference), index, grid) for index, piece in sorted(slices.items())
        ]
    _check_repeated(sources[0])
    return sources


def _check_identifiers(images: Sequence[Dataset]) -> None:
    for keyword in IDENTIFIERS:
        if lacking := sum(not image.get(keyword) for image in images):
            raise ValueError(
                f"{lacking} of {len(images)} images lack {keyword}, which a segmentation must refer to: restore it in the archive"
            )


def _completed(image: Dataset, grid: SliceGrid, reference: str | None) -> Dataset:
    """A copy with all that highdicom requires of the header, but the place. `reference` is the frame of reference of all images, if any."""
    source = Dataset()  # with its own elements: a shallow copy of pydicom shares them with the image
    source.update({element.tag: copy.copy(element) for element in image})
    if "file_meta" in image.__dict__:
        source.file_meta = image.file_meta
    if not source.get("SliceThickness"):  # may be empty in the files, but highdicom requires it
        source.SliceThickness = grid.distance
    if source.get("SpecificCharacterSet", "ISO_IR 192") != "ISO_IR 192":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they quote headers
            source.decode()
        source.SpecificCharacterSet = (
            "ISO_IR 192"  # UTF-8: highdicom refuses an empty one, a single ISO 2022 IR 100, and others
        )
    source.FrameOfReferenceUID = reference or generate_uid(
        entropy_srcs=["frame of reference", source.SeriesInstanceUID]
    )
    for keyword in MAY_BE_EMPTY:
        if source.get(keyword) is None:
            setattr(source, keyword, "")
    return source


def _single(source: Dataset, index: int, grid: SliceGrid) -> Dataset:
    """The copy of a single image with the place of its slice."""
    source.ImagePositionPatient, source.ImageOrientationPatient = (
        _decimal(grid.position(index)),
        _decimal(grid.orientation),
    )
    source.PixelSpacing = _decimal(grid.spacing)
    return source


def _multi_frame(source: Dataset, frames: Mapping[int, int], grid: SliceGrid) -> Dataset:
    """The copy of a multi-frame image; `frames` is frame, from 0, to slice. Other frames lie far away."""
    import highdicom as hd

    shared = Dataset()
    shared.PixelMeasuresSequence = hd.PixelMeasuresSequence(grid.spacing, grid.distance)
    shared.PlaneOrientationSequence = hd.PlaneOrientationSequence("PATIENT", grid.orientation)
    source.SharedFunctionalGroupsSequence = [shared]
    groups = []
    for frame in range(int(source.NumberOfFrames)):
        position = grid.position(frames[frame]) if frame in frames else [ELSEWHERE] * 3
        group = Dataset()
        group.PlanePositionSequence = hd.PlanePositionSequence("PATIENT", position)
        groups.append(group)
    source.PerFrameFunctionalGroupsSequence = groups
    return source


def _decimal(values: Sequence[float]) -> list[float]:
    """Numbers that fit a decimal string of DICOM, 16 characters."""
    return [float(f"{value:.9g}") for value in values]


def _check_repeated(image: Dataset) -> None:
    """Refuse an image whose headers that the segmentation repeats do not keep to their value representation."""
    wrong = []
    for keyword in (*IDENTIFIERS, "FrameOfReferenceUID", *MAY_BE_EMPTY):
        element = image[keyword]
        try:
            validate_value(element.VR, element.value, config.RAISE)
        except (ValueError, TypeError):
            wrong.append(keyword)
    if wrong:
        raise ValueError(f"not valid in the images: {', '.join(wrong)}; correct the headers in the archive")
