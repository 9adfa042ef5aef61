"""Options of the stages: the sections of config.yaml with a test's changes."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from refrad.config import AugmentOptions
from refrad.workflow.fingerprint import Fingerprint, stage_version

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "workflow" / "anatomy" / "classes.yaml"


@cache
def _config() -> str:
    return (ROOT / "config.yaml").read_text(encoding="utf-8")


def options(section: str, **changes: Any) -> dict[str, Any]:
    """A section of config.yaml with changes; a dict changes the keys that it names and leaves the others.

    Raises:
        KeyError: if config.yaml has no such section or option.
    """
    return _changed(yaml.safe_load(_config())[section], changes)


def _changed(section: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in changes.items():
        if key not in section:
            raise KeyError(f"config.yaml has no option {key} here")
        nested = isinstance(value, Mapping) and isinstance(section[key], dict)
        section[key] = _changed(section[key], value) if nested else value
    return section


def fingerprint(stage: str, **changes: Any) -> Fingerprint:
    """The fingerprint of a stage at its present version, with the options of config.yaml and changes; without files."""
    return Fingerprint(stage, stage_version(stage), options(stage, **changes), {})


# What a site must say itself for deliveries other than the demo's
OWN_DATA = {
    "card": {"title": "CT and MR of a site", "creator": "A hospital", "terms": "Internal use only"},
    "masks": {"segmenter": "precomputed"},
    "train": {"name": "site"},
}


def tiny_training(**changes: Any) -> dict[str, Any]:
    """Options of stage train for three steps of four views in float32 on one CPU, with changes."""
    small = {
        "name": "x",
        "tasks": {"locate": 0.6, "detect": 0.2, "vqa": 0.2},
        "max_seconds": None,
        "steps": 3,
        "batch": 4,
        "learning_rate": 1e-3,
        "compute_dtype": "float32",
        "tower_pretraining_steps": 2,
        "checkpoints": {"seconds": None},
        "threads": 1,
    }
    return _changed(options("train", **small), changes)


AUGMENT = AugmentOptions(**options("train")["augment"])  # of config.yaml
