"""A file that keeps whoever opens it waiting, as one on a lost network does (Linux)."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def held_back(path: Path) -> Iterator[None]:
    """Hold a lease: the kernel lets nobody open the file until it is given up, or for 45 s."""
    fcntl = pytest.importorskip("fcntl")
    if not hasattr(fcntl, "F_SETLEASE"):
        pytest.skip("only Linux has leases")
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # somebody wants to open it
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGIO, before)
