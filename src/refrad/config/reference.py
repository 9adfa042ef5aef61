"""The page of all options, from the descriptions of the config's schema and the values of config.yaml.

python -m refrad.config.reference > docs/config.md
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from refrad.config.config import Config, load_config
from refrad.config.section import Section, nested_section

__all__ = ["Option", "options_of", "reference_page"]

LONGEST_DEFAULT = 60  # characters; longer values are left to config.yaml

HEAD = """\
# Options

All options of [config.yaml](../config.yaml) with their defaults, section by section. This page is generated from the
descriptions in `src/refrad/config/`:

    python -m refrad.config.reference > docs/config.md
"""


@dataclass(frozen=True)
class Option:
    """One key of the config.

    `key` is its dotted name inside the section and `default` its value in config.yaml or in the schema as YAML, empty for a
    key without one. `nested` is the section that its value is, or None.
    """

    key: str
    default: str
    meaning: str
    nested: type[Section] | None


def options_of(section: type[Section], defaults: Mapping[str, Any], prefix: str = "") -> Iterator[Option]:
    """The keys of a section in the order of the schema, those of its nested sections behind their own."""
    for name, field in section.model_fields.items():
        key = field.alias or name
        nested = nested_section(field.annotation)
        value = defaults[key] if key in defaults else field.get_default(call_default_factory=True)
        if isinstance(value, Section):
            value = value.model_dump()
        below = isinstance(value, dict) and value != {} and nested is not None
        default = "" if below or (field.is_required() and key not in defaults) else _as_yaml(value)
        yield Option(prefix + key, default, field.description or "", nested)
        if nested is not None and below:
            yield from options_of(nested, value, f"{prefix}{key}.")


def reference_page(defaults: Mapping[str, Any]) -> str:
    """The page docs/config.md for the values of config.yaml."""
    top, sections = [], []
    for name, field in Config.model_fields.items():
        nested = nested_section(field.annotation)
        if nested is None:
            value = defaults.get(name, field.get_default(call_default_factory=True))
            top.append(Option(name, _as_yaml(value), field.description or "", None))
            continue
        values = defaults[name]
        options = list(options_of(nested, values[0] if isinstance(values, list) else values))
        sections.append(_section(f"## {name}", field.description or "", options))
        absent: dict[type[Section], list[Option]] = {}
        for option in options:
            if option.nested and option.default in ("null", "[]"):
                absent.setdefault(option.nested, []).append(option)
        for model, users in absent.items():
            keys = [key for option in options_of(model, {}) for key in _with_keys(option)]
            sections.append(_section(*_heading(name, users), keys))
    return "\n".join([HEAD, _section("## Top level", "", top), *sections])


def _heading(section: str, users: list[Option]) -> tuple[str, str]:
    """Title and sentence for the keys of a section that is absent by default, by the options that may hold it."""
    if len(users) > 1:
        return f"### Keys of a model of {section}", "Each model of the section takes these keys."
    (user,) = users
    each = "each entry of the list" if user.default == "[]" else "the section, where it is not null"
    return f"### Keys of {section}.{user.key}", f"These are the keys of {each}."


def _with_keys(option: Option) -> Iterator[Option]:
    """An option, and behind it the keys of its section where that is null by default."""
    yield option
    if option.nested and option.default == "null":
        yield from options_of(option.nested, {}, f"{option.key}.")


def _section(title: str, sentence: str, options: list[Option]) -> str:
    rows = [f"| `{option.key}` | {_code(option.default)} | {_prose(option.meaning)} |" for option in options]
    return "\n".join(
        [
            title,
            "",
            *([_prose(sentence), ""] if sentence else []),
            "| key | default | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _as_yaml(value: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def _code(default: str) -> str:
    if len(default) > LONGEST_DEFAULT:
        return "[config.yaml](../config.yaml)"
    return f"`{_escaped(default)}`" if default else ""


def _prose(text: str) -> str:
    """A sentence for a Markdown table, with links to the pages that it names."""
    return re.sub(r"docs/([\w-]+\.md)", r"[\1](\1)", _escaped(text).replace("<", r"\<"))


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")


if __name__ == "__main__":
    print(reference_page(load_config([Path("config.yaml")])), end="")
