"""The simulated allocator against torch's own, and the smallest budgets that it finds, in one run.

    python benchmarks/allocator.py [--traces 200] [--length 1500]

Needs no GPU: the real allocator runs on the no-op CUDA libraries of the tests, which want Linux,
gcc and the CUDA build of torch. Prints one table and writes it to ``results/allocator.md``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "memory"))

import noop_cuda
from allocator_cases import Figures, decode, random_cases, real_figures, simulated_figures
from table import Row, publish

from vixtui.memory.allocator import SEGMENT_STEP_BYTES, Segments, smallest_budget
from vixtui.presets import variants

RESULTS = Path(__file__).parent / "results" / "allocator.md"
BATCHES = (8, 64)
LIMITS = ("none", "too low", "smallest budget")
TARGETS = {Segments.NATIVE: "0 differ", Segments.EXPANDABLE: "≤ 1 %"}


def trace_rows(
    cuda: noop_cuda.NoopCuda, segments: Segments, traces: int, length: int
) -> Iterator[Row]:
    """Yield how many random traces differ in any figure, and by how much reserved bytes do."""
    cases = [case for seed in range(traces) for case in random_cases(seed, length, segments)]
    pairs = list(
        zip(simulated_figures(cases, segments), real_figures(cuda, cases, segments), strict=True)
    )
    for place, limit in enumerate(LIMITS):
        of_limit = pairs[place :: len(LIMITS)]
        differing = sum(simulated != real for simulated, real in of_limit)
        failed = sum(real[2] is not None for _, real in of_limit)
        worst = max(reserved_error(simulated, real) for simulated, real in of_limit)
        yield (
            f"{segments} traces, limit: {limit}",
            f"{differing} of {len(of_limit)} differ, worst {worst:.2%}, {failed} ran out",
            TARGETS[segments],
        )


def reserved_error(simulated: Figures, real: Figures) -> float:
    """Return how far the simulated peak of reserved bytes is off, as a share."""
    return abs(simulated[1] - real[1]) / max(real[1], 1)


def budget_rows(cuda: noop_cuda.NoopCuda, segments: Segments) -> Iterator[Row]:
    """Yield how many trainings succeed at the smallest budget, and at less."""
    program, expandable = noop_cuda.HERE / "train.py", segments is Segments.EXPANDABLE
    trainings = [
        {"preset": f"{variant}:tiny", "side": 32, "batch": batch, "precision": precision}
        for variant in variants()
        for batch in BATCHES
        for precision in ("fp32", "bf16")
    ]
    free_runs = cuda.run(
        program, [case | {"limit": None} for case in trainings], expandable_segments=expandable
    )
    budgets, seconds = [], []
    for run in free_runs:
        events = decode(run["events"])
        started = time.perf_counter()
        budgets.append(smallest_budget(events, segments=segments))
        seconds.append(time.perf_counter() - started)
    limits = (
        ("× 0.97", [int(0.97 * budget) for budget in budgets], "0 train"),
        ("− 2 MiB", [budget - SEGMENT_STEP_BYTES for budget in budgets], "0 train"),
        ("× 1.00", budgets, f"{len(trainings)} train"),
    )
    for name, values, target in limits:
        cases = [case | {"limit": limit} for case, limit in zip(trainings, values, strict=True)]
        runs = cuda.run(program, cases, expandable_segments=expandable)
        trained = sum(run["trained"] for run in runs)
        yield (
            f"{segments} trainings, smallest budget {name}",
            f"{trained} of {len(runs)} train",
            target,
        )
    over = statistics.median(
        budget / run["peak_allocated"] - 1 for budget, run in zip(budgets, free_runs, strict=True)
    )
    beyond = max(run["peak_reserved"] - budget for budget, run in zip(budgets, runs, strict=True))
    beyond_mib = max(beyond, 0) >> 20
    search = statistics.median(seconds)
    yield f"{segments} trainings, budget over peak allocated", f"median {over:.1%}", ""
    yield f"{segments} trainings, reserved beyond the limit", f"worst {beyond_mib} MiB", ""
    yield f"{segments} trainings, time of a search", f"median {search:.3f} s", ""


def rows(traces: int, length: int) -> Iterator[Row]:
    """Yield (what, measured, target) for both kinds of segments."""
    with tempfile.TemporaryDirectory() as folder:
        cuda = noop_cuda.build(Path(folder))
        for segments in Segments:
            yield from trace_rows(cuda, segments, traces, length)
        for segments in Segments:
            yield from budget_rows(cuda, segments)


def main() -> None:
    """Print the table and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--traces", type=int, default=200)
    parser.add_argument("--length", type=int, default=1500, help="events of a trace")
    options = parser.parse_args()
    if reason := noop_cuda.missing():
        sys.exit(reason)
    about = (
        f"Random traces: {options.length} events each, alike in peak allocated, peak reserved and "
        "the event that ran out.\nTrainings: three steps of every tiny preset, 32×32 pictures, "
        f"batches of {' and '.join(map(str, BATCHES))}, fp32 and bf16,\nwith "
        "`set_per_process_memory_fraction` as the limit. torch's CUDA allocator without a GPU."
    )
    publish(rows(options.traces, options.length), (48, 48, 10), RESULTS, about)


if __name__ == "__main__":
    main()
