"""The class schema: which classes there are, what they are called, and which native labels make them up."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from refrad.core.types import TASK_OF

__all__ = ["TASKS", "AnatomyClass", "Schema", "load_schema"]

TASKS = tuple(TASK_OF.values())
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
    """All classes, with the questions that stages ask about them."""

    classes: tuple[AnatomyClass, ...]

    @cached_property
    def by_name(self) -> Mapping[str, AnatomyClass]:
        """Name to class."""
        return {one.name: one for one in self.classes}

    @cached_property
    def by_id(self) -> Mapping[int, AnatomyClass]:
        """Id to class."""
        return {one.id: one for one in self.classes}

    def native_lut(self, task: str) -> NDArray[np.uint8]:
        """Look-up table uint8 [256] from native label to class id; 0 where the schema has no class."""
        lut = np.zeros(256, np.uint8)
        for one in self.classes:
            lut[list(one.native.get(task, ()))] = one.id
        return lut

    def parts(self, class_id: int) -> frozenset[int]:
        """Ids of the finest parts of a class, through all levels; empty if it has none."""
        found: set[int] = set()
        for name in self.by_id[class_id].parts:
            part = self.by_name[name].id
            found |= self.parts(part) or {part}
        return frozenset(found)

    def wholes(self, class_id: int) -> frozenset[int]:
        """Ids of the classes that this one is a part of."""
        return frozenset(one.id for one in self.classes if class_id in self.parts(one.id))

    @cached_property
    def related(self) -> Mapping[int, frozenset[int]]:
        """Id to the ids of its parts and wholes."""
        return {one.id: self.parts(one.id) | self.wholes(one.id) for one in self.classes}

    def twin(self, class_id: int) -> int | None:
        """Id of the same organ on the other side, or None."""
        one = self.by_id[class_id]
        if one.side is None:
            return None
        other = {"left": "right", "right": "left"}[one.side]
        twin = self.by_name.get(one.name.replace(one.side, other))
        return twin.id if twin else None


def load_schema(path: Path) -> Schema:
    """Read and check a schema file.

    Raises:
        ValueError: in one line, naming the file and the entry that is wrong.
    """
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["classes"]
        schema = Schema(tuple(_entry(number, entry) for number, entry in enumerate(entries, 1)))
        _check(schema)
    except (ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: {str(error).splitlines()[0]}") from None
    return schema


def _entry(number: int, entry: Any) -> AnatomyClass:
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
    seen: dict[tuple[str, Any], str] = {}

    def unique(kind: str, value: Any, owner: str) -> None:
        if (kind, value) in seen:
            raise ValueError(f"{kind} {value} stands in both {seen[kind, value]} and {owner}")
        seen[kind, value] = owner

    for one in schema.classes:
        if not 1 <= one.id <= 255:
            raise ValueError(f"{one.name}: id {one.id} is not between 1 and 255")
        unique("id", one.id, one.name)
        unique("name", one.name, f"class {one.id}")
        if one.side not in (None, "left", "right"):
            raise ValueError(f"{one.name}: side is {one.side}, not left or right")
        for task, values in one.native.items():
            if task not in TASKS:
                raise ValueError(f"{one.name}: unknown task {task}")
            for value in values:
                unique(f"native label of {task}", value, one.name)
        for part in one.parts:
            if part not in schema.by_name:
                raise ValueError(f"{one.name}: part {part} is no class")
            if schema.by_name[part].parts and one.name in schema.by_name[part].parts:
                raise ValueError(f"{one.name}: part {part} has it as a part in turn")
