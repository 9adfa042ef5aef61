"""Write envs/<stack>.txt: the pins of the lock that a stack needs. Run by `make lock`, in the environment of the lock."""

import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
STACKS = {"curate": [], "segment": ["segment"], "train": ["train", "int8"]}
EXCLUDED = "torchvision"  # see docs/developing.md
HEAD = "# Requirements of the stack {stack}, from requirements.lock; written by `make lock`.\n"


def locked() -> dict[str, str]:
    """Name in its canonical form -> pin, of requirements.lock and of torch; without hashes."""
    files = (ROOT / "requirements.lock", ROOT / "envs" / "torch.txt")
    pins = [line.split()[0] for file in files for line in file.read_text(encoding="utf-8").splitlines() if "==" in line]
    return {canonicalize_name(pin.split("==")[0]): pin for pin in pins}


def needed(declared: Iterable[str]) -> set[str]:
    """Canonical names of the requirements and of all that these require, as installed here."""
    visited: set[tuple[str, str]] = set()
    queue = [
        (canonicalize_name(requirement.name), extra)
        for requirement in map(Requirement, declared)
        for extra in ("", *requirement.extras)
    ]
    while queue:
        if (package := queue.pop()) not in visited:
            visited.add(package)
            queue += _requirements(*package)
    return {name for name, _ in visited}


def stack(extras: Iterable[str]) -> list[str]:
    """The pins of the lock for the project with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    declared = [*project["dependencies"], *(requirement for extra in extras for requirement in optional[extra])]
    names = needed(declared)
    return sorted(pin for name, pin in locked().items() if name in names)


def _requirements(name: str, extra: str) -> Iterator[tuple[str, str]]:
    if name == EXCLUDED:
        return
    try:
        declared = requires(name) or []
    except PackageNotFoundError:  # of another platform
        return
    for requirement in map(Requirement, declared):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield from ((canonicalize_name(requirement.name), inner) for inner in ("", *requirement.extras))


if __name__ == "__main__":
    for name, extras in STACKS.items():
        text = HEAD.format(stack=name) + "\n".join(stack(extras)) + "\n"
        (ROOT / "envs" / f"{name}.txt").write_text(text, encoding="utf-8")
