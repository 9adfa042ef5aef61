"""Positions of SOP instances in volumes, and the files of volumes.

Arrays of volumes are [column, row, slice]; the slice of an instance, transposed, is the DICOM image, pixel by pixel.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from refrad.core.table_rows import SliceRow

__all__ = [
    "SliceMap",
    "files_of_volumes",
    "image_at",
    "part_name",
    "refuse_files_of_volumes",
    "slice_rows",
    "stack_name",
]

ACROSS = 2  # array axis across the stack


def image_at(volume: NDArray[Any], index: int, axis: int = ACROSS) -> NDArray[Any]:
    """The image [row, column] of a slice: a view, pixel by pixel the DICOM image.

    Args:
        volume: voxels or labels [column, row, slice], of any type.
        index: of the slice along `axis`.
        axis: array axis across the stack; 2 for the volumes of this workflow.
    """
    image: NDArray[Any] = np.moveaxis(volume, axis, 0)[index].T
    return image


def slice_rows(volume: str, instances: Sequence[str], numbers: Sequence[int | None]) -> list[SliceRow]:
    """Rows of the slice table of one volume, from its instances and their instance numbers in the slices' order."""
    return [
        {"instance": instance, "volume": volume, "axis": ACROSS, "index": index, "instance_number": number}
        for index, (instance, number) in enumerate(zip(instances, numbers, strict=True))
    ]


def part_name(stack: str, number: int) -> str:
    """The name of a volume that is a part of a split stack of the index; parts count from 1."""
    return f"{stack}-{number}"


def stack_name(volume: str) -> str:
    """The name of the stack of the index that a volume was made from: that of the volume, without the number of a part."""
    return volume.split("-")[0]


def files_of_volumes(volumes: Sequence[str], instances: pl.LazyFrame, files: pl.LazyFrame) -> pl.DataFrame:
    """Columns volume and path (inside the delivery) of the files of each volume; of a part of a split stack, those of the stack.

    Args:
        volumes: names of volumes.
        instances: instance table of the index.
        files: private file table of the index, or its columns file and path.
    """
    stacks = {"part": volumes, "volume": [stack_name(volume) for volume in volumes]}
    stack_of_part = pl.LazyFrame(stacks, schema={"part": pl.String, "volume": pl.String})
    of_volumes = instances.join(stack_of_part, on="volume").select("file", volume="part")
    return of_volumes.join(files.select("file", "path"), on="file").collect()


def refuse_files_of_volumes(instances: pl.LazyFrame, purpose: str) -> None:
    """Refuse a delivery of NIfTI files, of which a row of the instance table is a whole volume, where DICOM images are needed.

    Raises:
        ValueError: in one line, with `purpose` and what to use instead.
    """
    if not instances.filter(pl.col("slices") > 1).head(1).collect().is_empty():
        raise ValueError(
            f"{purpose} needs the DICOM images of a delivery, and this one has NIfTI files: the masks are written as NIfTI by"
            " export-masks without --dicom"
        )


class SliceMap:
    """A slice table as a map between instances and slices, in both directions."""

    def __init__(self, slices: pl.DataFrame) -> None:
        rows = slices.select("instance", "volume", "index").rows()
        self._position = {instance: (volume, index) for instance, volume, index in rows}
        self._instance = {(volume, index): instance for instance, volume, index in rows}

    def position(self, instance: str) -> tuple[str, int] | None:
        """Volume and slice index of an instance, or None if no volume holds it."""
        return self._position.get(instance)

    def instance(self, volume: str, index: int) -> str | None:
        """The instance at a slice index of a volume, or None if there is none."""
        return self._instance.get((volume, index))
