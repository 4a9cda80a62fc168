"""What it costs a training to be heard and to be watched.

    python benchmarks/watching.py [pairs]

Events: the processor time of reporting a step and of writing a window of steps, at most ten a
second, as shares of the step time of the same run. Watching: one training on one thread, which
leaves a core to the screens if there is another, and one on as many as there are cores. The screens
are open on its curves in a terminal of their own for five seconds and stopped for as many, again
and again: for seconds at a time, a machine may be a quarter faster or slower, which would hide all
else between two trainings, one after the other. In five seconds screens paint at least once; what
is overdue after a stop is done while turning, which is not measured. The mean of all pairs counts.
Speed is that of updates; validations and saves are left out. How much longer the engine's threads
wait for a core is told beside it: a part of the cost only, but one that chance hardly changes.
"""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from math import log, sqrt
from pathlib import Path
from statistics import mean, stdev

from vixtui.hardware.host import usable_cores
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import EventWriter, RunStarted, StepDone, read_events
from vixtui.text import counted

PAIRS, WINDOW_SECONDS, BATCH = 35, 5.0, 64
PRESET = "hybrid-fnet:tiny"
MOST_EVENTS, MOST_WATCHING = 0.01, 0.02
_STARTING_SECONDS, _SETTLING_SECONDS, _TURNING_SECONDS = 60.0, 8.0, 0.25
_REPORTS, _WRITES = 20_000, 2_000


def reporting_seconds() -> tuple[float, float]:
    """Return processor seconds of taking in a step, and of writing a window down."""
    import torch

    from vixtui.engine import reporter
    from vixtui.engine.learner import Update

    update = Update(torch.tensor(1.0), torch.tensor(1.0), BATCH, torch.tensor(1.0))

    def timed(window_seconds: float, count: int) -> float:
        reporter._WINDOW_SECONDS = window_seconds
        with tempfile.TemporaryDirectory() as folder:
            writer = EventWriter(Path(folder) / "events.jsonl")
            voice = reporter.Reporter(writer)
            started = time.process_time()
            for step in range(count):
                voice.step(
                    update, step=step, epoch=0.0, lr=0.1, progress=0.5, seconds=0.1,
                    elapsed_seconds=1.0, device=torch.device("cpu"),
                )  # fmt: skip
            return (time.process_time() - started) / count

    return timed(1e9, _REPORTS), timed(0.0, _WRITES)


class Screens:
    """The screens, open on the running training in a terminal of 160 × 50 cells."""

    def __init__(self, home: Path) -> None:
        self.painted_bytes = 0
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
        environment = os.environ | {"VIXTUI_HOME": str(home), "TERM": "xterm-256color"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vixtui"],
            env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        )  # fmt: skip
        os.close(slave)
        threading.Thread(target=self._read_all, daemon=True).start()
        time.sleep(3)
        os.write(self._master, b"2")

    def _read_all(self) -> None:
        with suppress(OSError):
            while painted := os.read(self._master, 65536):
                self.painted_bytes += len(painted)

    def go_on(self) -> None:
        """Let them run."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Let them take no processor time at all."""
        self._process.send_signal(signal.SIGSTOP)

    def close(self) -> None:
        """End them."""
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@contextmanager
def training(home: Path, name: str, threads: int, seconds: float) -> Iterator[RunDirectory]:
    """Train until the end of the block, which begins after the first update."""
    command = [sys.executable, "-m", "vixtui", "train", "shapes", "--time", f"{seconds:.0f}s"]
    command += ["--preset", PRESET, "--threads", str(threads), "--name", name, "--json"]
    process = subprocess.Popen(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = RunDirectory(home / "runs" / name)
    try:
        while not steps_of(run):
            if process.poll() is not None:
                raise SystemExit(f"the training did not begin: exit code {process.returncode}")
            time.sleep(0.2)
        yield run
        if process.poll() is not None:
            raise SystemExit(f"the training ended too early: exit code {process.returncode}")
    finally:
        process.terminate()
        process.wait()


def steps_of(run: RunDirectory) -> list[StepDone]:
    """Return what was told of updates so far."""
    return [event for event in read_events(run.events_path) if isinstance(event, StepDone)]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a training.

    Args:
        images_per_second: its speed; 0 when there was no update.
        waiting: seconds that the engine's threads together waited for a core, in each second.
    """

    images_per_second: float
    waiting: float


def waiting_seconds(pid: int) -> float:
    """Return how long the threads of a process have waited for a core so far, as Linux tells it."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):  # a thread that has just ended
            total += int(path.read_text().split()[1])
    return total / 1e9


def watched_in_turns(home: Path, threads: int, pairs: int) -> list[tuple[Window, Window]]:
    """Return windows alone and watched, side by side in one training."""
    seconds = 2 * pairs * (WINDOW_SECONDS + _TURNING_SECONDS)
    seconds += _STARTING_SECONDS + _SETTLING_SECONDS
    windows: list[dict[bool, tuple[float, float, float]]] = []
    windows_with_paint = Counter[bool]()
    with training(home, f"watched-{threads}", threads, seconds) as run:
        pid = next(
            event.pid for event in read_events(run.events_path) if isinstance(event, RunStarted)
        )
        screens = Screens(home)
        try:
            time.sleep(_SETTLING_SECONDS)
            for pair in range(pairs):
                windows.append({})
                # What drifts favours each as often as the other.
                for watched in (True, False) if pair % 2 else (False, True):
                    screens.go_on() if watched else screens.stop()
                    time.sleep(_TURNING_SECONDS)
                    started, painted = time.time(), screens.painted_bytes
                    waited = waiting_seconds(pid)
                    time.sleep(WINDOW_SECONDS)
                    waited = waiting_seconds(pid) - waited
                    windows[-1][watched] = started, time.time(), waited
                    windows_with_paint[watched] += screens.painted_bytes > painted
        finally:
            screens.close()
        done = steps_of(run)
    if windows_with_paint[True] < 0.8 * pairs or windows_with_paint[False]:
        raise SystemExit(f"the screens painted in {windows_with_paint} of {pairs} windows")

    def window(started: float, ended: float, waited: float) -> Window:
        return Window(images_per_second(done, started, ended), waited / (ended - started))

    every = [(window(*pair[False]), window(*pair[True])) for pair in windows]
    found = [pair for pair in every if all(one.images_per_second for one in pair)]
    if len(found) < 0.9 * pairs:
        raise SystemExit(f"only {len(found)} of {pairs} pairs of windows had updates")
    return found


def images_per_second(steps: Sequence[StepDone], started: float, ended: float) -> float:
    """Return the speed of updates between two times, without validations and saves.

    It is 0 when there was nothing else.
    """
    images, seconds = 0, 0.0
    for before, step in pairwise(steps):
        if started <= before.t and step.t <= ended:
            images += BATCH * (step.step - before.step)
            seconds += BATCH * (step.step - before.step) / step.images_per_second
    return images / seconds if images else 0.0


def lines(pairs: int = PAIRS) -> Iterator[str]:
    """Tell both, line by line."""
    step, window = reporting_seconds()
    with tempfile.TemporaryDirectory() as folder:
        for threads in sorted({1, usable_cores()}):
            windows = watched_in_turns(Path(folder), threads, pairs)
            loss, error = _mean_and_error(
                log(alone.images_per_second / watched.images_per_second)
                for alone, watched in windows
            )
            yield (
                f"a watched training on {counted(threads, 'thread')} is slower by {loss:.1%}"
                f" (standard error {error:.1%})  target ≤ {MOST_WATCHING:.0%}:"
                f" {'yes' if loss <= MOST_WATCHING else 'NO'}"
            )
            waiting, error = _mean_and_error(
                watched.waiting - alone.waiting for alone, watched in windows
            )
            if Path("/proc/self/schedstat").exists():
                yield (
                    f"  its threads together wait {1e3 * waiting:.0f} ms a second longer for a core"
                    f" (standard error {1e3 * error:.0f} ms)"
                )
            speed = mean(alone.images_per_second for alone, _ in windows)
            share = step * speed / BATCH + 10 * window
            yield (
                f"its events take {share:.2%} of the time  target < {MOST_EVENTS:.0%}:"
                f" {'yes' if share < MOST_EVENTS else 'NO'}"
            )
            yield (
                f"  {1e6 * step:.1f} µs a step of {1e3 * BATCH / speed:.0f} ms,"
                f" {1e6 * window:.0f} µs at most ten times a second"
            )


def _mean_and_error(values: Iterable[float]) -> tuple[float, float]:
    found = list(values)
    return mean(found), stdev(found) / sqrt(len(found))


def main() -> None:
    """Print the costs."""
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
