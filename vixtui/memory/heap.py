"""Simulates how glibc's heap serves a training step on the CPU, with the engine's settings of it.

torch asks for tensors aligned to 64 bytes. Of a step's blocks, freed ones join at once and the best
fit is taken, else the heap grows; nothing goes back (`vixtui.runs.heap`). Small objects have places
of their own (`vixtui.engine.heap`) and are left out. After ``malloc.c`` of glibc 2.36.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from vixtui.memory.allocator import Event, Free

_HEADER_BYTES, _GRAIN_BYTES, _LEAST_BYTES = 8, 16, 32
_ALIGNMENT = 64
# Of a chunk to what is handed out: two headers, of which one is that of the chunk before.
_OFFSET = 16


def heap_bytes(events: Iterable[Event]) -> int:
    """Return how far the heap grows in the course of a training."""
    heap, chunks = _Heap(), dict[int, int]()
    for event in events:
        if isinstance(event, Free):
            heap.free(chunks.pop(event.block))
        else:
            chunks[event.block] = heap.allocate(event.size)
    return heap.peak


class _Heap:
    """Chunks by address; the top is what lies beyond the last one."""

    def __init__(self) -> None:
        self.peak = 0
        self._top = 0
        self._sizes: dict[int, int] = {}  # of chunks in use
        self._free: list[tuple[int, int]] = []  # (size, address): best fit is the first that fits
        self._free_sizes: dict[int, int] = {}
        self._free_ends: dict[int, int] = {}  # address behind a free chunk: address of the chunk

    def allocate(self, size: int) -> int:
        """Return the address of a chunk for an aligned block (_int_memalign)."""
        wanted = _chunk_bytes(size)
        # The request for room to align in is rounded up as one for a block is: a hole that a block
        # of the same size left is too small by 16 bytes.
        address, room = self._take(_chunk_bytes(wanted + _ALIGNMENT + _LEAST_BYTES))
        lead = -(address + _OFFSET) % _ALIGNMENT
        if 0 < lead < _LEAST_BYTES:
            lead += _ALIGNMENT
        if lead:
            self._release(address, lead)
        address, room = address + lead, room - lead
        if room - wanted >= _LEAST_BYTES:
            self._release(address + wanted, room - wanted)
            room = wanted
        self._sizes[address] = room
        return address

    def free(self, address: int) -> None:
        """Give a chunk back."""
        self._release(address, self._sizes.pop(address))

    def _take(self, size: int) -> tuple[int, int]:
        """Return a chunk of at least `size` bytes, by address and size (_int_malloc)."""
        place = bisect_left(self._free, (size, 0))
        if place == len(self._free):
            address, self._top = self._top, self._top + size
            self.peak = max(self.peak, self._top)
            return address, size
        room, address = self._free[place]
        self._remove(address)
        if room - size < _LEAST_BYTES:
            return address, room
        self._release(address + size, room - size)
        return address, size

    def _release(self, address: int, size: int) -> None:
        """Join a free chunk with its free neighbours, or with the top (_int_free)."""
        before = self._free_ends.get(address)
        if before is not None:
            size += self._remove(before)
            address = before
        if address + size in self._free_sizes:
            size += self._remove(address + size)
        if address + size == self._top:
            self._top = address
            return
        insort(self._free, (size, address))
        self._free_sizes[address] = size
        self._free_ends[address + size] = address

    def _remove(self, address: int) -> int:
        """Take out a free chunk and return its size."""
        size = self._free_sizes.pop(address)
        del self._free_ends[address + size]
        del self._free[bisect_left(self._free, (size, address))]
        return size


def _chunk_bytes(size: int) -> int:
    """Return the size of a chunk for a request (request2size)."""
    rounded = (size + _HEADER_BYTES + _GRAIN_BYTES - 1) // _GRAIN_BYTES * _GRAIN_BYTES
    return max(_LEAST_BYTES, rounded)
