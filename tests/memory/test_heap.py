"""The simulated heap against this machine's, in a process with the engine's settings."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest

from vixtui.memory.allocator import Allocate, Event, Free
from vixtui.memory.heap import heap_bytes
from vixtui.runs.heap import heap_environment

# How far the heap of a process grows that asks for (block, bytes), and frees (block, none).
REAL = """
import ctypes, json, sys
library = ctypes.CDLL(None)
library.sbrk.restype, library.sbrk.argtypes = ctypes.c_void_p, [ctypes.c_ssize_t]
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
place = ctypes.c_void_p()
events = json.load(sys.stdin)
blocks = (ctypes.c_void_p * len(events))()  # no objects come and go beside the blocks
beyond = library.malloc(1 << 20)  # beyond what was freed so far
library.malloc((1 << 20) - 8 - beyond % 64)  # so that what follows starts as simulated
before = library.sbrk(0)
for block, size in events:
    if size is None:
        library.free(blocks[block])
    else:
        library.posix_memalign(ctypes.byref(place), 64, ctypes.c_size_t(size))
        blocks[block] = place.value
print(library.sbrk(0) - before)
"""
# The heap grows by so much more than asked for.
TOP_PAD = 2**17


def real_heap_bytes(events: list[Event]) -> int:
    pairs = [(event.block, getattr(event, "size", None)) for event in events]
    done = subprocess.run(
        [sys.executable, "-c", REAL],
        input=json.dumps(pairs),
        env=heap_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return int(done.stdout)


def training(seed: int) -> list[Event]:
    """Return steps whose blocks are of few sizes, as tensors are, and live long or short."""
    draw = random.Random(seed)
    sizes = [draw.choice((2**14, 2**18, 3 * 2**19, 2**20)) * draw.randint(1, 4) for _ in range(6)]
    events: list[Event] = []
    live: list[int] = []
    for block in range(400):
        events.append(Allocate(block, draw.choice(sizes) + 4 * draw.randint(0, 20)))
        live.append(block)
        while len(live) > 40 or (live and draw.random() < 0.45):
            events.append(Free(live.pop(draw.randrange(len(live)))))
    return events


@pytest.mark.skipif(not heap_environment(), reason="the C library is not glibc")
@pytest.mark.parametrize("seed", range(8))
def test_the_heap_grows_as_that_of_a_real_process(seed: int) -> None:
    events = training(seed)
    assert heap_bytes(events) == pytest.approx(real_heap_bytes(events), abs=TOP_PAD + 4096)


def test_a_hole_between_live_blocks_is_just_too_small_for_a_block_of_its_size() -> None:
    size = 2**20
    start: list[Event] = [Allocate(0, size), Allocate(1, size), Allocate(2, size), Free(1)]
    for next_size, blocks in ((size, 4), (size - 16, 3)):
        grown = heap_bytes([*start, Allocate(3, next_size)])
        assert grown == pytest.approx(blocks * size, abs=1000)


def test_freed_neighbours_join() -> None:
    freed: list[Event] = [*(Allocate(block, 2**20) for block in range(4)), Free(1), Free(2)]
    assert heap_bytes([*freed, Allocate(4, 2**21)]) == heap_bytes(freed)
