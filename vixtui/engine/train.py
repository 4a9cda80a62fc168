"""A training run from its directory, from the first event to the last.

Everything a viewer learns goes through the event log; everything a resume needs is in
``state.safetensors``.
"""

from __future__ import annotations

import os
import time

import psutil

from vixtui.engine import heap
from vixtui.engine.clock import RunClock
from vixtui.engine.device import peak_memory_bytes, select
from vixtui.engine.distributed import ALONE, Group
from vixtui.engine.final_test import score_kept_weights
from vixtui.engine.intake import Intake, take_in
from vixtui.engine.keeper import Keeper
from vixtui.engine.loop import Loop
from vixtui.engine.rate_finder import sweep_rates
from vixtui.engine.reporter import Reporter
from vixtui.engine.setup import Setup
from vixtui.engine.state import saved_step
from vixtui.engine.wishes import Wishes
from vixtui.errors import DataError, DiskError, DoesNotFitError
from vixtui.hardware.energy import EnergyMeter
from vixtui.runs import events
from vixtui.runs.config import RunConfig
from vixtui.runs.control import Inbox
from vixtui.runs.directory import RunDirectory
from vixtui.runs.process import started_at
from vixtui.text import safe

# In a run limited by time, of what is left of it.
_TRIAL_SHARE, _SWEEP_SHARE = 0.2, 0.2


def train(
    run: RunDirectory,
    reporter: Reporter,
    *,
    group: Group = ALONE,
    started: float | None = None,
    asked_since: float | None = None,
) -> None:
    """Train to the end, or until told to stop.

    Args:
        run: its directory; ``run.toml`` and ``split.json`` are there.
        reporter: writes its events.
        group: the processes that train it together.
        started: from when on time counts, see `started_at`, if not from this process's start.
        asked_since: what was asked of the engine earlier is old, in seconds since the epoch, if
            not from this process's start.

    Raises:
        VixtuiError: what ended it; the state is that of the last whole step if memory ran out,
            and the last one saved if the disk is full.
    """
    asked_since = asked_since or psutil.Process().create_time()
    wishes = Wishes(Inbox(run.control_path, since=asked_since), group)
    config = run.config()
    device = select(config.plan.device, group.local_rank if group.size > 1 else None)
    clock = RunClock(started or started_at())
    reporter.write(
        events.RunStarted,
        run=run.id,
        pid=os.getpid(),
        device=config.plan.device,
        resumed_step=saved_step(run.state_path),
    )
    meter = EnergyMeter(_metered(config, group))
    pictures = _load_pictures(run, config, clock, reporter, group)
    setup = Setup(run, config, pictures, device, reporter, group)
    if setup.resumed:
        clock.go_on_from(setup.state.elapsed_seconds)
    _warm_up(setup, reporter, clock)
    keeper = Keeper(run, setup, clock, meter, reporter)
    try:
        reason = _learn(setup, clock, keeper, wishes, reporter)
        if reason is not None:
            _finish(run, setup, clock, keeper, reason, reporter)
    except DiskError as error:
        raise keeper.last_words(error) from error


def _learn(
    setup: Setup, clock: RunClock, keeper: Keeper, wishes: Wishes, reporter: Reporter
) -> str | None:
    """Return why the training ended, or None when told to stop; all of it is saved."""
    try:
        keeper.save_state()
        if _find_rate(setup, clock, keeper, wishes, reporter):
            reason = Loop(setup, clock, keeper, wishes, reporter).fit()
            if reason is not None:
                return reason
            keeper.save_state()
    except (DataError, DoesNotFitError):
        keeper.save_state()
        raise
    step = setup.state.step
    reporter.write(events.Stopped, step=step, epoch=step // setup.epoch_steps)
    return None


def _find_rate(
    setup: Setup, clock: RunClock, keeper: Keeper, wishes: Wishes, reporter: Reporter
) -> bool:
    """Find the learning rate if asked for and not done yet; return False when told to stop."""
    state, recipe = setup.state, setup.config.recipe
    if not recipe.find_lr or state.found_lr or state.step:
        return True
    setup.learner.mixing = setup.mixes
    sweep = sweep_rates(setup, wishes, _SWEEP_SHARE * clock.left(recipe.seconds))
    if sweep is None:
        return False
    if sweep.hurried:
        reporter.warn(f"too little time to find a learning rate: it is {recipe.lr:g}")
        return True
    if not sweep.suggested:
        reporter.warn("no learning rate was found: the loss is no number at any")
        return True
    state.found_lr = sweep.suggested
    reporter.write(
        events.RateFound,
        lr=sweep.suggested,
        first_rate=sweep.rates[0],
        last_rate=sweep.rates[-1],
        losses=" ".join(f"{loss:.4g}" for loss in sweep.losses),
    )
    keeper.save_state()
    return True


def _finish(
    run: RunDirectory,
    setup: Setup,
    clock: RunClock,
    keeper: Keeper,
    reason: str,
    reporter: Reporter,
) -> None:
    seconds, state = clock.elapsed(), setup.state
    energy = keeper.energy()
    score_kept_weights(run, setup, reporter)
    reporter.write(
        events.Finished,
        reason=reason,
        best_epoch=state.best_epoch,
        best_top1=state.best_top1,
        seconds=seconds,
        peak_memory_bytes=peak_memory_bytes(setup.device),
        energy_joules=energy.joules,
        energy_basis=safe(energy.basis),
    )


def _metered(config: RunConfig, group: Group) -> str:
    """Return the device whose energy is that of the run: no counter covers several."""
    device = config.plan.device
    alone = group.size == 1 or (device == "cpu" and group.size == group.local_size)
    return device if alone else "several devices"


def _load_pictures(
    run: RunDirectory, config: RunConfig, clock: RunClock, reporter: Reporter, group: Group
) -> Intake:
    started = time.perf_counter()
    pictures = take_in(config, run.split_path, warn=reporter.warn, group=group)
    heap.give_back_freed_memory()  # of decoding, whose threads are not those of training
    # The clock of a run does not count its test, nor what is read for it.
    clock.leave_out(pictures.test_seconds)
    reporter.write(
        events.DataChecked,
        train=len(pictures.train.labels),
        validation=len(pictures.validation.labels),
        test=len(pictures.test.labels),
        unusable=pictures.unusable,
        num_classes=len(config.data.classes),
        seconds=time.perf_counter() - started,
    )
    return pictures


def _warm_up(setup: Setup, reporter: Reporter, clock: RunClock) -> None:
    recipe = setup.config.recipe
    seconds = setup.warm_up(_TRIAL_SHARE * clock.left(recipe.seconds))
    if seconds:  # of a new run
        epoch_seconds = setup.epoch_steps * seconds
        expected = recipe.epochs or clock.left(recipe.seconds) / epoch_seconds
        setup.state.expected_epochs = setup.group.decide(expected)
    reporter.write(
        events.ModelBuilt,
        parameters=sum(parameter.numel() for parameter in setup.learner.model.parameters()),
        threads=setup.state.threads,
        precision=setup.state.precision,
        images_per_second=setup.batch / seconds if seconds else 0.0,
        steps_per_epoch=setup.epoch_steps,
        epochs=recipe.epochs,
        seconds_budget=recipe.seconds,
        processes=setup.group.size,
    )
