"""The simulated heap of the C library."""

from __future__ import annotations

import pytest

from vixtui.memory.allocator import Allocate, Event, Free
from vixtui.memory.heap import heap_bytes


def test_a_hole_between_live_blocks_is_just_too_small_for_a_block_of_its_size() -> None:
    size = 2**20
    start: list[Event] = [Allocate(0, size), Allocate(1, size), Allocate(2, size), Free(1)]
    for next_size, blocks in ((size, 4), (size - 16, 3)):
        grown = heap_bytes([*start, Allocate(3, next_size)])
        assert grown == pytest.approx(blocks * size, abs=1000)


def test_freed_neighbours_join() -> None:
    freed: list[Event] = [*(Allocate(block, 2**20) for block in range(4)), Free(1), Free(2)]
    assert heap_bytes([*freed, Allocate(4, 2**21)]) == heap_bytes(freed)
