"""Flags for label volumes that are anatomically implausible. Nothing is corrected."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy import ndimage

from refrad.anatomy.schema import Schema

__all__ = ["FLAGS", "Flag", "Norms", "find_flags", "load_norms", "unused_norms"]

FLAGS: Mapping[str, str] = {
    "empty": "The volume has no class.",
    "volume": "An organ that the image does not cut is implausibly small or large.",
    "pieces": "An organ that the image does not cut has several components.",
    "sides": "Most left organs are to the right of their right counterparts.",
    "elsewhere": "An organ is at an impossible position, given the other organs of the image or its body part.",
}

NEIGHBOURS = np.ones((3, 3, 3), bool)  # voxels that touch at a corner are connected


@dataclass(frozen=True)
class Flag:
    """An implausible value: name of the flag (a key of `FLAGS`), class (None: the volume), value, and its bounds."""

    flag: str
    class_id: int | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Norms:
    """Plausible ranges, as in workflow/anatomy/plausibility.yaml.

    Plausible and reference volumes (of women) in ml; heights in mm along the body axis; `one_piece`: classes of one connected
    component, of which the largest must hold the share `piece`; `right_of`: pairs of classes, the first to the right of the second;
    `body_parts`: BodyPartExamined to regions; `adult`: years.
    """

    volumes_ml: Mapping[str, tuple[float, float]]
    references_ml: Mapping[str, float]
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
    """A class in a volume: ml, centre (float64 [3], RAS+ mm), whether the image cuts it, and the share of its largest component."""

    ml: float
    centre: NDArray[np.float64]
    cut: bool
    largest: float


def load_norms(path: Path) -> Norms:
    """The norms of a YAML file.

    Raises:
        ValueError: naming the file and the error in it.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        organs = values["organs"]
        below, above = values["volume"]["below"], values["volume"]["above"]
        return Norms(
            volumes_ml={
                name: (organ["volume_ml"][0] / below, organ["volume_ml"][1] * above)
                for name, organ in organs.items()
                if "volume_ml" in organ
            },
            references_ml={name: organ["volume_ml"][0] for name, organ in organs.items() if "volume_ml" in organ},
            heights_mm={name: values["heights"][organ["level"]] for name, organ in organs.items() if "level" in organ},
            one_piece=frozenset(name for name, organ in organs.items() if organ.get("one_piece")),
            right_of=[(right, left) for right, left in values["right_of"]],
            body_parts={part: frozenset(regions) for part, regions in values["body_parts"].items()},
            tolerance_mm=values["height_mm"],
            piece=values["piece"],
            least_ml=values["least_ml"],
            adult=values["adult"],
        )
    except (KeyError, TypeError, ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {type(error).__name__}: {str(error).splitlines()[0]}") from None


def unused_norms(norms: Norms, schema: Schema) -> list[str]:
    """The classes, by name, that have a norm but are not in the schema: no volume is compared with these norms."""
    pairs = (name for pair in norms.right_of for name in pair)
    return sorted({*norms.volumes_ml, *norms.heights_mm, *norms.one_piece, *pairs} - schema.by_name.keys())


def find_flags(
    classes: NDArray[np.uint8],
    affine: NDArray[np.float64],
    schema: Schema,
    norms: Norms,
    age: int | None = None,
    body_part: str | None = None,
) -> list[Flag]:
    """The flags of one volume. Norms of classes that the schema lacks are not used (`unused_norms`).

    Args:
        classes: class ids uint8 [column, row, slice].
        affine: RAS+ mm, [4, 4].
        schema: the classes; wholes are joined from their parts.
        norms: plausible ranges.
        age: years, if known; volumes and heights are checked for adults and for unknown ages.
        body_part: DICOM BodyPartExamined, if known.
    """
    organs = _organs(classes, affine, schema, norms)
    if not organs:
        return [Flag("empty")]
    flags = (
        _pieces(organs, schema, norms) + _sides(organs, schema, norms) + _other_part(organs, schema, norms, body_part)
    )
    if age is None or age >= norms.adult:
        flags += _volumes(organs, schema, norms) + _heights(organs, schema, norms)
    unique = {(flag.flag, flag.class_id): flag for flag in flags}
    return list(unique.values())


def _organs(classes: NDArray[np.uint8], affine: NDArray[np.float64], schema: Schema, norms: Norms) -> dict[str, Organ]:
    """The classes that are present, and the wholes whose parts are present, by name."""
    ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    boxes = dict(enumerate(ndimage.find_objects(classes), 1))
    organs = {}
    for anatomy_class in schema.classes:
        ids = [
            number
            for number in (anatomy_class.id, *sorted(schema.parts(anatomy_class.id)))
            if boxes.get(number) is not None
        ]
        if not ids or (anatomy_class.id not in ids and anatomy_class.name not in norms.volumes_ml):
            continue
        box = tuple(slice(min(boxes[n][a].start for n in ids), max(boxes[n][a].stop for n in ids)) for a in range(3))
        mask = np.isin(classes[box], ids) if len(ids) > 1 else classes[box] == ids[0]
        voxels = int(np.count_nonzero(mask))
        centre = [
            (mask.sum(axis=tuple(a for a in range(3) if a != axis)) @ np.arange(mask.shape[axis])) / voxels
            + box[axis].start
            for axis in range(3)
        ]
        cut = any(side.start == 0 or side.stop == size for side, size in zip(box, classes.shape, strict=True))
        largest = 1.0
        if anatomy_class.name in norms.one_piece and not cut:
            components, _ = ndimage.label(mask, NEIGHBOURS)
            largest = float(np.bincount(components.ravel())[1:].max() / voxels)
        organs[anatomy_class.name] = Organ(voxels * ml, affine[:3, :3] @ centre + affine[:3, 3], cut, largest)
    return organs


def _volumes(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    return [
        Flag("volume", schema.by_name[name].id, organs[name].ml, low, high)
        for name, (low, high) in norms.volumes_ml.items()
        if name in organs and not organs[name].cut and not low <= organs[name].ml <= high
    ]


def _pieces(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    return [
        Flag("pieces", schema.by_name[name].id, organ.largest, norms.piece, 1.0)
        for name, organ in organs.items()
        if organ.largest < norms.piece
    ]


def _sides(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    """One flag for the volume if most pairs are swapped: a single swapped pair is an error of the segmenter, most are a mirrored volume."""
    pairs = list(norms.right_of)
    for anatomy_class in schema.classes:
        twin = schema.twin(anatomy_class.id)
        if anatomy_class.side == "right" and twin:
            pairs.append((anatomy_class.name, schema.by_id[twin].name))
    swapped: list[bool] = []
    for right, left in pairs:
        if right in organs and left in organs and min(organs[right].ml, organs[left].ml) >= norms.least_ml:
            swapped.append(bool(organs[right].centre[0] < organs[left].centre[0]))  # RAS+: x grows to the right
    share = float(np.mean(swapped)) if swapped else 0.0
    return [Flag("sides", None, share, 0.0, 0.5)] if share > 0.5 else []


def _heights(organs: Mapping[str, Organ], schema: Schema, norms: Norms) -> list[Flag]:
    """Organs far from their height relative to the median of all. With two organs it is undecidable which is wrong."""
    offsets = {
        name: float(organs[name].centre[2]) - height
        for name, height in norms.heights_mm.items()
        if name in organs and organs[name].ml >= norms.least_ml
    }
    if len(offsets) < 3:
        return []
    median = float(np.median(list(offsets.values())))
    return [
        Flag("elsewhere", schema.by_name[name].id, value - median, -norms.tolerance_mm, norms.tolerance_mm)
        for name, value in offsets.items()
        if abs(value - median) > norms.tolerance_mm
    ]


def _other_part(organs: Mapping[str, Organ], schema: Schema, norms: Norms, body_part: str | None) -> list[Flag]:
    if body_part is None or body_part not in norms.body_parts:
        return []
    return [
        Flag("elsewhere", schema.by_name[name].id)
        for name, organ in organs.items()
        if organ.ml >= norms.least_ml and schema.by_name[name].region not in norms.body_parts[body_part]
    ]
