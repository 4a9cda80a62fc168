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


def balanced_order(seed: int, epoch: int, labels: torch.Tensor) -> torch.Tensor:
    """Return the order of an epoch that shows all classes equally often, (n,) int64.

    A class gives n / classes pictures: a small one all of its own several times, a large one some
    of its own, others in each epoch. Where n cannot be divided, chance decides who gives one more.

    Args:
        seed, epoch: the same order for the same two.
        labels: of the training pictures, (n,) int64.
    """
    chance = generator(seed, "order", epoch)
    by_class = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    share, left = divmod(len(labels), len(by_class))
    one_more = set(torch.randperm(len(by_class), generator=chance)[:left].tolist())
    chosen = []
    for index, rows in enumerate(by_class):
        wanted = share + (index in one_more)
        rounds = -(-wanted // len(rows))
        shuffled = [rows[torch.randperm(len(rows), generator=chance)] for _ in range(rounds)]
        chosen += [torch.cat(shuffled)[:wanted]] if shuffled else []
    order = torch.cat(chosen)
    return order[torch.randperm(len(order), generator=chance)]
