"""The run's budget made binding: this process fails to allocate more, before others suffer."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from vixtui.hardware.host import usable_cores
from vixtui.memory.engine import GPU_CONTEXT_BYTES

_MIB = 2**20
# Addresses that a process reserves and hardly uses: modules loaded late and the C library's heaps
# took 28 MiB when measured, kernels' code and trials in two precisions 130 MiB; with room for just
# that, trainings that fit ran out. A thread's stack is 8 MiB.
_UNUSED_BYTES, _STACK_BYTES = 256 * _MIB, 8 * _MIB
# Trials do without these: the heap keeps what it once had, and others need some, too.
_RESERVE_BYTES = 24 * _MIB
# After memory ran out, the heap has taken all addresses that the limit left and keeps them; without
# some for small objects and code of other kernels, oneDNN does not fail but crashes.
_ROOM_BYTES = 16 * _MIB


def limit_memory(device: torch.device, budget_bytes: int) -> None:
    """Limit this process to a budget: a GPU's allocator, or on Linux the addresses of the process.

    To be called after a first small step: what libraries load later counts as growth. Elsewhere
    than on Linux, memory of the CPU stays unlimited.
    """
    if device.type == "cpu":
        if sys.platform == "linux":
            _limit_addresses(budget_bytes)
    elif device.type == "mps":
        share = budget_bytes / torch.mps.recommended_max_memory()
        torch.mps.set_per_process_memory_fraction(min(1.0, share))
    else:
        module = torch.get_device_module(device)
        total = module.get_device_properties(device).total_memory
        share = (budget_bytes - GPU_CONTEXT_BYTES) / total
        module.set_per_process_memory_fraction(min(1.0, max(0.0, share)), device)


def _limit_addresses(budget_bytes: int) -> None:
    """Allow as many new addresses as the budget has bytes that are not resident yet.

    The limit is relative: libraries alone take up gigabytes of addresses, but not of memory.
    """
    import resource

    used = psutil.Process().memory_info()
    growth = max(0, budget_bytes - used.rss) + _UNUSED_BYTES + usable_cores() * _STACK_BYTES
    earlier, highest = resource.getrlimit(resource.RLIMIT_AS)
    limits = [used.vms + growth, *(at for at in (earlier, highest) if at != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_AS, (min(limits) - _RESERVE_BYTES, highest))


def release_reserve(device: torch.device) -> None:
    """Allow the whole budget; to be called once after `limit_memory`, when the trials are over."""
    _allow_more(device, _RESERVE_BYTES)


def make_room(device: torch.device, *, threads: int = 0) -> None:
    """Allow a little more, after memory ran out: for small objects and code.

    Args:
        device: of the training.
        threads: that are to be started.
    """
    _allow_more(device, _ROOM_BYTES + threads * _STACK_BYTES)


@contextmanager
def more_addresses(count: int) -> Iterator[None]:
    """Allow `count` addresses more inside, for what is mapped and takes no memory."""
    if sys.platform != "linux":
        yield
        return
    import resource

    limits = resource.getrlimit(resource.RLIMIT_AS)
    _raise_address_limit(count)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def _allow_more(device: torch.device, more_bytes: int) -> None:
    if device.type == "cpu" and sys.platform == "linux":
        _raise_address_limit(more_bytes)


def _raise_address_limit(count: int) -> None:
    """Raise it by `count`, or as far as the system allows."""
    import resource

    limit, highest = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY:
        raised = limit + count
        if highest != resource.RLIM_INFINITY:
            raised = min(raised, highest)
        resource.setrlimit(resource.RLIMIT_AS, (raised, highest))
