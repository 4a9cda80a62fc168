"""How far a run has come: events in, one picture of the run out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from vixtui.runs.events import (
    Checkpointed,
    DataChecked,
    EpochDone,
    Event,
    Failed,
    Finished,
    MemoryRanOut,
    ModelBuilt,
    Paused,
    Resumed,
    RunStarted,
    StepDone,
    StepSkipped,
    Stopped,
    Tested,
    TestStarted,
    ThreadsChanged,
    Validated,
    Warned,
    WentBack,
    read_events,
)


@dataclass(slots=True)
class RunProgress:
    """The latest of everything an engine has said. `apply` is the only way it changes.

    Args:
        phase: ``starting training paused testing done stopped failed``.
        events: number of events applied.
        skipped: steps whose loss was no number or exploded.
        steps, epochs, validations: what the charts show; after a resume, what a lost engine had
            done beyond its last checkpoint is dropped.
    """

    phase: str = "starting"
    events: int = 0
    started: RunStarted | None = None
    data: DataChecked | None = None
    model: ModelBuilt | None = None
    steps: list[StepDone] = field(default_factory=list)
    epochs: list[EpochDone] = field(default_factory=list)
    validations: list[Validated] = field(default_factory=list)
    checkpoint: Checkpointed | None = None
    warnings: list[Warned] = field(default_factory=list)
    memory_ran_out: MemoryRanOut | None = None
    skipped: int = 0
    went_back: WentBack | None = None
    tested: Tested | None = None
    finished: Finished | None = None
    failed: Failed | None = None
    peak_memory_bytes: int = 0

    @classmethod
    def read(cls, path: Path) -> RunProgress:
        """Return the progress that a whole log amounts to."""
        progress = cls()
        for event in read_events(path):
            progress.apply(event)
        return progress

    @property
    def ended(self) -> bool:
        """Whether the engine said its last word."""
        return self.phase in ("done", "stopped", "failed")

    @property
    def last_step(self) -> StepDone | None:
        """The newest training figures."""
        return self.steps[-1] if self.steps else None

    @property
    def best(self) -> Validated | None:
        """The validation whose weights are kept."""
        return next((entry for entry in reversed(self.validations) if entry.is_best), None)

    def apply(self, event: Event) -> None:
        """Take one event in."""
        self.events += 1
        match event:
            case RunStarted():
                self.started, self.phase, self.failed = event, "starting", None
                self._drop_after(event.resumed_step)
            case DataChecked():
                self.data = event
            case ModelBuilt():
                self.model, self.phase = event, "training"
            case StepDone():
                self.steps.append(event)
                self.phase = "training"
                self.peak_memory_bytes = max(self.peak_memory_bytes, event.memory_bytes)
            case EpochDone():
                self.epochs.append(event)
            case Validated():
                self.validations.append(event)
            case Checkpointed():
                self.checkpoint = event
            case Warned():
                self.warnings.append(event)
            case MemoryRanOut():
                self.memory_ran_out = event
            case ThreadsChanged():
                if self.model:
                    self.model = replace(self.model, threads=event.threads)
            case StepSkipped():
                self.skipped = event.skipped
            case WentBack():
                self.went_back = event
            case Paused():
                self.phase = "paused"
            case Resumed():
                self.phase = "training"
            case Finished():
                self.finished, self.phase = event, "done"
                self.peak_memory_bytes = max(self.peak_memory_bytes, event.peak_memory_bytes)
            case TestStarted():
                self.phase = "testing"
            case Tested():
                self.tested = event
            case Stopped():
                self.phase = "stopped"
            case Failed():
                self.failed, self.phase = event, "failed"

    def _drop_after(self, step: int) -> None:
        self.steps = [event for event in self.steps if event.step <= step]
        self.epochs = [event for event in self.epochs if event.step <= step]
        self.validations = [event for event in self.validations if event.step <= step]
