"""What it costs a training to be heard and to be watched.

    python benchmarks/watching.py [pairs]

Events: the processor time of reporting a step and of writing a window of steps, at most ten a
second, as shares of the step time of the same run. Watching: one training, with the screens open on
its curves in a terminal of their own for a second and stopped for another, again and again; on one
core and on all. The median of the pairs counts: for seconds at a time, a machine may be half as
fast again, which would hide all else between two trainings, one after the other.
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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from statistics import mean, quantiles

from vixtui.hardware.host import usable_cores
from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import EventWriter, StepDone, read_events

PAIRS, WINDOW_SECONDS, BATCH = 80, 1.0, 64
PRESET = "hybrid-fnet:tiny"
MOST_EVENTS, MOST_WATCHING = 0.01, 0.02
_SETTLING_SECONDS, _TURNING_SECONDS = 8.0, 0.25
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


@contextmanager
def screens(home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Keep the training screen open in a terminal of 160 × 50 cells."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 160, 0, 0))
    environment = os.environ | {"VIXTUI_HOME": str(home), "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-m", "vixtui"],
        env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
    )  # fmt: skip
    os.close(slave)

    def read_all() -> None:
        with suppress(OSError):
            while os.read(master, 65536):
                pass

    threading.Thread(target=read_all, daemon=True).start()
    time.sleep(3)
    os.write(master, b"2")
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        os.close(master)


def watched_in_turns(home: Path, threads: int, pairs: int) -> list[tuple[float, float]]:
    """Return images a second alone and watched, side by side in one training."""
    name = f"watched-{threads}"
    seconds = 2 * _SETTLING_SECONDS + 2 * pairs * (WINDOW_SECONDS + _TURNING_SECONDS)
    command = [sys.executable, "-m", "vixtui", "train", "shapes", "--time", f"{seconds:.0f}s"]
    command += ["--preset", PRESET, "--threads", str(threads), "--name", name, "--json"]
    training = subprocess.Popen(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = RunDirectory(home / "runs" / name)

    def steps() -> list[StepDone]:
        return [event for event in read_events(run.events_path) if isinstance(event, StepDone)]

    while not steps():
        time.sleep(0.2)
    windows: list[dict[bool, tuple[float, float]]] = []
    with screens(home) as process:
        time.sleep(_SETTLING_SECONDS)
        for pair in range(pairs):
            windows.append({})
            # What drifts favours each as often as the other.
            for watched in (True, False) if pair % 2 else (False, True):
                process.send_signal(signal.SIGCONT if watched else signal.SIGSTOP)
                time.sleep(_TURNING_SECONDS)
                started = time.time()
                time.sleep(WINDOW_SECONDS)
                windows[-1][watched] = started, time.time()
    training.terminate()
    training.wait()
    done = steps()
    speeds = [
        (images_per_second(done, *pair[False]), images_per_second(done, *pair[True]))
        for pair in windows
    ]
    return [pair for pair in speeds if all(pair)]


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
    with tempfile.TemporaryDirectory() as folder:
        for threads in sorted({1, usable_cores()}):
            speeds = watched_in_turns(Path(folder), threads, pairs)
            alone = mean(without for without, _ in speeds)
            losses = [1 - watched / without for without, watched in speeds]
            low, loss, high = quantiles(losses)
            yield (
                f"watched training on {threads} threads is slower by {loss:6.1%}"
                f"  target ≤ {MOST_WATCHING:.0%}: {'yes' if loss <= MOST_WATCHING else 'NO'}"
            )
            yield f"  median of {len(speeds)} pairs, half of them {low:.1%} to {high:.1%}"
            yield f"  {alone:.0f} images/s alone"
    step, window = reporting_seconds()
    share = step * alone / BATCH + 10 * window
    yield (
        f"events take {share:.2%} of the time  target < {MOST_EVENTS:.0%}:"
        f" {'yes' if share < MOST_EVENTS else 'NO'}"
    )
    yield (
        f"  {1e6 * step:.1f} µs a step of {1e3 * BATCH / alone:.0f} ms,"
        f" {1e6 * window:.0f} µs at most ten times a second"
    )


def main() -> None:
    """Print the costs."""
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else PAIRS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
