"""The keeper of what is learned: the state for a resume, and the kept weights."""

from __future__ import annotations

import time
from dataclasses import replace

from vixtui.engine.clock import RunClock
from vixtui.engine.reporter import Reporter
from vixtui.engine.setup import Setup
from vixtui.engine.state import save_state
from vixtui.engine.weights import save_weights
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
        reporter: told of each state.
    """

    def __init__(
        self, run: RunDirectory, setup: Setup, clock: RunClock, reporter: Reporter
    ) -> None:
        self._run, self._setup, self._clock, self._reporter = run, setup, clock, reporter
        self._saved_at, self._saving_seconds = time.monotonic(), 0.0

    def state_due(self) -> bool:
        """Tell whether the last state is old enough for the next."""
        since = time.monotonic() - self._saved_at
        return since > max(_STATE_SECONDS, self._saving_seconds / _SAVING_SHARE)

    def save_state(self) -> None:
        """Make sure that a resume starts from here; the first process does it for all.

        Raises:
            DiskError: when it cannot be written; the previous state is kept.
        """
        if not self._setup.group.first:
            return
        started = time.monotonic()
        state, learner = self._setup.state, self._setup.learner
        state.elapsed_seconds = self._clock.elapsed()
        state.micro_batch, state.recompute = learner.micro_batch, learner.recompute
        size = save_state(self._run.state_path, learner, state)
        self._saved_at = time.monotonic()
        self._saving_seconds = self._saved_at - started
        self._reporter.write(events.Checkpointed, step=state.step, bytes=size)

    @property
    def has_weights(self) -> bool:
        """Whether any weights were kept yet."""
        return bool(self._setup.group.decide(self._run.model_path.exists()))

    def save_weights(self, metrics: dict[str, dict[str, float]]) -> None:
        """Keep the averaged weights, with what was measured of them, as the run's model."""
        if not self._setup.group.first:
            return
        card = replace(self._setup.card, metrics=metrics)
        save_weights(self._run.model_path, self._setup.learner.averaged.state_dict(), card)
