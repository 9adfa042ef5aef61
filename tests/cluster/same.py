"""What must be the same in two runs: everything but the time they took, and how much of it a store spared them."""

import json
from pathlib import Path
from typing import Any

TIMINGS = {
    "seconds",
    "cpu_seconds",
    "pretraining_seconds",
    "seconds per volume",
    "labels made",
    "labels from the store",
    "sealed",  # checksums of the same files, and so of the times in them
}
CALLS = (
    "asked: ",
    "sent again: ",
    "model calls for ",
    "tokens",
)  # of language models: none where the store has the answer


def contents(folder: Path) -> dict[str, bytes]:
    """Each file below a folder and its bytes, without timings in JSON and the logs of trainings, which are times of each step."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".snakemake_timestamp")
    files = [path for path in files if "logs" not in path.relative_to(folder).parts]
    return {str(path.relative_to(folder)): _content(path) for path in files}


def differing(one: Path, other: Path) -> list[str]:
    """Names of the files below two folders that are not the same, or are in one of them only."""
    first, second = contents(one), contents(other)
    return sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".json":
        return json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
    # Pages show times in words, bars and curves. What else they show stands in the other files; the gallery shows none.
    return b"a page" if path.suffix == ".html" and path.name != "gallery.html" else content


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: inner for key, inner in value.items() if key not in TIMINGS and not key.startswith(CALLS)}
        return {key: _timeless(inner) for key, inner in kept.items()}
    return [_timeless(inner) for inner in value] if isinstance(value, list) else value
