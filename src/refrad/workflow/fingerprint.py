"""Fingerprints: all that determines a stage's result, as one line of JSON.

Snakemake misses edits with an old modification time, edits of library modules and some changes of params. So every rule
has one string param, the fingerprint: the stage's VERSION, its options from the config, the digests of the schema and
prompt files that it uses, and the options of its language models. The stage reads its options from the same line and writes
the line into every table: the trigger of a run, the options used and the provenance of the result cannot differ.
"""

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from refrad.core.files import digest_bytes
from refrad.core.types import FINGERPRINT_KEY, ModelShaping

__all__ = ["Fingerprint", "compose", "content_digest", "read_fingerprint", "stage_version"]

STAGES_FOLDER = Path(__file__).parents[1] / "stages"


@dataclass(frozen=True)
class Fingerprint:
    """A parsed fingerprint.

    Attributes:
        stage: its name.
        version: its VERSION.
        options: its section of the config.
        files: role to content digest of the files that shape its result.
        models: role of a language model to the options that shape its answers.
    """

    stage: str
    version: int
    options: Mapping[str, Any]
    files: Mapping[str, str]
    models: Mapping[str, ModelShaping] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The fingerprint as one line of JSON with sorted keys."""
        parts = {"stage": self.stage, "version": self.version, "options": self.options, "files": self.files}
        parts |= {"models": self.models} if self.models else {}
        return json.dumps(parts, sort_keys=True, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def parse(cls, text: str) -> "Fingerprint":
        """Read the line that `text` gives.

        Raises:
            ValueError: if the line is not a fingerprint.
        """
        try:
            return cls(**json.loads(text))
        except (TypeError, json.JSONDecodeError) as error:
            raise ValueError(f"not a fingerprint: {error}") from None


def stage_version(stage: str) -> int:
    """The VERSION constant of a stage module, read without importing it (some stages import torch)."""
    module = ast.parse((STAGES_FOLDER / f"{stage}.py").read_text(encoding="utf-8"))
    for node in module.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "VERSION" for t in node.targets):
            return int(ast.literal_eval(node.value))
    raise ValueError(f"stage {stage} has no VERSION")


def content_digest(path: Path) -> str:
    """Digest of a file's content: YAML and JSON by their values (comments and layout do not count), others by their text."""
    text = path.read_text(encoding="utf-8")
    return _digest_of_values(text) if path.suffix in {".yaml", ".yml", ".json"} else _digest(text)


@cache
def _digest_of_values(text: str) -> str:
    """Cached, since many stages share a file and every job of a cluster composes all fingerprints anew."""
    values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return _digest(json.dumps(values, sort_keys=True, default=str))


def _digest(text: str) -> str:
    return digest_bytes(text.encode())[:12]


def compose(
    stage: str,
    options: Mapping[str, Any],
    files: Mapping[str, str | Path],
    models: Mapping[str, ModelShaping] | None = None,
    keyed: Mapping[str, str] | None = None,
) -> Fingerprint:
    """The fingerprint of a stage from its options, the files (role to path) and the models that shape its result.

    `keyed` has the digests of private files (role to digest), which need the site's key.
    """
    digests = {role: content_digest(Path(path)) for role, path in sorted(files.items())}
    return Fingerprint(stage, stage_version(stage), dict(options), digests | dict(keyed or {}), models or {})


def read_fingerprint(path: Path) -> Fingerprint:
    """The fingerprint in the metadata of a table that `write_table` wrote.

    Raises:
        TableError: if the table is damaged.
    """
    import pyarrow.parquet as pq  # here, as every rule reads this file and few read tables

    from refrad.core.checksums import has_checksums

    has_checksums(path)  # raises if the metadata are damaged
    metadata = pq.read_schema(path).metadata or {}
    return Fingerprint.parse(metadata[FINGERPRINT_KEY.encode()].decode())
