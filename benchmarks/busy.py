"""Training beside a program that uses one core all the time: how much of the speed is kept.

Trains the same run quiet, then beside a busy process, one after the other, twice; prints the ratio
of images a second. Target: 0.60.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import StepDone, read_events

SECONDS = 20
TARGET = 0.60
BUSY = [sys.executable, "-c", "while True: pass"]


def images_per_second(home: Path, name: str, *options: str) -> float:
    """Return the mean speed of one training, its warm-up left out."""
    command = [sys.executable, "-m", "vixtui", "train", "shapes", "--time", f"{SECONDS}s"]
    command += ["--preset", "hybrid-vit:tiny", "--name", name, *options]
    subprocess.run(
        command,
        env=os.environ | {"VIXTUI_HOME": str(home)},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    events = read_events(RunDirectory(home / "runs" / name).events_path)
    steps = [event for event in events if isinstance(event, StepDone)][5:]
    updates = steps[-1].step - steps[0].step
    return 64 * updates / (steps[-1].t - steps[0].t)


def rows() -> list[tuple[str, str, str]]:
    """Return (what, measured, target)."""
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in (1, 2):
            quiet = images_per_second(Path(folder), f"quiet-{turn}")
            with subprocess.Popen(BUSY) as busy:
                try:
                    beside = images_per_second(Path(folder), f"busy-{turn}")
                finally:
                    busy.kill()
            table.append(
                (
                    f"busy / quiet speed, turn {turn}",
                    f"{beside / quiet:.2f} ({beside:.0f} / {quiet:.0f} images/s)",
                    f"{TARGET:.2f}",
                )
            )
    return table


if __name__ == "__main__":
    for row in rows():
        print("{:32} {:>34} {:>10}".format(*row))
