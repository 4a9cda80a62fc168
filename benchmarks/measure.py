"""Bytes and seconds of a piece of work on the processor, one thread.

Bytes are those of allocation events: the most that the running sum of allocations and frees in
torch's profiler reaches. The same operations allocate the same on a GPU, which adds its context,
its workspaces and fragmentation; those are not measured here.

Seconds are processor time, the least of several turns. What is compared takes its turns one after
the other, so that a drift of the machine meets all alike.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from statistics import median

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler logs every start and stop

import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

CHANNELS, CLASSES = 3, 10
Work = Callable[[], None]

torch.set_num_threads(1)


def training_step(model: nn.Module, batch: int, side: int) -> Work:
    """Return forward, cross entropy, backward and AdamW on random pictures of side × side pixels.

    The optimizer has its state already, as in every step but the first.
    """
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    images = torch.randn(batch, CHANNELS, side, side)
    labels = torch.randint(CLASSES, (batch,))

    def step() -> None:
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def peak_bytes(work: Work) -> int:
    """Return the most bytes that `work` adds, at any time, to those allocated before it."""
    gc.collect()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    events = profiler.profiler.kineto_results.events()
    changes = sorted(
        ((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"),
        key=lambda change: change[0],
    )
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


def sample_bytes(prepare: Callable[[int], Work], batches: tuple[int, int]) -> float:
    """Return the bytes that one more sample takes, from the peaks of two batches.

    Args:
        prepare: returns the work for a batch.
        batches: a small and a large one; the peak is affine in the batch.
    """
    small, large = batches
    return (peak_bytes(prepare(large)) - peak_bytes(prepare(small))) / (large - small)


def interleaved_seconds(works: Sequence[Work], turns: int) -> list[list[float]]:
    """Return the seconds of every turn of each work, after one turn that is not counted."""
    seconds: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 1):
        for taken, work in zip(seconds, works, strict=True):
            started = time.process_time()
            work()
            if turn:
                taken.append(time.process_time() - started)
    return seconds


def time_ratio(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, float]:
    """Return ours / theirs, of the least seconds and as the median over the turns."""
    pairs = [our / their for our, their in zip(ours, theirs, strict=True)]
    return min(ours) / min(theirs), median(pairs)


def verdict(ratio: float, target: float | None) -> str:
    """Return target and whether it is met, as two columns."""
    if target is None:
        return f"{'':7}  {'':4}"
    return f"{f'≤ {target:g}':>7}  {'yes' if ratio <= target else 'NO':4}"
