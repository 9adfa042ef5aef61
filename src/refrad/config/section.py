"""Base class of all config sections."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["Section", "Share", "current_key", "nested_section", "section_at"]

Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the config: no unknown keys, no silent conversions, no change after reading."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)
    RENAMED: ClassVar[dict[str, str]] = {}  # keys of earlier versions, and their present names
    # Keys that name private files. They stay out of the fingerprint, which is published and has a digest of the content.
    PRIVATE: ClassVar[frozenset[str]] = frozenset()
    # Keys of earlier versions in another unit, their present names, and the value to read in place of a stored one, or a function
    # of the stored one.
    REPLACED: ClassVar[dict[str, tuple[str, Any]]] = {}

    @classmethod
    def from_stored(cls, options: Mapping[str, Any]) -> Self:
        """Options as a result holds them, such as a checkpoint, also under the key names of an earlier version.

        Raises:
            ValidationError: if they do not fit under the present names either.
        """
        return cls.model_validate(_with_current_keys(cls, options))


def current_key(section: type[Section], path: Sequence[str | int]) -> str | None:
    """The present name of the key at `path` in a config section, if the key has an earlier version's name; else None."""
    *parents, key = path
    for parent in parents:
        inner = section_at(section, str(parent))
        if inner is None:
            return None
        section = inner
    replacement, _ = section.REPLACED.get(str(key), (None, None))
    return section.RENAMED.get(str(key), replacement)


def nested_section(annotation: Any) -> type[Section] | None:
    """The section in a type such as `list[Delivery]` or `ModelOptions | None`, or None."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(nested_section, get_args(annotation))), None)


def _with_current_keys(section: type[Section], values: Mapping[str, Any]) -> dict[str, Any]:
    """Options under the present names of their keys."""
    current: dict[str, Any] = {}
    for old, value in values.items():
        key = section.RENAMED.get(old, old)
        if key in section.REPLACED:
            key, present = section.REPLACED[key]
            value = present(value) if callable(present) else present
        inner = section_at(section, key)
        current[key] = _with_current_keys(inner, value) if inner and isinstance(value, Mapping) else value
    return current


def section_at(section: type[Section], key: str) -> type[Section] | None:
    """The section that a key holds, also if it may be null."""
    if key not in section.model_fields:
        return None
    return nested_section(section.model_fields[key].annotation)
