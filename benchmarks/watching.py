"""What it costs a training to be heard and to be watched.

    python benchmarks/watching.py [turns]

Events: the processor time of reporting a step and of writing a window of steps, at most ten a
second, as shares of the step time of the same run. Watching: the same training on one core with the
screens open on its curves, in a terminal of their own, and without them; in turn, as images a
second.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import EventWriter, StepDone, read_events

SECONDS, TURNS, BATCH = 30, 3, 64
PRESET = "hybrid-fnet:tiny"
MOST_EVENTS, MOST_WATCHING = 0.01, 0.02
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
def screens(home: Path) -> Iterator[None]:
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
        yield
    finally:
        process.kill()
        process.wait()
        os.close(master)


def images_per_second(home: Path, name: str, *, watched: bool) -> float:
    """Return the mean speed of a training, its warm-up and the start of the screens left out."""
    command = [sys.executable, "-m", "vixtui", "train", "shapes", "--time", f"{SECONDS}s"]
    command += ["--preset", PRESET, "--threads", "1", "--name", name, "--json"]
    training = subprocess.Popen(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    run = RunDirectory(home / "runs" / name)
    while not any(isinstance(event, StepDone) for event in read_events(run.events_path)):
        time.sleep(0.2)
    if watched:
        with screens(home):
            code = training.wait()
    else:
        time.sleep(3)
        code = training.wait()
    if code:
        raise SystemExit(f"the training ended with exit code {code}: {run.log_path.read_text()}")
    steps = [event for event in read_events(run.events_path) if isinstance(event, StepDone)]
    steps = [event for event in steps if event.t > steps[0].t + 5]
    return BATCH * (steps[-1].step - steps[0].step) / (steps[-1].t - steps[0].t)


def lines(turns: int = TURNS) -> Iterator[str]:
    """Tell both, line by line."""
    ratios, alone = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(turns):
            alone = images_per_second(Path(folder), f"alone-{turn}", watched=False)
            watched = images_per_second(Path(folder), f"watched-{turn}", watched=True)
            ratios.append(watched / alone)
            yield f"turn {turn + 1}: {alone:.0f} images/s alone, {watched:.0f} watched"
    loss = 1 - median(ratios)
    yield (
        f"watched training is slower by {loss:6.1%}  target ≤ {MOST_WATCHING:.0%}:"
        f" {'yes' if loss <= MOST_WATCHING else 'NO'}"
    )
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
    for line in lines(int(sys.argv[1]) if len(sys.argv) > 1 else TURNS):
        print(line, flush=True)


if __name__ == "__main__":
    main()
