"""The identities of trainings and weights."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from refrad.core.files import digest_bytes, digest_file
from refrad.workflow.fingerprint import Fingerprint

__all__ = ["identity_of", "weights_digest"]

# Options that change how fast a training is, or what is kept of it, but not what it is.
INDIFFERENT = {"nodes", "gpus", "sharding", "workers", "threads", "checkpoints", "loggers"}


def identity_of(fingerprint: Fingerprint, images: Iterable[Path], *facts: Any) -> str:
    """The identity of a training as JSON: options, files that shape it, the bytes of the shards, and further `facts`."""
    options = {key: value for key, value in fingerprint.options.items() if key not in INDIFFERENT}
    choice = fingerprint.options.get("checkpoints", {})
    options |= {key: choice[key] for key in ("metric", "validation_samples") if key in choice}
    shards = sorted(digest_file(path) for path in images)
    return json.dumps([fingerprint.version, options, dict(fingerprint.files), shards, *facts], sort_keys=True)


def weights_digest(folder: Path) -> str:
    """The digest of the weights in a folder: that of its safetensors files."""
    return digest_bytes(*(digest_file(path).encode() for path in sorted(folder.glob("*.safetensors"))))
