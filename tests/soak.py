"""What takes too long for every day: deaths of runs, damaged inputs, inputs that reach new code.

    python tests/soak.py

Says of each what was done and what was found; whatever failed is shown in full.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

PYTEST = ("-m", "pytest", "-v", "-n", "2", "--hypothesis-profile=soak")
DEATHS_A_RUN = 20
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
# Tests of readers that take any number of examples.
READERS = (
    "tests/runs", "tests/engine/test_state.py", "tests/test_presets.py", "tests/test_units.py",
    "tests/test_text.py", "tests/test_errors.py",
)  # fmt: skip


@dataclass(frozen=True)
class Part:
    """One kind of trouble.

    Args:
        title: for people.
        arguments: of Python.
        done: says from what was printed how much was done.
        in_memory: whether its files may lie in memory: a disk is waited for whenever one is
            written over another, which is done ten thousand times.
    """

    title: str
    arguments: tuple[str, ...]
    done: Callable[[str], str]
    in_memory: bool = True


def deaths(printed: str) -> str:
    runs = len(re.findall(r"PASSED .*test_twenty_deaths", printed))
    return f"{runs} runs, each with {DEATHS_A_RUN} deaths: the same weights, bit for bit"


def damaged_inputs(printed: str) -> str:
    examples = [int(found) for found in re.findall(r"(\d+) passing", printed)]
    tests = len(set(re.findall(r"^(tests/\S+::\S+):$", printed, re.MULTILINE)))
    return f"{sum(examples):,} inputs for {tests} tests"


def inputs_by_coverage(printed: str) -> str:
    readers = re.findall(r"^\S+: [\d,]+ inputs$", printed, re.MULTILINE)
    return f"{len(readers)} readers: " + ", ".join(readers)


PARTS = (
    Part("deaths", (*PYTEST, "tests/engine/test_survival.py"), deaths, in_memory=False),
    Part(
        "damaged inputs",
        (*PYTEST, "-m", "hypothesis", "--hypothesis-show-statistics", *READERS),
        damaged_inputs,
    ),
    Part("inputs by coverage", ("tests/fuzz/readers.py",), inputs_by_coverage),
)


def main() -> int:
    """Go through all parts; return 1 if anything was found."""
    found = False
    for part in PARTS:
        print(f"{part.title}: …", flush=True)
        started = time.monotonic()
        with tempfile.TemporaryDirectory(dir=MEMORY if part.in_memory else None) as folder:
            done = subprocess.run(
                [sys.executable, *part.arguments],
                env=os.environ | {"TMPDIR": folder},
                capture_output=True,
                text=True,
                errors="replace",
            )
        minutes = (time.monotonic() - started) / 60
        if done.returncode:
            found = True
            print(done.stdout + done.stderr)
        verdict = "FAILED, see above" if done.returncode else "nothing found"
        print(f"{part.title}: {part.done(done.stdout)}; {verdict}; {minutes:.0f} min", flush=True)
    return int(found)


if __name__ == "__main__":
    sys.exit(main())
