"""Every benchmark that needs no data, in one run, with the machine it ran on: `make bench`.

    python benchmarks/run.py [--data CIFAR10_FOLDER]

With ``--data`` the recommended model's accuracy on 2,000 CIFAR-10 pictures is measured too.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import accuracy
import busy
import startup

ACCURACY_TARGET = "48 %"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path)
    options = parser.parse_args()
    versions = ", ".join(f"{name} {version(name)}" for name in ("vixtui", "torch", "textual"))
    print(f"{platform.platform()}, Python {platform.python_version()}, {versions}")
    print(f"\n{'what':32} {'measured':>34} {'target':>10}")
    for row in startup.rows() + busy.rows():
        print("{:32} {:>34} {:>10}".format(*row), flush=True)
    if options.data:
        with tempfile.TemporaryDirectory() as folder:
            subset = Path(folder) / "pictures"
            accuracy.draw_subset(options.data, subset, seed=0)
            result = accuracy.train(subset, Path(folder) / "home", None, seed=0)
        measured = f"{100 * float(result['top1']):.1f} % of {result['images']:,}"
        print(
            "{:32} {:>34} {:>10}".format("top-1, 2,000 pictures, 100 s", measured, ACCURACY_TARGET)
        )


if __name__ == "__main__":
    main()
