"""The whole way in a minute: probe, recommend, train on digits, evaluate, predict a picture.

What `make demo` runs. Every command is shown before it runs, so that each can be repeated by hand.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STEPS = (
    ("What has this machine?", ["probe"]),
    ("What fits into 2 GB?", ["recommend", "--budget", "2GB", "--data", "digits"]),
    (
        "Train the first of them on the built-in digits.",
        ["train", "digits", "--budget", "2GB", "--time", "40s"],
    ),
    ("How good is it on pictures it has never seen?", ["evaluate"]),
    ("What is on this picture?", ["predict", "assets/samples/digit-3.png"]),
)
NEXT = """
Next:
  vixtui                          the same with screens and live charts
  vixtui train ~/pictures         your own pictures, one folder a class
  vixtui recommend --budget 4GB   what fits into your memory
  vixtui train --help             every option
(with the virtual environment active: source .venv/bin/activate)"""


def main() -> int:
    """Run every step; return the first exit code that is not 0."""
    for title, arguments in STEPS:
        print(f"\n── {title}\n$ vixtui {' '.join(arguments)}", flush=True)
        command = [sys.executable, "-m", "vixtui", *arguments]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        if code:
            return code
    print(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
