"""Some thirty bad situations, what vixtui does in each, and whether that is good enough.

    python benchmarks/reliability.py [--only WORD]

Each is built anew in a temporary folder: four classes of 24 drawn pictures to train on and 8 to
validate, one spoilt thing, the real program for one epoch. The table goes to
benchmarks/results/reliability.md. The exit code is 1 when one falls short of its target.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

# These three fill SITUATIONS.
import situations_files  # noqa: F401
import situations_folders  # noqa: F401
import situations_runs  # noqa: F401
from situations import SITUATIONS, Place, Situation, Verdict, shown

RESULTS = Path(__file__).with_name("results") / "reliability.md"
HEAD = """| situation | what vixtui did | exit | seconds | target | as good |
|---|---|---|---|---|---|
"""


def main() -> int:
    """Print and write one row a situation."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", metavar="WORD", help="situations whose name has it")
    only = parser.parse_args().only
    chosen = [entry for entry in SITUATIONS if only in entry.name]
    os.environ |= {"OMP_NUM_THREADS": "1"}
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        teacher = Place(Path(folder) / "teacher", Path())
        teacher.train(name="model")
        model = teacher.run("model").model_path
        rows = pool.map(lambda entry: judge(entry, Path(folder), model), chosen)
        table = [print_row(*row) for row in rows]
    good = sum(line.endswith("| yes |") for line in table)
    summary = (
        f"{good} of {len(table)} as good as their target, in {time.monotonic() - started:.0f} s"
    )
    print(summary)
    if not only:
        RESULTS.write_text(f"{heading()}\n\n{summary}.\n\n{HEAD}" + "\n".join(table) + "\n")
    return 0 if good == len(table) else 1


def judge(entry: Situation, folder: Path, model: Path) -> tuple[Situation, Verdict, float]:
    """Bring a situation about; what is written into the folder of pictures counts against it."""
    place = Place(folder / str(SITUATIONS.index(entry)), model)
    try:
        verdict = entry.act(place)
        said = verdict.said.replace(str(folder), "…")
        verdict = replace(verdict, said=said, good=verdict.good and place.left_alone)
    except Exception as error:  # the table is to be complete
        verdict = Verdict(f"the benchmark failed: {error!r}", -1, good=False)
    return entry, verdict, place.seconds


def print_row(entry: Situation, verdict: Verdict, seconds: float) -> str:
    """Print a row of the table and return it."""
    cells = (
        entry.name,
        f"`{shown(verdict.said)}`" if verdict.said else "said nothing of it",
        str(verdict.code),
        f"{seconds:.0f}",
        entry.target,
        "yes" if verdict.good else "**no**",
    )
    row = f"| {' | '.join(cells)} |"
    print(row, flush=True)
    return row


def heading() -> str:
    """Return the title, and what was measured where."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("vixtui", "torch", "pillow"))
    return (
        "# What vixtui does in bad situations\n\n"
        "Written by `make bench-reliability`. Every row is a run of the real program: 4 classes"
        " with 24 drawn pictures to train on and 8 to validate, `vit:tiny` at 32 pixels, one epoch,"
        f" one thread.\n\n{platform.platform()}, Python {platform.python_version()}, {versions}."
    )


if __name__ == "__main__":
    sys.exit(main())
