"""Replays events on torch's own CUDA allocator; a program for `NoopCuda.run`."""

from __future__ import annotations

from typing import Any

import torch

DEVICE = torch.device("cuda", 0)


def answer(cases: list[dict[str, Any]]) -> list[tuple[int, int, int | None]]:
    """Return peak allocated and reserved bytes and where memory ran out, for each case.

    A case has `events`, each [block, size] or [block] to free it, and a `limit` in bytes or None.
    """
    total = torch.cuda.mem_get_info()[1]
    return [replay(case["events"], (case["limit"] or total) / total) for case in cases]


def replay(events: list[list[int]], fraction: float) -> tuple[int, int, int | None]:
    """Replay one case from an empty allocator and leave it empty."""
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(fraction)
    pointers: dict[int, int] = {}
    failed_at = None
    for index, (block, *size) in enumerate(events):
        if not size:
            torch.cuda.caching_allocator_delete(pointers.pop(block))
            continue
        try:
            pointers[block] = torch.cuda.caching_allocator_alloc(size[0], DEVICE)
        except torch.cuda.OutOfMemoryError:
            failed_at = index
            break
    peaks = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    for pointer in pointers.values():
        torch.cuda.caching_allocator_delete(pointer)
    torch.cuda.empty_cache()
    return *peaks, failed_at
