"""Traces every preset in every way to compute it, and notes what a step takes.

``python -m vixtui.memory.generate`` tells whether ``figures.tsv`` is up to date, with ``--write``
makes it anew: 40 minutes on two cores; after presets of that name, their part of it. What is done
is kept in ``build/figures``, so that it can be stopped and started again.
"""

from __future__ import annotations

import gc
import hashlib
import shutil
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

import torch

from vixtui.errors import ExitCode
from vixtui.hardware.host import usable_cores
from vixtui.memory.allocator import BLOCK_BYTES, smallest_budget
from vixtui.memory.execution import Backend, Execution, StepPrecision
from vixtui.memory.figures import (
    BASIS_CHANNELS,
    BASIS_CLASSES,
    BATCHES,
    BUDGET_BATCHES,
    PATH,
    SCHEMA_VERSION,
    UNIT_BYTES,
    Peaks,
    PresetFigures,
    StepFigures,
    curve,
    encode_head,
    encode_preset,
    model_options,
    read_figures,
    stale_presets,
)
from vixtui.memory.grid import LARGEST_SIDE, TracedSize, traced_sizes
from vixtui.memory.heap import heap_bytes
from vixtui.memory.tape import forget_operations
from vixtui.memory.trace import count_parameters, trace_config
from vixtui.models.config import ModelConfig, Recompute
from vixtui.presets import SIZES, Preset, all_presets, preset

_PARTS = Path("build") / "figures"
_BACKENDS: tuple[Backend, ...] = ("cuda", "cpu")
_PRECISIONS: tuple[StepPrecision, ...] = ("fp32", "bf16")
# Budgets may be so much larger than need be, which saves a third of the time.
_TOLERANCE = 0.02


def executions(config: ModelConfig, backend: Backend) -> list[Execution]:
    """Return all ways to compute a model on a backend that differ."""
    fast: tuple[Recompute, ...] = ("fast",) if config.token_mixer == "performer" else ()
    levels: tuple[Recompute, ...] = (*fast, "none", "mlp", "block")
    return [Execution(backend, kind, level) for kind in _PRECISIONS for level in levels]


def model_figures(
    config: ModelConfig, backend: Backend, *, budgets: bool = True
) -> dict[Execution, StepFigures]:
    """Trace a model in all ways to compute it, and search for smallest budgets."""
    return {way: step_figures(config, way, budgets=budgets) for way in executions(config, backend)}


def grid_model(traced: Preset, size: TracedSize) -> ModelConfig:
    """Return the model for pictures of so many whole patches."""
    aimed, side = size.patch * traced.tokens_per_side, size.patch * size.tokens_per_side
    config = traced.model_config(
        image_height=aimed,
        image_width=aimed,
        in_channels=BASIS_CHANNELS,
        num_classes=BASIS_CLASSES,
    )
    return replace(config, image_height=side, image_width=side)


def preset_figures(traced: Preset, backend: Backend) -> PresetFigures:
    """Trace a preset over its grid of patch sizes and token counts."""
    models = [
        model_figures(grid_model(traced, size), backend, budgets=size.budgets)
        for size in traced_sizes(traced)
    ]
    return PresetFigures.traced(
        options=model_options(traced),
        largest_side=LARGEST_SIDE,
        executions={way: tuple(model[way] for model in models) for way in models[0]},
    )


def step_figures(config: ModelConfig, execution: Execution, *, budgets: bool = True) -> StepFigures:
    """Return what a step of `config` takes, from one trace."""
    trace = trace_config(config, execution)
    work, update = trace.work, trace.update_work
    on_gpu = execution.backend == "cuda"
    whole, part = (trace.script(accumulate=accumulate) for accumulate in (False, True))
    peaks, part_peaks = (
        script.peaks_apart(BATCHES, block=BLOCK_BYTES if on_gpu else 1) for script in (whole, part)
    )
    smallest = partial(smallest_budget, tolerance=_TOLERANCE) if on_gpu else heap_bytes
    extra = [
        smallest(whole.events(batch)) - max(peaks[BATCHES.index(batch)])
        for batch in BUDGET_BATCHES
        if budgets
    ]
    return StepFigures(
        patch_size=config.patch_size,
        tokens=config.grid[0] * config.grid[1],
        parameters=trace.parameters,
        grey_parameters=_grey_parameters(config),
        flops_per_image=work.flops.each,
        convolution_flops_per_image=work.convolution_flops.each,
        attention_flops_per_image=work.attention_flops.each,
        moved_line=(work.moved_bytes.fixed, work.moved_bytes.each),
        update_moved_bytes=update.moved_bytes.fixed,
        function_bytes_per_image=work.function_bytes.each,
        kernels=work.kernels,
        update_kernels=update.kernels,
        peaks=_curves(peaks),
        part_peaks=_curves(part_peaks),
        extra=tuple(-(-size // UNIT_BYTES) for size in extra),
    )


@lru_cache(maxsize=1)
def _grey_parameters(config: ModelConfig) -> int:
    return count_parameters(replace(config, in_channels=1))


def _curves(sizes: list[tuple[int, int]]) -> Peaks:
    with_tokens, pictures = zip(*sizes, strict=True)
    return curve(with_tokens), curve(pictures)


def sources_digest() -> str:
    """Return the SHA-256 of everything in ``vixtui/models`` that a trace depends on."""
    import vixtui.models

    digest = hashlib.sha256()
    for path in sorted(Path(vixtui.models.__path__[0]).rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def parts_folder(digest: str) -> Path:
    """Return where presets that were traced from sources of a digest wait for the others."""
    return _PARTS / f"{SCHEMA_VERSION}-{digest[:8]}"


def _make_part(task: tuple[str, Backend], folder: Path) -> str:
    name, backend = task
    part = folder / f"{name.replace(':', '-')}-{backend}.tsv"
    if not part.exists():
        torch.set_num_threads(1)
        content = encode_preset(name, preset_figures(preset(name), backend))
        # Without collection of garbage, which after every few operations takes long.
        forget_operations()
        gc.collect()
        unfinished = part.with_suffix(".unfinished")
        unfinished.write_text(content, encoding="utf-8")
        unfinished.replace(part)
    return part.read_text(encoding="utf-8")


def _kept_lines() -> dict[str, str]:
    """Return the lines of each preset in the present file."""
    kept: defaultdict[str, str] = defaultdict(str)
    for line in PATH.read_text(encoding="utf-8").splitlines(keepends=True)[1:]:
        kept[line.partition("\t")[0]] += line
    return kept


def main(arguments: list[str]) -> int:
    """Check ``figures.tsv``, or make it anew with ``--write``; return the exit code."""
    write, names = arguments[:1], arguments[1:] or list(all_presets())
    if write not in ([], ["--write"]) or not set(names) <= all_presets().keys():
        print("usage: python -m vixtui.memory.generate [--write [PRESET…]]", file=sys.stderr)
        return ExitCode.USAGE
    digest = sources_digest()
    try:
        stale = set(stale_presets(read_figures(), digest))
    except ValueError:  # of another schema
        stale = set(all_presets())
    if not write:
        print(f"traced from other sources: {', '.join(sorted(stale))}" if stale else "up to date")
        return ExitCode.BUG if stale else ExitCode.OK
    if not stale <= set(names):
        print("error: traced from other sources: trace all presets anew", file=sys.stderr)
        return ExitCode.USAGE
    folder = parts_folder(digest)
    folder.mkdir(parents=True, exist_ok=True)
    by_size = sorted(names, key=lambda name: SIZES.index(preset(name).size))
    tasks = [(name, backend) for backend in _BACKENDS for name in by_size]
    parts: dict[tuple[str, Backend], str] = {}
    with ProcessPoolExecutor(usable_cores(), initializer=gc.disable) as pool:
        made = pool.map(partial(_make_part, folder=folder), tasks)
        for task, part in zip(tasks, made, strict=True):
            parts[task] = part
            print(f"{len(parts)}/{len(tasks)} {' '.join(task)}", flush=True)
    lines = _kept_lines() | {
        name: "".join(parts[name, backend] for backend in _BACKENDS) for name in names
    }
    content = encode_head(torch.__version__, digest) + "".join(
        map(lines.__getitem__, all_presets())
    )
    PATH.write_text(content, encoding="utf-8")
    shutil.rmtree(folder)
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
