"""Simulates how glibc's heap serves a training step on the CPU, with the engine's settings of it.

torch asks for tensors aligned to 64 bytes. Of a step's blocks, freed ones join at once and the best
fit is taken, else the heap grows; nothing goes back (`vixtui.runs.heap`). Small objects have places
of their own (`vixtui.engine.heap`) and are left out. After ``malloc.c`` of glibc 2.36.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable

from vixtui.memory.allocator import Event, Free
from vixtui.runs.heap import ALIGNMENT, HEADER_BYTES, OFFSET

_GRAIN_BYTES, _LEAST_BYTES = 16, 32
# From this size on, a bin holds chunks of several sizes.
_LARGE_BYTES = 1024


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
        self._free = _FreeChunks()

    def allocate(self, size: int) -> int:
        """Return the address of a chunk for an aligned block (_int_memalign)."""
        wanted = _chunk_bytes(size)
        # The request for room to align in is rounded up as one for a block is: a hole that a block
        # of the same size left is too small by 16 bytes.
        address, room = self._take(_chunk_bytes(wanted + ALIGNMENT + _LEAST_BYTES))
        lead = -(address + OFFSET) % ALIGNMENT
        if 0 < lead < _LEAST_BYTES:
            lead += ALIGNMENT
        if lead:
            self._release(address, lead)
        address, room = address + lead, room - lead
        if room - wanted > _LEAST_BYTES:
            self._release(address + wanted, room - wanted)
            room = wanted
        self._sizes[address] = room
        return address

    def free(self, address: int) -> None:
        """Give a chunk back."""
        self._release(address, self._sizes.pop(address))

    def _take(self, size: int) -> tuple[int, int]:
        """Return a chunk of at least `size` bytes, by address and size (_int_malloc)."""
        found = self._free.best_fit(size)
        if found is None:
            address, self._top = self._top, self._top + size
            self.peak = max(self.peak, self._top)
            return address, size
        address, room = found
        if room - size < _LEAST_BYTES:
            return address, room
        self._release(address + size, room - size)
        return address, size

    def _release(self, address: int, size: int) -> None:
        """Join a free chunk with its free neighbours, or with the top (_int_free)."""
        free = self._free
        if (before := free.ends.get(address)) is not None:
            size += free.remove(before)
            address = before
        if address + size in free.sizes:
            size += free.remove(address + size)
        if address + size == self._top:
            self._top = address
        else:
            free.add(address, size)


class _FreeChunks:
    """All free chunks; which of several as large is taken depends on when each was sorted in."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}  # by address
        self.ends: dict[int, int] = {}  # address by the address behind
        self._unsorted: dict[int, None] = {}  # addresses, the oldest first
        self._kinds: list[int] = []  # all sizes that are sorted in, rising
        self._alike: dict[int, list[int]] = {}  # addresses by size, in the order of a bin

    def add(self, address: int, size: int) -> None:
        """Add a chunk; it is sorted in when the next one is wanted."""
        self.sizes[address] = size
        self.ends[address + size] = address
        self._unsorted[address] = None

    def remove(self, address: int) -> int:
        """Take out a chunk and return its size."""
        size = self.sizes.pop(address)
        del self.ends[address + size]
        if address in self._unsorted:
            del self._unsorted[address]
            return size
        alike = self._alike[size]
        alike.remove(address)
        if not alike:
            del self._alike[size], self._kinds[bisect_left(self._kinds, size)]
        return size

    def best_fit(self, size: int) -> tuple[int, int] | None:
        """Take out a smallest chunk of at least `size` bytes; return its address and size."""
        if size >= _LARGE_BYTES or size not in self._alike:
            for address in tuple(self._unsorted):
                if self.sizes[address] == size:
                    return address, self.remove(address)
                self._sort_in(address)
        place = bisect_left(self._kinds, size)
        if place == len(self._kinds):
            return None
        alike = self._alike[self._kinds[place]]
        # The first of a size stays while it can. From the bin that the request itself belongs to,
        # the newest of the others is taken, from any other bin the oldest.
        if self._kinds[place] < _LARGE_BYTES or _bin(self._kinds[place]) != _bin(size):
            chosen = alike[-1]
        else:
            chosen = alike[min(1, len(alike) - 1)]
        return chosen, self.remove(chosen)

    def _sort_in(self, address: int) -> None:
        del self._unsorted[address]
        size = self.sizes[address]
        alike = self._alike.get(size)
        if alike is None:
            insort(self._kinds, size)
            self._alike[size] = [address]
        else:
            alike.insert(1 if size >= _LARGE_BYTES else 0, address)


def _bin(size: int) -> int:
    """Return the number of the bin for large chunks (largebin_index_64)."""
    for shift, most, first in ((6, 48, 48), (9, 20, 91), (12, 10, 110), (15, 4, 119), (18, 2, 124)):
        if size >> shift <= most:
            return first + (size >> shift)
    return 126


def _chunk_bytes(size: int) -> int:
    """Return the size of a chunk for a request (request2size)."""
    rounded = (size + HEADER_BYTES + _GRAIN_BYTES - 1) // _GRAIN_BYTES * _GRAIN_BYTES
    return max(_LEAST_BYTES, rounded)
