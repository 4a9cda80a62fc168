"""Predicted memory beside what a real GPU allocates; for whoever has one.

    python benchmarks/gpu_matrix.py [--configurations 200]

Runs the trainings of ``benchmarks/memory.py`` on the first GPU and writes ``results/gpu.md``.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.util
import statistics
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "memory"))

import noop_cuda
from training_cases import predicted, sample

RESULTS = Path(__file__).parent / "results" / "gpu.md"


def main() -> None:
    """Train, compare and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=200)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("error: no GPU that torch can use: benchmarks/memory.py needs none")
    spec = importlib.util.spec_from_file_location("train", noop_cuda.HERE / "train.py")
    assert spec is not None
    assert spec.loader is not None
    train = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(train)
    lines, errors = [torch.cuda.get_device_name(), ""], []
    for case in sample(options.configurations):
        run = train.run(case)
        errors.append(predicted(case).peak / run["peak_allocated"] - 1)
        name = " ".join(str(value) for value in case.values() if value is not None)
        lines.append(f"{name:60} {run['peak_allocated'] >> 20:8} MiB {errors[-1]:+8.2%}")
        print(lines[-1], flush=True)
    sizes = list(map(abs, errors))
    lines += ["", f"peak allocated: median {statistics.median(sizes):.2%}, worst {max(sizes):.2%}"]
    print(lines[-1])
    RESULTS.write_text(
        f"# benchmarks/gpu_matrix.py, {datetime.date.today()}\n\n```\n"
        + "\n".join(lines)
        + "\n```\n"
    )


if __name__ == "__main__":
    main()
