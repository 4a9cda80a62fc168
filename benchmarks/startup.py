"""How long one waits: cold starts of the commands and of the first screen, and a new budget in it.

Medians of seven cold processes, beside ``python -c pass`` in the same run; the slowest of all steps
of the budget, each taken for the first time.

| what | target |
|---|---|
| vixtui --help | 0.25 s |
| vixtui recommend --budget 4GB | 0.40 s |
| first paint of the screens | 0.90 s, 60 MB |
| another budget, all presets ranked again | 0.050 s |
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import statistics
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 7
FIRST_PAINT_MARK = b"Pick"
VIXTUI = [sys.executable, "-m", "vixtui"]


def command_seconds(command: list[str]) -> float:
    """Return the wall time of one process."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def first_paint() -> tuple[float, int]:
    """Return seconds until the first screen stands in a 100×30 terminal, and peak bytes."""
    started = time.perf_counter()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm-256color"
        os.execv(sys.executable, VIXTUI)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    seen = b""
    try:
        while FIRST_PAINT_MARK not in seen:
            if not select.select([terminal], [], [], 30)[0]:
                raise TimeoutError("no first paint")
            seen += os.read(terminal, 65536)
        seconds = time.perf_counter() - started
        return seconds, _peak_bytes(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(terminal)


def _peak_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    return 0


def slowest_budget_step() -> tuple[float, int]:
    """Return the longest that any step of the budget takes to be answered, and of how many."""
    from vixtui.tui import choice

    machine, pictures = choice.look_at_machine(), choice.open_pictures(choice.DEFAULT_SOURCE)
    outlook = choice.plan(choice.Wish(), pictures, machine)
    slowest = 0.0
    for step in reversed(choice.BUDGET_STEPS):
        started = time.perf_counter()
        choice.plan(choice.Wish(budget=f"{step / 1e9:g}GB"), pictures, machine)
        slowest = max(slowest, time.perf_counter() - started)
    return slowest, len(outlook.candidates)


def medians(measure: Callable[[], float]) -> float:
    """Return the median of `RUNS` measurements after one that is not counted."""
    measure()
    return statistics.median(measure() for _ in range(RUNS))


def rows() -> list[tuple[str, str, str]]:
    """Return (what, measured, target) for each start."""
    table = [
        (
            "python -c pass",
            f"{medians(lambda: command_seconds([sys.executable, '-c', 'pass'])):.3f} s",
            "",
        )
    ]
    for arguments, target in ((["--help"], "0.25 s"), (["recommend", "--budget", "4GB"], "0.40 s")):
        seconds = medians(lambda arguments=arguments: command_seconds([*VIXTUI, *arguments]))
        table.append((f"vixtui {' '.join(arguments)}", f"{seconds:.3f} s", target))
    paints = [first_paint() for _ in range(RUNS + 1)][1:]
    table.append(("first paint", f"{statistics.median(p[0] for p in paints):.3f} s", "0.90 s"))
    peak = statistics.median(p[1] for p in paints)
    table.append(("memory at first paint", f"{peak / 1e6:.1f} MB", "60 MB"))
    seconds, presets = slowest_budget_step()
    table.append((f"another budget, {presets} presets", f"{seconds:.3f} s", "0.050 s"))
    return table


if __name__ == "__main__":
    for row in rows():
        print("{:32} {:>10} {:>10}".format(*row))
