"""The engine's heap, in a process that starts with the engine's settings."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

from vixtui.runs.heap import heap_environment

pytestmark = pytest.mark.skipif(not heap_environment(), reason="the C library is not glibc")

# Large blocks, each followed by a small one that outlives it, as tensors and their graph are; then
# larger ones, for which freed blocks must join.
ROUNDS = """
import ctypes, sys
from vixtui.engine.heap import give_back_freed_memory, large_blocks_mapped, set_small_blocks_apart
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]

def resident(kind):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(kind)) * 1024

def take(size):
    block = library.malloc(size)
    ctypes.memset(block, 1, size)
    return block

{prepare}
before = resident("VmRSS")
for size in (2**15, 2**16, 2**17):
    large = []
    for _ in range(2**26 // size):
        large.append(take(size))
        take(88)
    for block in large:
        library.free(block)
print(resident("VmHWM") - before)
"""


def growth(prepare: str) -> float:
    """Return the peak growth of a process by what it ever needs at once."""
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(prepare=prepare)],
        env=heap_environment(),
        capture_output=True,
        check=True,
    )
    return int(done.stdout) / 2**26


def test_small_objects_between_large_blocks_do_not_keep_them_from_joining() -> None:
    assert growth("") > 1.3  # what it is about
    assert growth("set_small_blocks_apart(8)") < 1.1


BLOCKS = "[library.free(block) for block in [take(2**20) for _ in range(64)]]\n"


def left(prepare: str) -> int:
    """Return what is resident after some code."""
    show = "print(resident('VmRSS')); raise SystemExit"
    done = subprocess.run(
        [sys.executable, "-c", ROUNDS.format(prepare=prepare + show)],
        env=heap_environment(),
        capture_output=True,
        check=True,
    )
    return int(done.stdout)


# A block that shifts the top, then two aligned ones; prints how far these lie apart.
SHIFTED = """
import ctypes
from vixtui.engine.heap import set_small_blocks_apart
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.memalign.restype = ctypes.c_void_p
library.memalign.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
for shift in (0, 16, 32, 48):
    library.malloc(2**22 + shift)
    set_small_blocks_apart(1)
    first, second = library.memalign(64, 2**22), library.memalign(64, 2**22)
    print(second - first - 2**22)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="glibc before 2.33")
def test_how_tensors_lie_does_not_depend_on_what_was_there_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SHIFTED], env=heap_environment(), capture_output=True, check=True
    )
    assert done.stdout.split() == [b"64"] * 4


def test_freed_memory_is_given_back_when_asked_to_and_no_earlier() -> None:
    assert left(BLOCKS) - left(BLOCKS + "give_back_freed_memory()\n") > 2**25


def test_blocks_of_a_first_step_are_given_back_and_those_of_later_ones_stay() -> None:
    first = f"with large_blocks_mapped():\n    {BLOCKS}"
    kept = left(BLOCKS)
    assert kept - left(first) > 2**25
    assert left(first + BLOCKS) == pytest.approx(kept, abs=2**22)
