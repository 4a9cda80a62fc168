"""Training beside a program that uses one core all the time: how much of the speed is kept.

Trains quiet, beside a busy process, and with one that begins during the training, one after the
other, twice; prints ratios of images a second. Target where it is busy from the start: 0.60.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import StepDone, read_events

SECONDS = 20
# Of a training during which the process begins, for this long; and the end that is looked at.
LONG_SECONDS, BEGINS_AFTER, LAST_SECONDS = 60, 20, 10
TARGET = 0.60
BUSY = [sys.executable, "-c", "while True: pass"]


def start(home: Path, name: str, seconds: int) -> subprocess.Popen[bytes]:
    """Start a training."""
    command = [sys.executable, "-m", "vixtui", "train", "shapes", "--time", f"{seconds}s"]
    command += ["--preset", "hybrid-vit:tiny", "--name", name]
    return subprocess.Popen(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def finish(training: subprocess.Popen[bytes]) -> None:
    """Wait for a training.

    Raises:
        subprocess.CalledProcessError: when it failed.
    """
    if code := training.wait():
        raise subprocess.CalledProcessError(code, training.args)


def images_per_second(home: Path, name: str, last_seconds: float = float("inf")) -> float:
    """Return the mean speed of a training, its warm-up left out, or of its last seconds."""
    events = read_events(RunDirectory(home / "runs" / name).events_path)
    steps = [event for event in events if isinstance(event, StepDone)][5:]
    steps = [step for step in steps if step.t > steps[-1].t - last_seconds]
    return 64 * (steps[-1].step - steps[0].step) / (steps[-1].t - steps[0].t)


@contextmanager
def busy() -> Iterator[None]:
    """Run the busy process meanwhile."""
    with subprocess.Popen(BUSY) as process:
        try:
            yield
        finally:
            process.kill()


def rows() -> list[tuple[str, str, str]]:
    """Return (what, measured, target)."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        for turn in (1, 2):
            finish(start(home, f"quiet-{turn}", SECONDS))
            quiet = images_per_second(home, f"quiet-{turn}")
            with busy():
                finish(start(home, f"busy-{turn}", SECONDS))
            beside = images_per_second(home, f"busy-{turn}")
            training = start(home, f"later-{turn}", LONG_SECONDS)
            time.sleep(BEGINS_AFTER)
            with busy():
                finish(training)
            later = images_per_second(home, f"later-{turn}", LAST_SECONDS)
            for what, speed, target in (
                ("busy", beside, f"{TARGET:.2f}"),
                ("busy later", later, ""),
            ):
                measured = f"{speed / quiet:.2f} ({speed:.0f} / {quiet:.0f} images/s)"
                table.append((f"{what} / quiet speed, turn {turn}", measured, target))
    return table


if __name__ == "__main__":
    for row in rows():
        print("{:32} {:>34} {:>10}".format(*row))
