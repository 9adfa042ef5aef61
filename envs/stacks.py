"""Write envs/<stack>.txt: of the lock, what one stack of the project needs. Run by `make lock`, in the environment of the lock."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
STACKS = {"curate": [], "segment": ["segment"], "train": ["train"]}
LEFT_OUT = "torchvision"  # see docs/developing.md
HEAD = "# What the stack {stack} needs, from requirements.lock; written by `make lock`.\n"


def locked() -> dict[str, str]:
    """Name in its canonical form -> line of requirements.lock."""
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").split()
    return {canonicalize_name(line.split("==")[0]): line for line in lines}


def needed(declared: Iterable[str]) -> set[str]:
    """Canonical names of the requirements and of all that these require, as installed here."""
    found: set[tuple[str, str]] = set()
    waiting = [
        (canonicalize_name(one.name), extra) for one in map(Requirement, declared) for extra in ("", *one.extras)
    ]
    while waiting:
        if (one := waiting.pop()) not in found:
            found.add(one)
            waiting += _requirements(*one)
    return {name for name, _ in found}


def stack(extras: Iterable[str]) -> list[str]:
    """The lines of the lock for the project with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = [*project["dependencies"], *(one for extra in extras for one in project["optional-dependencies"][extra])]
    names = needed(declared)
    return sorted((line for name, line in locked().items() if name in names), key=str.lower)


def _requirements(name: str, extra: str) -> Iterator[tuple[str, str]]:
    if name == LEFT_OUT:
        return
    try:
        declared = requires(name) or []
    except PackageNotFoundError:  # of another platform
        return
    for one in map(Requirement, declared):
        if one.marker is None or one.marker.evaluate({"extra": extra}):
            yield from ((canonicalize_name(one.name), inner) for inner in ("", *one.extras))


if __name__ == "__main__":
    for name, extras in STACKS.items():
        text = HEAD.format(stack=name) + "\n".join(stack(extras)) + "\n"
        (ROOT / "envs" / f"{name}.txt").write_text(text, encoding="utf-8")
