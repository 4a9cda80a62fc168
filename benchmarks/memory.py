"""Predicted memory beside what training really asks for, in one run of some minutes.

    python benchmarks/memory.py [--configurations 200] [--traces 60] [--part figures]

Needs no GPU: the engine's own steps run on torch's CUDA allocator over the no-op CUDA libraries of
the tests, which want Linux, gcc and the CUDA build of torch. Everything about GPUs is predicted;
checked against torch's CUDA allocator without a GPU. Writes ``results/memory.md``.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "memory"))

import allocator
import budget_use
import memory_cpu
import noop_cuda
from table import Row, publish
from training_cases import (
    Memory,
    execution_of,
    model_of,
    predicted_twice,
    real,
    sample,
    trained,
)

from vixtui.hardware.host import usable_cores
from vixtui.memory.allocator import Segments
from vixtui.memory.cost import step_cost
from vixtui.memory.figures import read_figures
from vixtui.memory.trace import trace_config

RESULTS = Path(__file__).parent / "results" / "memory.md"
MARGIN = 1.03
RECOMMEND_RUNS = 7
PARTS = ("predictions", "trainings", "figures", "rest")


def rows(configurations: int, traces: int, parts: Sequence[str]) -> Iterator[Row]:
    """Yield (what, measured, target)."""
    cases = sample(configurations)
    with tempfile.TemporaryDirectory() as folder:
        cuda = noop_cuda.build(Path(folder))
        if {"predictions", "trainings", "figures"} & set(parts):
            yield from gpu_rows(cuda, cases, parts)
        if "figures" in parts:
            yield from trace_rows(cases)
        if "rest" in parts:
            for segments in Segments:
                yield from allocator.trace_rows(cuda, segments, traces, 1500)
            yield from budget_use.plan_rows()
            yield recommend_row()
            yield from cpu_rows()


def gpu_rows(
    cuda: noop_cuda.NoopCuda, cases: Sequence[dict[str, Any]], parts: Sequence[str]
) -> Iterator[Row]:
    """Yield what real trainings, processes of their own, and shipped figures say of predictions."""
    with ThreadPoolExecutor(usable_cores()) as beside:
        truth = beside.submit(lambda: list(real(cuda, cases))) if "predictions" in parts else None
        started = time.thread_time()
        both = [predicted_twice(case) for case in cases]
        seconds = (time.thread_time() - started) / len(cases)
        found = [memory for memory, _ in both]
        ran = [
            (segments, beside.submit(trained, cuda, cases, limits(found, segments), segments))
            for segments in Segments
            if "trainings" in parts
        ]
        if "figures" in parts:
            yield from shipped_rows(cases, both)
        if truth is not None:
            yield from prediction_rows(found, truth.result())
            yield "live trace and three searches, CPU time", f"mean {seconds:.2f} s", ""
        for segments, trainings in ran:
            what = f"{segments} segments, trained at prediction × {MARGIN}"
            yield what, f"{sum(trainings.result())} of {len(cases)}", "all"


def limits(found: Sequence[Memory], segments: Segments) -> list[int]:
    """Return the limits under which trainings should succeed."""
    return [int(MARGIN * getattr(one, segments)) for one in found]


def cpu_rows() -> Iterator[Row]:
    """Yield how far the resident memory of engines on the processor is off."""
    measured = list(memory_cpu.measured_rows(memory_cpu.CASES[::3]))
    yield "CPU engines, whole resident memory", spread([row.whole_error for row in measured]), ""
    growth = [row.growth_error for row in measured]
    yield "CPU engines, growth of resident memory", spread(growth), "worst 8 %"
    profiled = [error for _, error in memory_cpu.profiled_errors()]
    yield (
        f"CPU, profiler peak, {len(profiled)} steps of every preset",
        spread(profiled),
        "worst 5 %",
    )


def prediction_rows(found: Sequence[Memory], truth: Sequence[Memory]) -> Iterator[Row]:
    """Yield how far predictions are off."""
    for field, what, target in (
        ("peak", "peak allocated", "median 1 %, worst 3 %"),
        ("native", "smallest budget, native segments", "median 2 %, worst 5 %"),
        ("expandable", "smallest budget, expandable segments", "median 2 %, worst 5 %"),
    ):
        errors = [
            getattr(one, field) / getattr(other, field) - 1
            for one, other in zip(found, truth, strict=True)
        ]
        yield what, spread(errors), target


def spread(errors: Sequence[float]) -> str:
    """Return median and worst of absolute errors, and the signed ends."""
    sizes = list(map(abs, errors))
    return (
        f"median {statistics.median(sizes):.2%}, worst {max(sizes):.1%} "
        f"({min(errors):+.1%} … {max(errors):+.1%})"
    )


def shipped_rows(
    cases: Sequence[dict[str, Any]], found: Sequence[tuple[Memory, int]]
) -> Iterator[Row]:
    """Yield how far shipped figures are from live traces, at traced sizes and between."""
    draw = random.Random(0)
    errors: dict[str, list[tuple[float, float]]] = {
        "at traced sizes": [], "between": [], "random sides": []
    }  # fmt: skip
    for case, live in zip(cases, found, strict=True):
        *both, traced = shipped_errors(case, *live)
        errors["at traced sizes" if traced else "between"].append((both[0], both[1]))
        if case["preset"].endswith((":tiny", ":small")):
            other = case | {"side": draw.randint(20, 300)}
            *both, traced = shipped_errors(other, *predicted_twice(other))
            if not traced:
                errors["random sides"].append((both[0], both[1]))
    for place, what in enumerate(("peaks", "smallest budgets, native,")):
        for where, target in zip(errors, ("worst 1 %", "worst 3 %", "worst 3 %"), strict=True):
            if errors[where]:
                yield (
                    f"shipped {what} and live traces, {where}",
                    spread([both[place] for both in errors[where]]),
                    "" if place else target,
                )


def shipped_errors(case: dict[str, Any], live: Memory, peak: int) -> tuple[float, float, bool]:
    """Return the errors of peak and smallest budget, and whether pictures of the size were traced.

    A size is the patch and whole patches.
    """
    config, execution = model_of(case), execution_of(case)
    figures, micro, batch = (
        read_figures().presets[case["preset"]],
        case["micro_batch"],
        case["batch"],
    )
    cost = step_cost(figures, config, execution, micro_batch=micro, batch_size=batch)
    size = config.patch_size, config.grid[0] * config.grid[1]
    whole = case["side"] == config.patch_size * config.grid[0]
    traced = whole and size in {(known.patch_size, known.tokens) for known in figures.sizes}
    return cost.peak_bytes / peak - 1, cost.budget_bytes / live.native - 1, traced


def trace_rows(cases: Sequence[dict[str, Any]]) -> Iterator[Row]:
    """Yield how long a trace takes, once torch is loaded."""
    taken = []
    for case in cases[:20]:
        started = time.thread_time()
        trace_config(model_of(case), execution_of(case))
        taken.append(time.thread_time() - started)
    yield "live trace, warm, CPU time", f"worst of 20: {max(taken):.2f} s", "2 s"


def recommend_row() -> Row:
    """Return how long `vixtui recommend` takes from a cold start."""
    command = [sys.executable, "-m", "vixtui", "recommend", "--budget", "4GB", "--json"]
    taken, of_children = [], resource.getrusage(resource.RUSAGE_CHILDREN)
    for _ in range(RECOMMEND_RUNS):
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        taken.append(time.perf_counter() - started)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    computed = after.ru_utime + after.ru_stime - of_children.ru_utime - of_children.ru_stime
    measured = (
        f"median {statistics.median(taken):.2f} s, best {min(taken):.2f} s, "
        f"CPU {computed / RECOMMEND_RUNS:.2f} s"
    )
    return "vixtui recommend, cold", measured, "0.40 s"


def main() -> None:
    """Print the table and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configurations", type=int, default=200)
    parser.add_argument("--traces", type=int, default=60, help="random traces for the allocator")
    parser.add_argument("--part", choices=PARTS, help="only print, where others want the machine")
    options = parser.parse_args()
    if reason := noop_cuda.missing():
        sys.exit(reason)
    about = (
        f"{options.configurations} trainings of all presets: fp32 and bf16, every level of "
        "recomputing, batches up to 128,\na third of them in two micro-batches; three updates and "
        "a validation of the engine's own.\nPredicted; checked against torch's CUDA allocator "
        "without a GPU."
    )
    parts = PARTS if options.part is None else (options.part,)
    found = rows(options.configurations, options.traces, parts)
    publish(found, (50, 52, 22), None if options.part else RESULTS, about)


if __name__ == "__main__":
    main()
