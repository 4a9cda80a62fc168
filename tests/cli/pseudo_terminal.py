"""A program on a terminal of its own, and the bytes it sends there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress


def run_on_a_terminal(
    command: Sequence[str], environment: Mapping[str, str], *, keyboard: bool = False
) -> tuple[int, bytes]:
    """Run a command to its end; return its exit code and what it wrote, stderr included.

    Args:
        command: program and arguments.
        environment: all its variables.
        keyboard: whether it reads from the terminal, too; else from nothing.
    """
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=theirs if keyboard else subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # the other end is closed
        while block := os.read(ours, 65536):
            shown += block
    os.close(ours)
    return process.wait(), shown
