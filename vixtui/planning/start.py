"""From a decision to a run directory that the engine can start from."""

from __future__ import annotations

import time
from typing import Any

from vixtui import __version__
from vixtui.data.sources import DataSource
from vixtui.errors import DiskError, DoesNotFitError
from vixtui.hardware.host import disk_free
from vixtui.paths import runs_dir
from vixtui.planning.types import Budget, Candidate, Task
from vixtui.presets import preset
from vixtui.runs.config import DataConfig, Init, Plan, Recipe, RunConfig
from vixtui.runs.directory import RunDirectory, check_spelling, create_run, new_run_id
from vixtui.text import format_bytes

# Weights once; weights, average and two AdamW moments as state; all twice; 4 bytes each.
_BYTES_A_PARAMETER = 40
_LOG_BYTES = 20_000_000


def task_of(source: DataSource) -> Task:
    """Return what a data source asks to be learned."""
    return Task(
        image_height=source.image_height,
        image_width=source.image_width,
        in_channels=source.in_channels,
        num_classes=len(source.classes),
        images=len(source.split.train),
    )


def prepare_run(
    source: DataSource, candidate: Candidate, budget: Budget, recipe: Recipe, **options: Any
) -> RunDirectory:
    """Write the directory of a new run, ready for ``vixtui.runs.process.start_training``.

    Arguments and errors as of `decide_run`.

    Raises:
        UsageError: also for a taken name.
        DiskError: also when the run cannot be written.
    """
    config = decide_run(source, candidate, budget, recipe, **options)
    return create_run(config, source.split.to_json())


def decide_run(
    source: DataSource,
    candidate: Candidate,
    budget: Budget,
    recipe: Recipe,
    *,
    seed: int = 0,
    threads: int = 0,
    nproc: int = 1,
    cache: bool = True,
    name: str | None = None,
    init: Init | None = None,
) -> RunConfig:
    """Return the whole decision of a new run.

    Args:
        source: the pictures.
        candidate: the model and the way to compute it, as planned for `source` and `budget`.
        budget: memory that each process may use.
        recipe: how it learns; `candidate` was planned for its batch size, or a process's share.
        seed: of weights, order and augmentation.
        threads: 0 lets the engine measure.
        nproc: processes of this machine that share every batch.
        cache: keep decoded pictures on disk.
        name: the run's name instead of one from date and variant.
        init: weights that it begins with.

    Raises:
        DoesNotFitError: when the candidate does not fit the budget.
        UsageError: for an unusable name.
        DiskError: when the disk has no room for the run.
    """
    if not candidate.fits:
        needed, given = format_bytes(candidate.peak_bytes), format_bytes(budget.bytes)
        raise DoesNotFitError(
            f"needs {needed}, the budget is {given}",
            where=candidate.preset,
            remedy="choose a smaller preset, smaller pictures or a larger --budget",
        )
    _check_disk(candidate.parameters)
    if name is not None:
        check_spelling(name)
    return RunConfig(
        id=name or new_run_id(preset(candidate.preset).variant),
        created=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        vixtui=__version__,
        preset=candidate.preset,
        seed=seed,
        model=candidate.model,
        data=data_config(source),
        recipe=recipe,
        plan=Plan(
            device=budget.device,
            micro_batch=min(candidate.micro_batch, recipe.batch_size),
            precision=candidate.precision,
            threads=threads,
            recompute=candidate.recompute,
            budget_bytes=budget.bytes,
            predicted_peak_bytes=candidate.uncorrected_bytes,
            corrected_peak_bytes=(
                candidate.peak_bytes if candidate.peak_bytes != candidate.uncorrected_bytes else 0
            ),
            basis=candidate.peak_basis,
            nproc=nproc,
            cache=cache,
        ),
        init=init,
    )


def _check_disk(parameters: int) -> None:
    """Make sure that weights and state, twice while one replaces the other, and the log fit."""
    needed, free = parameters * _BYTES_A_PARAMETER + _LOG_BYTES, disk_free(runs_dir()).bytes
    if free < needed:
        raise DiskError(
            f"a run needs {format_bytes(needed)}, free are {format_bytes(free)}",
            where=runs_dir(),
            remedy="free some space, or choose another place with --home",
        )


def data_config(source: DataSource) -> DataConfig:
    """Return how a run writes a data source down."""
    return DataConfig(
        source=source.source,
        classes=source.classes,
        image_height=source.image_height,
        image_width=source.image_width,
        in_channels=source.in_channels,
        fingerprint=source.fingerprint,
        train=len(source.split.train),
        validation=len(source.split.validation),
        test=len(source.split.test),
        horizontal_flip=source.horizontal_flip,
        fold=source.fold,
        folds=source.folds,
    )
