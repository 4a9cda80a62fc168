"""What earlier runs here say about memory: how far predictions are off, and what was too much.

Predictions of earlier runs are worked out anew, so that none is corrected twice and a changed rule
is measured by what it says today.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from vixtui.errors import UsageError
from vixtui.memory.engine import GPU_CONTEXT_BYTES
from vixtui.planning.needs import TRIED, PresetNeeds, changed_model
from vixtui.planning.speed import same_model
from vixtui.planning.types import Task
from vixtui.runs.lessons import Lesson
from vixtui.text import counted

# Other programs, or another machine with the same home, must not distort everything.
_LEAST_CORRECTION, _LARGEST_CORRECTION = 0.8, 1.5
# What is free now goes up and down; only a budget that is larger by more has grown.
_GROWN = 1.05


@dataclass(frozen=True, slots=True)
class Correction:
    """By how much predictions of memory were off.

    Args:
        ratio: measured by predicted.
        runs: that tell it.
        fixed_bytes: what of a prediction it does not apply to.
    """

    ratio: float = 1.0
    runs: int = 0
    fixed_bytes: int = 0

    def applied(self, predicted_bytes: int) -> int:
        """Return a prediction, corrected."""
        return round(self.fixed_bytes + self.ratio * (predicted_bytes - self.fixed_bytes))

    def allowed(self, budget_bytes: int) -> float:
        """Return the largest prediction that is within a budget once corrected."""
        return self.fixed_bytes + (budget_bytes - self.fixed_bytes) / self.ratio

    @property
    def basis(self) -> str:
        """What it rests on, or nothing."""
        if not self.runs:
            return ""
        return f"corrected by {counted(self.runs, 'run')} on this machine, × {self.ratio:.2f}"


NO_CORRECTION = Correction()


def memory_correction(lessons: Iterable[Lesson], *, on_cpu: bool) -> Correction:
    """Return the correction that runs on one device teach.

    It is the median of what they measured; predictions are lowered no further than every single
    run confirms. Runs whose memory ran out are left out: they show less than they wanted.

    Args:
        lessons: of that device.
        on_cpu: whether that is the CPU, whose figures count the whole process; those of a GPU count
            what torch allocated.
    """
    ratios = []
    for lesson in lessons:
        if lesson.peak_bytes <= 0 or lesson.ran_out:
            continue
        try:
            if changed_model(lesson.preset, _task(lesson), ()) != lesson.model:
                continue  # no preset's figures are those of a changed model
            need = _needs(lesson, on_cpu=on_cpu).at(
                lesson.micro_batch, lesson.precision, lesson.recompute
            )
        except (ValueError, UsageError):  # a preset or size of another version
            continue
        allocated = max(cost.peak_bytes for cost in need.costs)
        ratios.append(lesson.peak_bytes / (need.peak_bytes if on_cpu else allocated))
    if not ratios:
        return NO_CORRECTION
    ratio = max(median(ratios), min(1.0, max(ratios)))
    return Correction(
        ratio=min(max(ratio, _LEAST_CORRECTION), _LARGEST_CORRECTION),
        runs=len(ratios),
        fixed_bytes=0 if on_cpu else GPU_CONTEXT_BYTES,
    )


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that a way to compute may need since memory ran out, and in which run it did."""

    bytes: int
    run: str


def remembered_limit(
    lessons: Iterable[Lesson], name: str, needs: PresetNeeds, budget_bytes: int
) -> Limit | None:
    """Return the limit that the last run of the same model that ran out leaves, or None.

    Nothing may need more than the step with which it went on, unless the budget is larger now, or
    a later run did with more in no larger a budget.

    Args:
        lessons: of the same device, newest first.
        name: of the preset.
        needs: of its model.
        budget_bytes: now.
    """
    later: list[tuple[int, int]] = []
    for lesson in lessons:
        if lesson.preset != name or not same_model(lesson.model, needs.model):
            continue
        reached = _reached(lesson, needs)
        if not lesson.ran_out:
            later.append((reached, lesson.budget_bytes))
        elif budget_bytes <= (most_bytes := _GROWN * lesson.budget_bytes):
            refuted = any(most > reached and budget <= most_bytes for most, budget in later)
            return None if refuted else Limit(reached, lesson.run)
    return None


def _reached(lesson: Lesson, needs: PresetNeeds) -> int:
    """Return the most that a run's memory was enough for, as predicted for `needs`."""
    if lesson.given_up:
        return needs.smallest(("fp32", "bf16"), ("none", "mlp", "block")).peak_bytes - 1
    micro_batch, recompute = lesson.micro_batch, lesson.recompute
    if lesson.ran_out:
        micro_batch, recompute = lesson.left_micro_batch, lesson.left_recompute
    micro_batch = min(micro_batch, needs.batch_size)
    # Of the precisions that it tried, nobody wrote down which one it took.
    return min(
        needs.at(micro_batch, tried, recompute).peak_bytes for tried in TRIED[lesson.precision]
    )


def _needs(lesson: Lesson, *, on_cpu: bool) -> PresetNeeds:
    return PresetNeeds(
        lesson.preset,
        lesson.model,
        images=lesson.images,
        batch_size=lesson.batch_size,
        on_cpu=on_cpu,
    )


def _task(lesson: Lesson) -> Task:
    model = lesson.model
    return Task(
        image_height=model.image_height,
        image_width=model.image_width,
        in_channels=model.in_channels,
        num_classes=model.num_classes,
        images=lesson.images,
    )
