"""What a bad situation is made of: a folder of pictures, a home, the real program, a verdict."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Event, read_events
from vixtui.text import safe

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "cli"))
from picture_corpus import ODD, UNUSABLE, draw, encoded
from pseudo_terminal import run_on_a_terminal

__all__ = ["ODD", "UNUSABLE", "Place", "Verdict", "encoded", "situation"]
CLASSES = ("ant", "bee", "cat", "dog")
SIZES = {"train": 24, "val": 8}
SECONDS_AT_MOST = 120
PROGRAM = (sys.executable, "-m", "vixtui")
QUICK = ("--preset", "vit:tiny", "--image-size", "32", "--threads", "1", "--precision", "fp32")


@dataclass(frozen=True)
class Done:
    """One command that ended: exit code, its lines on stderr, its stdout, what took how long."""

    code: int
    err: list[str]
    out: bytes
    seconds: float

    def line(self, *words: str) -> str:
        """Return the first line on stderr that has all words, or nothing."""
        return next((line for line in self.err if all(word in line for word in words)), "")

    @property
    def is_one_line(self) -> bool:
        """Whether stderr is a single line that says what is wrong."""
        return len(self.err) == 1 and self.err[0].startswith("error: ")


@dataclass(frozen=True)
class Verdict:
    """What the program did, and whether that is as good as the target."""

    said: str
    code: int
    good: bool


@dataclass(frozen=True)
class Situation:
    """A row of the table; `act` brings it about and judges."""

    name: str
    target: str
    act: Callable[[Place], Verdict]


SITUATIONS: list[Situation] = []


def situation(name: str, target: str) -> Callable[[Callable[[Place], Verdict]], None]:
    """Register a function as a row of the table."""
    return lambda act: SITUATIONS.append(Situation(name, target, act))


class Place:
    """A temporary folder with pictures and a home, and vixtui to run in it.

    Args:
        root: an empty folder of this situation alone.
        model: a weights file of the four classes, to predict with.
    """

    def __init__(self, root: Path, model: Path) -> None:
        self.root, self.model = root, model
        self.pictures, self.home = root / "pictures", root / "home"
        self.seconds = 0.0
        self.left_alone = True
        draw_pictures(self.pictures)

    def add(self, name: str, content: bytes) -> Path:
        """Write a file into the folder of pictures."""
        path = self.pictures / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def train(self, *options: str, name: str = "run", epochs: int = 1) -> Done:
        """Train on the pictures."""
        return self.vixtui(*self.training(*options, name=name, epochs=epochs))

    def training(self, *options: str, name: str = "run", epochs: int = 1) -> tuple[str, ...]:
        """Return the command that trains on the pictures."""
        limit = ("--epochs", str(epochs), "--name", name)
        return ("train", str(self.pictures), *QUICK, *limit, *options)

    def check(self, *options: str) -> Done:
        """Look the pictures through."""
        return self.vixtui("check", str(self.pictures), *options)

    def predict(self, *names: Path) -> Done:
        """Predict pictures with the given model, answers as JSON."""
        model = ("--model", str(self.model), "--json")
        return self.vixtui("predict", *model, *(str(name) for name in names))

    def run(self, name: str = "run") -> RunDirectory:
        """Return a run of this home."""
        return RunDirectory(self.home / "runs" / name)

    def event(self, kind: type[Event], name: str = "run") -> Any:
        """Return the last event of a kind in a run, or None."""
        found = [event for event in read_events(self.run(name).events_path) if type(event) is kind]
        return found[-1] if found else None

    @cached_property
    def environment(self) -> dict[str, str]:
        """Variables of the program."""
        return os.environ | {"VIXTUI_HOME": str(self.home), "COLUMNS": "200"}

    def start(self, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """Start the program; its output goes into pipes."""
        return subprocess.Popen(
            [*before, *PROGRAM, *arguments],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def finish(self, process: subprocess.Popen[bytes], started: float) -> Done:
        """Wait for a started program; one that hangs is ended and has code -9."""
        try:
            out, err = process.communicate(timeout=SECONDS_AT_MOST)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
        seconds = time.monotonic() - started
        self.seconds += seconds
        return Done(process.returncode, err.decode(errors="replace").splitlines(), out, seconds)

    def vixtui(self, *arguments: str, before: tuple[str, ...] = ()) -> Done:
        """Run the program to its end, and note whether it left the pictures alone."""
        started, pictures = time.monotonic(), self.snapshot()
        done = self.finish(self.start(*arguments, before=before), started)
        self.left_alone &= self.snapshot() == pictures
        return done

    def on_a_terminal(self, *arguments: str) -> tuple[int, bytes]:
        """Run the program on a terminal; return its code and the bytes it sends there."""
        started = time.monotonic()
        ended = run_on_a_terminal([*PROGRAM, *arguments], self.environment)
        self.seconds += time.monotonic() - started
        return ended

    def wait_for(self, kind: type[Event], name: str = "run") -> Any:
        """Return an event of a starting run as soon as it is there, or None."""
        until = time.monotonic() + SECONDS_AT_MOST
        while time.monotonic() < until:
            with suppress(OSError):
                if (found := self.event(kind, name)) is not None:
                    return found
            time.sleep(0.02)
        return None

    def snapshot(self) -> set[tuple[str, int, int]]:
        """Return every entry of the folder of pictures with its size and time of change."""
        return {
            (os.path.join(folder, name), status.st_mtime_ns, status.st_size)
            for folder, folders, files in os.walk(self.pictures)
            for name in (*folders, *files)
            for status in [os.lstat(os.path.join(folder, name))]
        }


def draw_pictures(root: Path) -> None:
    """Draw 24 pictures of each class to train on and 8 to validate."""
    for shade, (part, count) in enumerate(SIZES.items()):
        for colour, name in enumerate(CLASSES):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                image = draw(10 * number, 5 * shade + 64 * colour, 128, side=32)
                image.save(root / part / name / f"{number}.png")


@contextmanager
def small_disk(path: Path, megabytes: int) -> Iterator[None]:
    """Make `path` a disk of its own of so many megabytes; needs root."""
    path.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(path)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def shown(line: str) -> str:
    """Return a line as a cell of a Markdown table."""
    return safe(line, 200).replace("|", "\\|")


def split_of(run: RunDirectory) -> dict[str, list[tuple[str, int]]]:
    """Return (picture, label) pairs by part."""
    return json.loads(run.split_path.read_bytes())
