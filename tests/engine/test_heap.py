"""The engine's heap, in a process that starts with the engine's settings."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vixtui.runs.heap import heap_environment

pytestmark = pytest.mark.skipif(not heap_environment(), reason="the C library is not glibc")

# Large blocks, each followed by a small one that outlives it, as tensors and their graph are; then
# larger ones, for which freed blocks must join.
ROUNDS = """
import ctypes, sys
from vixtui.engine.heap import give_back_freed_memory, set_small_blocks_apart
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
        take(200)
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
    assert growth("") > 1.5  # what it is about
    assert growth("set_small_blocks_apart(4)") < 1.2


def test_freed_memory_is_given_back_when_asked_to_and_no_earlier() -> None:
    code = "[library.free(block) for block in [take(2**20) for _ in range(64)]]\n"
    show = "print(resident('VmRSS')); raise SystemExit"
    kept, left = (
        int(
            subprocess.run(
                [sys.executable, "-c", ROUNDS.format(prepare=code + more + show)],
                env=heap_environment(),
                capture_output=True,
                check=True,
            ).stdout
        )
        for more in ("", "give_back_freed_memory()\n")
    )
    assert kept - left > 2**25
