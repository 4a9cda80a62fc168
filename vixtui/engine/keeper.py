"""The keeper of what is learned: the state for a resume, and the kept weights."""

from __future__ import annotations

import time
from dataclasses import replace

from torch import Tensor

from vixtui.engine.clock import RunClock
from vixtui.engine.reporter import Reporter
from vixtui.engine.setup import Setup
from vixtui.engine.state import save_state, saved_step
from vixtui.engine.weights import load_weights, save_weights
from vixtui.errors import DiskError
from vixtui.hardware.energy import Energy, EnergyMeter
from vixtui.paths import command
from vixtui.runs import events
from vixtui.runs.directory import RunDirectory

_STATE_SECONDS = 5.0
# Saving the state may take at most this share of the time.
_SAVING_SHARE = 0.05


class Keeper:
    """Writes what a run must not lose.

    Args:
        run: where to.
        setup: what learns.
        clock: of the run; its time is part of the state.
        meter: of this session; its energy is part of the state.
        reporter: told of each state.
    """

    def __init__(
        self,
        run: RunDirectory,
        setup: Setup,
        clock: RunClock,
        meter: EnergyMeter,
        reporter: Reporter,
    ) -> None:
        self._run, self._setup, self._clock, self._reporter = run, setup, clock, reporter
        self._meter, self._joules_before = meter, setup.state.energy_joules
        self._saved_at, self._saving_seconds = time.monotonic(), 0.0

    def state_due(self, *, epoch_ended: bool) -> bool:
        """Tell whether the next state is worth its time: after an epoch, or seconds within one.

        Epochs that are shorter than saving may take are saved every few.
        """
        since = time.monotonic() - self._saved_at
        worth_it = since > self._saving_seconds / _SAVING_SHARE
        return worth_it and (epoch_ended or since > _STATE_SECONDS)

    def save_state(self) -> None:
        """Make sure that a resume starts from here; the first process does it for all.

        Raises:
            DiskError: when it cannot be written; the previous state is kept.
        """
        if not self._setup.group.first:
            return
        if not self._run.exists:
            raise self._gone()
        started = time.monotonic()
        state, learner = self._setup.state, self._setup.learner
        state.elapsed_seconds = self._clock.elapsed()
        state.energy_joules = -1.0 if (joules := self.energy().joules) is None else joules
        state.micro_batch, state.recompute = learner.micro_batch, learner.recompute
        size = save_state(self._run, learner, state)
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - started
        self._reporter.write(events.Checkpointed, step=state.step, bytes=size)

    def energy(self) -> Energy:
        """Return what the run has used in all sessions, or in this one why that is unknown."""
        found = self._meter.poll()
        if found.joules is None:
            return found
        if self._joules_before < 0:
            return Energy(None, "an earlier session did not know")
        return Energy(self._joules_before + found.joules, found.basis)

    def last_words(self, error: DiskError) -> DiskError:
        """Return why the run ends, with what is kept of it."""
        if not self._run.exists:
            return self._gone()
        epoch = saved_step(self._run.state_path) // self._setup.epoch_steps
        resume = command("runs", "resume", self._run.id)
        remedy = f"kept epoch {epoch}; {error.remedy}: {resume}"
        return DiskError(error.what, where=error.where, remedy=remedy)

    def _gone(self) -> DiskError:
        """Return the error for a run that was deleted, perhaps but for what was being written."""
        return DiskError("the folder of the run is gone", where=self._run.path)

    @property
    def has_weights(self) -> bool:
        """Whether any weights were kept yet."""
        return bool(self._setup.group.decide(self._run.model_path.exists()))

    def kept_weights(self) -> dict[str, Tensor]:
        """Return the weights that were kept last, in all processes those of the first.

        Raises:
            WeightsError: when the file is damaged.
        """
        averaged = self._setup.learner.averaged.state_dict()
        if self._setup.group.first:
            found = load_weights(self._run.model_path)[0].state_dict()
            averaged = {name: found[name].to(value.device) for name, value in averaged.items()}
        self._setup.group.copy_from_first(averaged.values())
        return averaged

    def save_weights(self, metrics: dict[str, dict[str, float]]) -> None:
        """Keep the averaged weights, with what was measured of them, as the run's model."""
        if not self._setup.group.first:
            return
        card = replace(self._setup.card, metrics=metrics)
        if found := self._setup.state.found_lr:
            card = replace(card, provenance=card.provenance | {"lr": f"{found:g}, by a sweep"})
        save_weights(self._run.model_path, self._setup.learner.averaged.state_dict(), card)
