"""What a process does about its own heap, where the C library is glibc; elsewhere nothing.

Which settings it starts with: see `vixtui.runs.heap`. What they come to: see `vixtui.memory.heap`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager

from vixtui.runs.heap import (
    ALIGNMENT,
    HEADER_BYTES,
    OFFSET,
    heap_environment,
    mmap_threshold,
)

_M_MMAP_THRESHOLD = -3  # of malloc.h
_LARGE_BYTES = 64 * 1024
# What is left over when a tensor is aligned is up to 96 bytes: many small objects would fit there.
# Of larger ones, counted in a Hybrid ViP, any that outlives a step may keep tensors from joining.
_BLOCKS_A_LAYER = dict.fromkeys(range(24, 120, 16), 500) | {
    184: 80, 376: 20, 512: 80, 1024: 60, 2304: 20, 6400: 10, 14336: 5
}  # fmt: skip
_SEPARATOR_BYTES = 24


def give_back_freed_memory() -> None:
    """Give the system what this process has freed."""
    if heap_environment():
        ctypes.CDLL(None).malloc_trim(0)


def set_small_blocks_apart(layers: int) -> None:
    """Free many small blocks of every size in a row, which later small objects will fill.

    Otherwise they come to lie in what is left over beside a tensor, where they keep freed tensors
    from joining: a step of a Hybrid ViN raised resident memory by 1.41 times what its tensors take,
    and by 1.05 times that with them apart.

    Args:
        layers: blocks of the model; a graph has some objects for each.
    """
    if not heap_environment():
        return
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = []
    for size, count in _BLOCKS_A_LAYER.items():
        for _ in range(layers * count):
            blocks.append(library.malloc(size))
            library.malloc(_SEPARATOR_BYTES)  # never freed: neighbours would join
    for block in blocks:
        library.free(block)
    _align_top(library)


class _Mallinfo2(ctypes.Structure):
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def _align_top(library: ctypes.CDLL) -> None:
    """Let the heap go on at a multiple of 64, as is simulated.

    How tensors lie depends on that, and else on chance: a hole that one left has 32 bytes more, and
    is or is not used again, where the first began 32 bytes further on. The same Linear ViT took 300
    or 309 MiB.
    """
    if not hasattr(library, "mallinfo2"):  # before glibc 2.33
        return
    library.mallinfo2.restype = _Mallinfo2
    library.realloc.restype = ctypes.c_void_p
    library.realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    # Too large for any hole, it begins where the top did; what stays of it fills up to a multiple.
    block = library.malloc(library.mallinfo2().fordblks + 1)
    if block:
        filled = 2 * ALIGNMENT - (block - OFFSET) % ALIGNMENT
        library.realloc(block, filled - HEADER_BYTES)


@contextmanager
def large_blocks_mapped() -> Iterator[None]:
    """While active, large blocks are no part of the heap and go back to the system when freed.

    What libraries make for a step and keep (kernels, buffers), and the larger of its small objects,
    then lie together in the heap when it is computed for the first time. Later its tensors lie
    beside each other above all that.
    """
    if not heap_environment():
        yield
        return
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
    try:
        yield
    finally:
        mallopt(_M_MMAP_THRESHOLD, mmap_threshold())
