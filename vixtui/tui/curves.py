"""The curves of a run, kept up to date from its events."""

from __future__ import annotations

from collections.abc import Iterable

from vixtui.runs.events import Event, RunStarted, StepDone, Validated
from vixtui.runs.progress import RunProgress
from vixtui.tui.widgets.chart import Curve
from vixtui.tui.widgets.series import Series


class RunCurves:
    """Training and validation curves over epochs."""

    def __init__(self) -> None:
        self._train_loss, self._validation_loss = Series(), Series()
        self._train_top1, self._validation_top1 = Series(), Series()
        self.loss = (Curve("train", self._train_loss), Curve("validation", self._validation_loss))
        self.accuracy = (
            Curve("train", self._train_top1),
            Curve("validation", self._validation_top1),
        )

    def update(self, progress: RunProgress, events: Iterable[Event]) -> None:
        """Add new events, already applied to `progress`; a resume draws all anew."""
        events = list(events)
        if any(isinstance(event, RunStarted) for event in events):
            self.rebuild(progress)
        else:
            self._add(events)

    def rebuild(self, progress: RunProgress) -> None:
        """Draw what `progress` holds and nothing else."""
        for curve in (*self.loss, *self.accuracy):
            curve.series.clear()
        self._add([*progress.steps, *progress.validations])

    def _add(self, events: Iterable[Event]) -> None:
        for event in events:
            if isinstance(event, StepDone):
                self._train_loss.add(event.epoch, event.loss)
                self._train_top1.add(event.epoch, 100 * event.accuracy)
            elif isinstance(event, Validated):
                self._validation_loss.add(event.epoch, event.loss)
                self._validation_top1.add(event.epoch, 100 * event.top1)
