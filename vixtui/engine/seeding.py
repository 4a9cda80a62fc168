"""Randomness as a pure function of (seed, purpose, number).

A step's shuffling, augmentation and dropout depend on the run's seed and the step's number alone,
so an exact resume needs no generator states.
"""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, purpose: str, number: int) -> int:
    """Return a 63-bit seed of its own for each purpose and number."""
    digest = hashlib.blake2b(f"{seed}/{purpose}/{number}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def generator(seed: int, purpose: str, number: int) -> torch.Generator:
    """Return a generator seeded for one purpose and number."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, number))


def epoch_order(seed: int, epoch: int, length: int) -> torch.Tensor:
    """Return the order of the training pictures in an epoch, (length,) int64."""
    return torch.randperm(length, generator=generator(seed, "order", epoch))
