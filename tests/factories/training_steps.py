"""Measurements of optimizer steps."""

from typing import Any

from refrad.training.step_log import StepRecord


def step_record(step: int, **changes: Any) -> StepRecord:
    """The record of a step of 8 samples and 800 tokens in half a second, with changes."""
    values = {
        "loss": 1.0,
        "learning_rate": 1e-3,
        "grad_norm": 0.5,
        "samples": 8,
        "tokens": 800,
        "seconds": 0.5,
        "elapsed": 1.0,
        "memory_gib": 1.5,
        "progress": 0.1,
    }
    return StepRecord(step, **(values | changes))
