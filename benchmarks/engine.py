"""The engine beside others, and beside its targets.

    python benchmarks/engine.py DIR [--only PART …]

DIR holds CIFAR-10 as train/CLASS/*.jpg and test/CLASS/*.jpg. The whole, `make bench-engine`, takes
half an hour and also goes to benchmarks/results/engine.md. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import accuracy_peers
import engine_throughput
import input_share
import watching

RESULTS = Path(__file__).parent / "results" / "engine.md"
PACKAGES = ("vixtui", "torch", "timm", "vision-xformer")
PARTS: dict[str, tuple[str, Callable[[Path], Iterator[str]]]] = {
    "throughput": (
        "Images a second on all cores, decoding to step, beside the official models and loop",
        engine_throughput.lines,
    ),
    "input": (
        "Share of a step that its pictures take, from the cache to the model, on all cores",
        lambda source: input_share.lines(),
    ),
    "watching": ("What events and open screens cost", lambda source: watching.lines()),
    "accuracy": (
        "Top-1 on all test pictures after 100 s on one thread, 200 training pictures a class",
        accuracy_peers.lines,
    ),
}


def main() -> int:
    """Print, and write the whole; return 1 when a part could not be measured."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    options = parser.parse_args()
    if not (options.data / "train").is_dir() or not (options.data / "test").is_dir():
        parser.error(f"no train and test folder in {options.data}")
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line.rstrip())
        print(line.rstrip(), flush=True)

    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    tell(f"{datetime.date.today()}, {platform.platform()}, {os.cpu_count()} cores")
    tell(f"Python {platform.python_version()}, {versions}")
    failed = False
    for part in options.only:
        title, lines = PARTS[part]
        tell("")
        tell(title)
        try:
            for line in lines(options.data):
                tell(f"  {line}")
        except (subprocess.CalledProcessError, SystemExit) as error:  # the other parts still count
            failed = True
            tell(f"  FAILED: {error}")
    if options.only == list(PARTS):
        text = "\n".join(told)
        RESULTS.write_text(f"# make bench-engine\n\n```\n{text}\n```\n", encoding="utf-8")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
