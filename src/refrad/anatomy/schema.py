"""The class schema: the classes of the dataset, their names, and the native labels that make them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from refrad.core.types import SEG_TOKENS, TASK_OF

__all__ = ["OTHER_SIDE", "TASKS", "AnatomyClass", "Schema", "load_schema"]

TASKS = tuple(TASK_OF.values())
OTHER_SIDE: Mapping[str, str] = {"left": "right", "right": "left"}
KEYS = {"id", "name", "english", "german", "region", "side", "snomed", "native", "parts"}


@dataclass(frozen=True)
class AnatomyClass:
    """One class. `native` maps a segmentation task to the label values that make up the class there."""

    id: int
    name: str
    english: str
    german: str
    region: str
    side: str | None = None
    snomed: str | None = None
    native: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    parts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Schema:
    """All classes, by name, id, native label, part and side."""

    classes: tuple[AnatomyClass, ...]

    @cached_property
    def by_name(self) -> Mapping[str, AnatomyClass]:
        """Name to class."""
        return {entry.name: entry for entry in self.classes}

    @cached_property
    def by_id(self) -> Mapping[int, AnatomyClass]:
        """Id to class."""
        return {entry.id: entry for entry in self.classes}

    @cached_property
    def sides(self) -> Mapping[str, str]:
        """Name to side ("left" or "right") of the classes that have one."""
        return {entry.name: entry.side for entry in self.classes if entry.side}

    @cached_property
    def twins(self) -> Mapping[str, str]:
        """Name to the name of the same organ on the other side, where the schema has both."""
        pairs = {name: _other_name(name, side) for name, side in self.sides.items()}
        return {name: twin for name, twin in pairs.items() if self.sides.get(twin) == OTHER_SIDE[self.sides[name]]}

    def organ(self, name: str) -> frozenset[str]:
        """The class of this name and its twin: one organ on either side."""
        return frozenset({name, self.twins.get(name, name)})

    def native_lut(self, task: str) -> NDArray[np.uint8]:
        """Look-up table uint8 [256] from native label to class id; 0 where the schema has no class."""
        lut = np.zeros(256, np.uint8)
        for entry in self.classes:
            lut[list(entry.native.get(task, ()))] = entry.id
        return lut

    def parts(self, class_id: int) -> frozenset[int]:
        """Ids of the finest parts of a class, through all levels; empty if it has none."""
        finest: set[int] = set()
        for name in self.by_id[class_id].parts:
            part = self.by_name[name].id
            finest |= self.parts(part) or {part}
        return frozenset(finest)

    def wholes(self, class_id: int) -> frozenset[int]:
        """Ids of the classes that this one is a part of."""
        return frozenset(entry.id for entry in self.classes if class_id in self.parts(entry.id))

    @cached_property
    def related(self) -> Mapping[int, frozenset[int]]:
        """Id to the ids of its parts and wholes."""
        return {entry.id: self.parts(entry.id) | self.wholes(entry.id) for entry in self.classes}

    def twin(self, class_id: int) -> int | None:
        """Id of the same organ on the other side, or None."""
        name = self.twins.get(self.by_id[class_id].name)
        return self.by_name[name].id if name else None


def load_schema(path: Path) -> Schema:
    """Read and check a schema file.

    Raises:
        ValueError: in one line, naming the file and the entry that is wrong.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["classes"]
        schema = Schema(tuple(_read_entry(number, entry) for number, entry in enumerate(entries, 1)))
        _check(schema)
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    return schema


def _other_name(name: str, side: str) -> str:
    """The class name of the other side: each word of it that is the side is replaced ("kidney_left", "left_kidney")."""
    return "_".join(OTHER_SIDE[side] if word == side else word for word in name.split("_"))


def _read_entry(number: int, entry: Any) -> AnatomyClass:
    where = f"class entry {number}"
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: not a mapping of keys to values")
    if unknown := entry.keys() - KEYS:
        raise ValueError(f"{where}: unknown key {sorted(unknown)[0]}")
    if missing := {"id", "name", "english", "german", "region", "native"} - entry.keys():
        raise ValueError(f"{where}: {sorted(missing)[0]} is missing")
    native = {task: tuple(values) for task, values in entry["native"].items()}
    return AnatomyClass(**(entry | {"native": native, "parts": tuple(entry.get("parts", ()))}))


def _check(schema: Schema) -> None:
    owners: dict[tuple[str, Any], str] = {}

    def check_unique(kind: str, value: Any, owner: str) -> None:
        if (kind, value) in owners:
            raise ValueError(f"{kind} {value} belongs to both {owners[kind, value]} and {owner}")
        owners[kind, value] = owner

    for entry in schema.classes:
        if not 1 <= entry.id < SEG_TOKENS:
            last = SEG_TOKENS - 1
            raise ValueError(
                f"{entry.name}: id {entry.id} is not between 1 and {last}: the model has {SEG_TOKENS} class tokens,"
                f" <seg000> (background) to <seg{last}>"
            )
        check_unique("id", entry.id, entry.name)
        check_unique("name", entry.name, f"class {entry.id}")
        if entry.side not in (None, *OTHER_SIDE):
            raise ValueError(f"{entry.name}: side is {entry.side}, not left or right")
        for task, values in entry.native.items():
            if task not in TASKS:
                raise ValueError(f"{entry.name}: unknown task {task}")
            for value in values:
                check_unique(f"native label of {task}", value, entry.name)
        for part in entry.parts:
            if part not in schema.by_name:
                raise ValueError(f"{entry.name}: part {part} is no class")
            if schema.by_name[part].parts and entry.name in schema.by_name[part].parts:
                raise ValueError(f"{entry.name}: part {part} has it as a part in turn")
