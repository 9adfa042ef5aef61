"""Do the labels of a volume look like those of a human being? Flags, never corrections."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from refrad.anatomy.schema import Schema

__all__ = ["FLAGS", "Flag", "Norms", "find_flags", "load_norms"]

FLAGS: Mapping[str, str] = {
    "empty": "No class at all was found.",
    "volume": "An organ that the image does not cut is smaller or larger than organs are.",
    "pieces": "An organ that the image does not cut lies in several pieces.",
    "sides": "Most organs of the left lie to the right of their twins.",
    "elsewhere": "An organ lies where no such organ is, by the other organs of the image or by its body part.",
}

AROUND = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class Flag:
    """Something that is not plausible: which flag, of which class (None: of the volume), the value and its bounds."""

    flag: str
    class_id: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Norms:
    """What workflow/anatomy/plausibility.yaml says."""

    volumes_ml: Mapping[str, tuple[float, float]]
    heights_mm: Mapping[str, float]
    one_piece: frozenset[str]
    right_of: Sequence[tuple[str, str]]
    body_parts: Mapping[str, frozenset[str]]
    tolerance_mm: float
    piece: float
    least_ml: float
    adult: int


@dataclass(frozen=True)
class Organ:
    """A class in a volume: how much there is, its centre (RAS+, mm), whether the image cuts it, and its largest piece."""

    ml: float
    centre: NDArray[np.float64]
    cut: bool
    largest: float


def load_norms(path: Path) -> Norms:
    """Read the norms.

    Raises:
        ValueError: naming the file and what is wrong in it.
    """
    try:
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        organs = file["organs"]
        below, above = file["volume"]["below"], file["volume"]["above"]
        return Norms(
            volumes_ml={
                name: (one["volume_ml"][0] / below, one["volume_ml"][1] * above)
                for name, one in organs.items()
                if "volume_ml" in one
            },
            heights_mm={name: file["heights"][one["level"]] for name, one in organs.items() if "level" in one},
            one_piece=frozenset(name for name, one in organs.items() if one.get("one_piece")),
            right_of=[(right, left) for right, left in file["right_of"]],
            body_parts={part: frozenset(regions) for part, regions in file["body_parts"].items()},
            tolerance_mm=file["height_mm"],
            piece=file["piece"],
            least_ml=file["least_ml"],
            adult=file["adult"],
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {type(error).__name__}: {str(error).splitlines()[0]}") from None


def find_flags(
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    schema: Schema,
    norms: Norms,
    age: int | None = None,
    body_part: str | None = None,
) -> list[Flag]:
    """The flags of one volume.

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, 4 x 4.
        schema: the classes; wholes are put together from their parts.
        norms: what is plausible.
        age: years, if known; of adults and of unknown age also volumes and heights are judged.
        body_part: DICOM BodyPartExamined, if known.
    """
    organs = _organs(classes, affine, schema, norms)
    if not organs:
        return [Flag("empty")]
    found = (
        _pieces(organs, schema, norms) + _sides(organs, schema, norms) + _other_part(organs, schema, norms, body_part)
    )
    if age is None or age >= norms.adult:
        found += _volumes(organs, schema, norms) + _heights(organs, schema, norms)
    unique = {(one.flag, one.class_id): one for one in found}
    return list(unique.values())


def _organs(classes: NDArray[np.uint8], affine: NDArray[np.float64], schema: Schema, norms: Norms) -> dict[str, Organ]:
    """The classes that are there, and the wholes whose parts are there, by name."""
    ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    boxes = dict(enumerate(ndimage.find_objects(classes), 1))
    found = {}
    for one in schema.classes:
        ids = [number for number in (one.id, *sorted(schema.parts(one.id))) if boxes.get(number) is not None]
        if not ids or (one.id not in ids and one.name not in norms.volumes_ml):
            continue
        box = tuple(slice(min(boxes[n][a].start for n in ids), max(boxes[n][a].stop for n in ids)) for a in range(3))
        mask = np.isin(classes[box], ids) if len(ids) > 1 else classes[box] == ids[0]
        voxels = int(np.count_nonzero(mask))
        middle = [
            (mask.sum(axis=tuple(a for a in range(3) if a != axis)) @ np.arange(mask.shape[axis])) / voxels
            + box[axis].start
            for axis in range(3)
        ]
        cut = any(side.start == 0 or side.stop == size for side, size in zip(box, classes.shape, strict=True))
        largest = 1.0
        if one.name in norms.one_piece and not cut:
            pieces, _ = ndimage.label(mask, AROUND)
            largest = float(np.bincount(pieces.ravel())[1:].max() / voxels)
        found[one.name] = Organ(voxels * ml, affine[:3, :3] @ middle + affine[:3, 3], cut, largest)
    return found


def _volumes(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    return [
        Flag("volume", schema.by_name[name].id, organs[name].ml, low, high)
        for name, (low, high) in norms.volumes_ml.items()
        if name in organs and not organs[name].cut and not low <= organs[name].ml <= high
    ]


def _pieces(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    return [
        Flag("pieces", schema.by_name[name].id, one.largest, norms.piece, 1.0)
        for name, one in organs.items()
        if one.largest < norms.piece
    ]


def _sides(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    """One flag for the volume if most pairs are swapped. A single swapped pair is a slip of the segmenter, most are a mirror."""
    pairs = list(norms.right_of)
    for one in schema.classes:
        twin = schema.twin(one.id)
        if one.side == "right" and twin:
            pairs.append((one.name, schema.by_id[twin].name))
    asked: list[bool] = []
    for right, left in pairs:
        if right in organs and left in organs and min(organs[right].ml, organs[left].ml) >= norms.least_ml:
            asked.append(bool(organs[right].centre[0] < organs[left].centre[0]))  # RAS+: x grows to the right
    share = float(np.mean(asked)) if asked else 0.0
    return [Flag("sides", None, share, 0.0, 0.5)] if share > 0.5 else []


def _heights(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    """Organs that lie far from where the median of the others puts them. Two organs cannot say which of them is wrong."""
    off = {
        name: float(organs[name].centre[2]) - height
        for name, height in norms.heights_mm.items()
        if name in organs and organs[name].ml >= norms.least_ml
    }
    if len(off) < 3:
        return []
    middle = float(np.median(list(off.values())))
    return [
        Flag("elsewhere", schema.by_name[name].id, value - middle, -norms.tolerance_mm, norms.tolerance_mm)
        for name, value in off.items()
        if abs(value - middle) > norms.tolerance_mm
    ]


def _other_part(organs: Mapping[str, Organ], schema: Schema, norms: Norms, body_part: str | None) -> list[Flag]:
    if body_part is None or body_part not in norms.body_parts:
        return []
    return [
        Flag("elsewhere", schema.by_name[name].id)
        for name, one in organs.items()
        if one.ml >= norms.least_ml and schema.by_name[name].region not in norms.body_parts[body_part]
    ]
