"""What a process does about its own heap, where the C library is glibc; elsewhere nothing.

Which settings it starts with: see `vixtui.runs.heap`.
"""

from __future__ import annotations

import ctypes

from vixtui.runs.heap import heap_environment

_SIZES = range(24, 512, 16)
_SEPARATOR_BYTES = 24
_BLOCKS_A_LAYER = 500


def give_back_freed_memory() -> None:
    """Give the system what this process has freed."""
    if heap_environment():
        ctypes.CDLL(None).malloc_trim(0)


def set_small_blocks_apart(layers: int) -> None:
    """Free many small blocks of every size in a row, which later small objects will fill.

    The small objects that go with a tensor live as long as the graph. Otherwise they come to lie
    between the tensors, where they keep freed blocks from joining: a step of a Hybrid ViN raised
    resident memory by 1.28 times what its tensors take, and by 1.01 times that with them apart.

    Args:
        layers: blocks of the model; a graph has some objects for each.
    """
    if not heap_environment():
        return
    library = ctypes.CDLL(None)
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
    library.free.argtypes = [ctypes.c_void_p]
    blocks = []
    for size in _SIZES:
        for _ in range(layers * _BLOCKS_A_LAYER):
            blocks.append(library.malloc(size))
            library.malloc(_SEPARATOR_BYTES)  # never freed: neighbours would join
    for block in blocks:
        library.free(block)
