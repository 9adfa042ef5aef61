"""Dropout that can be repeated."""

import numpy as np
import torch

__all__ = ["seed_dropout"]


def seed_dropout(seed: int, number: int) -> None:
    """Seed torch's random numbers, on all devices, for the `number`-th batch of a training, counted over all processes.

    So dropout is a function of seed and batch, after a resume and with another number of processes too.
    """
    torch.manual_seed(int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0]))
