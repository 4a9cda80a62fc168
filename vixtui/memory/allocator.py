"""Replays allocations through a simulation of torch's caching allocator for CUDA.

The allocator takes segments from the driver and cuts blocks out of them. What training needs is
therefore not the largest sum of live tensors but the largest sum of segments, and under a limit
whether the segments that are still free can be given back in time.

Source: ``c10/cuda/CUDACachingAllocator.cpp`` and ``c10/core/AllocatorConfig.h`` of torch 2.14 with
default settings, for one stream and no graph capture. Each rule below names the function there
that it follows. Two things are idealised: segments get ascending addresses, which decide between
free blocks of one size, and address space never ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vixtui.memory.blocks import Block, Pool

_MIB = 2**20

BLOCK_BYTES = 512
"""Every size is a multiple of this (kMinBlockSize)."""
SMALL_BYTES = 1 * _MIB
"""Blocks up to this size come from the pool of small blocks (kSmallSize)."""
SMALL_SEGMENT_BYTES = 2 * _MIB
"""Segment, or page of an expandable segment, of small blocks (kSmallBuffer)."""
LARGE_SEGMENT_BYTES = 20 * _MIB
"""Segment of blocks below ``OWN_SEGMENT_BYTES``, page of large blocks (large_segment_size)."""
OWN_SEGMENT_BYTES = 10 * _MIB
"""From this size a block gets a segment of its own (kMinLargeAlloc)."""
SEGMENT_STEP_BYTES = 2 * _MIB
"""Segments are multiples of this (kRoundLarge): limits in between act like the one below."""
WORKSPACE_BYTES = 8_519_680
"""What cuBLAS keeps from the first matrix product on; 32 MiB from compute capability 9.0 on."""

_ADDRESS_SPACE = 2**40 * LARGE_SEGMENT_BYTES  # whole pages, as every address in it counts from 0


class Segments(StrEnum):
    """How memory is taken from the driver: ``expandable_segments`` of PYTORCH_ALLOC_CONF."""

    NATIVE = "native"
    EXPANDABLE = "expandable"


@dataclass(frozen=True, slots=True)
class Allocate:
    """A block of `size` bytes is asked for; `block` names it until it is freed."""

    block: int
    size: int


@dataclass(frozen=True, slots=True)
class Free:
    """The block is given back to the allocator, which keeps it."""

    block: int


Event = Allocate | Free


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a sequence of events came to, in bytes.

    Args:
        peak_allocated: most in live blocks, as ``torch.cuda.max_memory_allocated``.
        peak_reserved: most in segments, as ``torch.cuda.max_memory_reserved``.
        peak_demand: the limit under which the allocator would never have to give anything back.
        failed_at: index of the event that ran out of memory and ended the sequence, if any.
    """

    peak_allocated: int
    peak_reserved: int
    peak_demand: int
    failed_at: int | None


def simulate(
    events: Iterable[Event], *, limit: int | None = None, segments: Segments = Segments.NATIVE
) -> Outcome:
    """Replay `events` from an empty allocator.

    Args:
        events: in order; an allocation of 0 bytes takes nothing.
        limit: bytes in segments, as ``torch.cuda.set_per_process_memory_fraction`` sets it.

    Raises:
        ValueError: when a block is named twice, or freed without being live.
    """
    allocator = _Allocator(limit, expandable=segments is Segments.EXPANDABLE)
    failed_at = None
    for index, event in enumerate(events):
        if isinstance(event, Free):
            allocator.free(event.block)
        elif not allocator.allocate(event.block, event.size):
            failed_at = index
            break
    return Outcome(
        peak_allocated=allocator.peak_allocated,
        peak_reserved=allocator.peak_reserved,
        peak_demand=allocator.peak_demand,
        failed_at=failed_at,
    )


def smallest_budget(
    events: Sequence[Event], *, segments: Segments = Segments.NATIVE, tolerance: float = 0.0
) -> int:
    """Return the smallest limit in bytes from which on `events` never run out of memory.

    Less may do by chance: under another limit other segments are given back and other blocks used
    again, and a limit that is too low may lie between two that are not. Every limit from what was
    demanded under one up to that one acts like it, so that few have to be tried.
    Expandable segments may reserve up to a page more than their limit, even allocate more:
    `simulate` with that limit says what is taken.

    Args:
        tolerance: share of it that the answer may be too large, and that is not looked at for gaps.

    Raises:
        ValueError: see `simulate`.
    """
    fits = simulate(events, segments=segments).peak_demand
    while fits:
        tried = min(fits - 1, int((1 - tolerance) * fits)) // SEGMENT_STEP_BYTES
        outcome = simulate(events, limit=tried * SEGMENT_STEP_BYTES, segments=segments)
        if outcome.failed_at is not None:
            break
        fits = outcome.peak_demand
    return fits


def _round_up(size: int, step: int) -> int:
    return -(-size // step) * step


def _block_bytes(size: int) -> int:
    """Return what a request takes (round_size)."""
    return _round_up(size, BLOCK_BYTES)


def _segment_bytes(size: int) -> int:
    """Return the segment for a block that no free block can hold (get_allocation_size)."""
    if size <= SMALL_BYTES:
        return SMALL_SEGMENT_BYTES
    if size < OWN_SEGMENT_BYTES:
        return LARGE_SEGMENT_BYTES
    return _round_up(size, SEGMENT_STEP_BYTES)


class _Allocator:
    """The state of the allocator between two events."""

    def __init__(self, limit: int | None, *, expandable: bool) -> None:
        self.peak_allocated = self.peak_reserved = self.peak_demand = 0
        self._limit = limit
        self._expandable = expandable
        self._allocated = self._reserved = 0
        self._next_address = 0
        self._small = Pool(SMALL_SEGMENT_BYTES)
        self._large = Pool(LARGE_SEGMENT_BYTES)
        self._live: dict[int, Block | None] = {}

    def allocate(self, name: int, requested: int) -> bool:
        """Return whether there was memory for the block (malloc).

        If no free block fits, a segment is added; if the limit forbids that, everything that can
        be is given back to the driver and it is tried once more.
        """
        if name in self._live:
            raise ValueError(f"block {name} is live already")
        if requested == 0:
            self._live[name] = None
            return True
        size = _block_bytes(requested)
        pool = self._small if size <= SMALL_BYTES else self._large
        block = pool.best_fit(size, expandable=self._expandable) or self._grow(pool, size)
        if block is None:
            self._release_free_memory()
            block = self._grow(pool, size)
        if block is None:
            return False
        pool.remove(block)
        if self._should_split(block, size):
            pool.add(block.cut(size))
        block.allocated = True
        self._live[name] = block
        self._allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self._allocated)
        return True

    def free(self, name: int) -> None:
        """Keep the block for later requests (free_block)."""
        if name not in self._live:
            raise ValueError(f"block {name} is not live")
        block = self._live.pop(name)
        if block is not None:
            self._allocated -= block.size
            block.allocated = False
            block.pool.add_merged(block)

    def _should_split(self, block: Block, size: int) -> bool:
        """Return whether the rest of a block is kept apart (should_split).

        Of a native large segment only if it could itself hold a large block.
        """
        rest = block.size - size
        if block.pool is self._small or self._expandable:
            return rest >= BLOCK_BYTES
        return rest > SMALL_BYTES

    def _grow(self, pool: Pool, size: int) -> Block | None:
        """Return a free block from newly reserved memory, unless the limit forbids (alloc_block).

        The limit is held against a native segment's size in either mode.
        """
        segment_bytes = _segment_bytes(size)
        demand = self._reserved + segment_bytes
        if self._limit is not None and demand > self._limit:
            return None
        self.peak_demand = max(self.peak_demand, demand)
        if self._expandable:
            return self._map_room(pool, size)
        block = self._new_segment(pool, segment_bytes, mapped=True)
        self._reserve(segment_bytes)
        return block

    def _new_segment(self, pool: Pool, size: int, *, mapped: bool) -> Block:
        block = Block(pool, self._next_address, size, mapped=mapped)
        self._next_address += size
        pool.add(block)
        return block

    def _reserve(self, size: int) -> None:
        self._reserved += size
        self.peak_reserved = max(self.peak_reserved, self._reserved)

    def _map_room(self, pool: Pool, size: int) -> Block:
        """Map pages until a free block of `size` bytes exists (try_allocate_expandable_block)."""
        block = self._find_room(pool, size)
        if not block.mapped:
            self._map(block, min(block.size, size))
        while block.size < size:
            unmapped = block.behind
            assert unmapped is not None
            self._map(unmapped, min(unmapped.size, size - block.size))
            block = unmapped  # has absorbed the block before it
        return block

    def _find_room(self, pool: Pool, size: int) -> Block:
        """Return where `size` bytes in a row are free or unmapped (find_expandable_block).

        The lowest address counts, a free block before an unmapped stretch included; if there is
        none, a segment begins.
        """
        for unmapped in pool.unmapped_blocks():
            before = unmapped.before
            start = unmapped if before is None or before.allocated else before
            room = 0
            block: Block | None = start
            while room < size and block is not None and not block.allocated:
                room += block.size
                block = block.behind
            if room >= size:
                return start
        return self._new_segment(pool, _ADDRESS_SPACE, mapped=False)

    def _map(self, block: Block, size: int) -> None:
        """Back the first `size` bytes of an unmapped stretch with whole pages (map_block)."""
        pool = block.pool
        pool.remove(block)
        mapped_bytes = _round_up(size, pool.page_bytes)
        if mapped_bytes < block.size:
            pool.add(block.cut(mapped_bytes))
        block.mapped = True
        pool.add_merged(block)
        self._reserve(mapped_bytes)

    def _release_free_memory(self) -> None:
        """Give back free native segments, or free pages (release_cached_blocks)."""
        for pool in (self._large, self._small):
            for block in pool.free_blocks():
                if self._expandable:
                    self._unmap(block)
                elif block.whole:
                    pool.remove(block)
                    self._reserved -= block.size

    def _unmap(self, block: Block) -> None:
        """Take whole pages from a free block; what is left beside them stays (unmap_block)."""
        pool = block.pool
        begin = _round_up(block.address, pool.page_bytes)
        end = (block.address + block.size) // pool.page_bytes * pool.page_bytes
        if begin >= end:
            return
        pool.remove(block)
        if begin > block.address:
            first, block = block, block.cut(begin - block.address)
            pool.add(first)
        if block.size > end - begin:
            pool.add(block.cut(end - begin))
        block.mapped = False
        pool.add_merged(block)
        self._reserved -= end - begin
        if block.whole:  # the segment holds nothing any more
            pool.remove(block)
