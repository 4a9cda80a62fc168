"""Which presets fit, how long they take, and in which order to try them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vixtui.errors import UsageError
from vixtui.hardware.machine import Machine
from vixtui.memory.figures import read_figures
from vixtui.models.config import ModelConfig
from vixtui.planning.accuracy import Measurement, comparable, read_measurements
from vixtui.planning.needs import Need, largest_fit, micro_batches, model_for, need
from vixtui.planning.speed import (
    MeasuredSpeed,
    Throughput,
    corrected,
    device_throughput,
    measured_speed,
    read_speeds,
)
from vixtui.planning.types import Budget, Candidate, Task
from vixtui.presets import Preset, all_presets, preset
from vixtui.text import format_bytes, format_seconds

BATCH_SIZE = 64
# With fewer passes over the pictures a model has hardly begun to learn.
_FEWEST_EPOCHS = 3
# Exact softmax attention, fused: what the others have to be better than.
_YARDSTICK = "vit"
# Sides of pictures that are proposed where nothing fits, in pixels.
_SMALLER_SIDES = (384, 256, 224, 192, 160, 128, 96, 64, 48, 32, 24, 16, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What planning draws on, read from files beforehand.

    Args:
        accuracies: comparable measurements by preset name.
        speeds: of earlier runs on the budget's device, newest first.
        throughput: of that device.
    """

    accuracies: Mapping[str, Measurement]
    speeds: tuple[MeasuredSpeed, ...]
    throughput: Throughput


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked: see `recommend`."""

    task: Task
    budget: Budget
    batch_size: int = BATCH_SIZE
    seconds: float | None = None

    @property
    def on_cpu(self) -> bool:
        """Whether the budget is one of RAM."""
        return self.budget.device == "cpu"

    @property
    def step_images(self) -> int:
        """Pictures a weight update: the batch size, or all there are."""
        return max(1, min(self.batch_size, self.task.images))


def recommend(
    task: Task,
    budget: Budget,
    machine: Machine,
    *,
    batch_size: int = BATCH_SIZE,
    seconds: float | None = None,
) -> list[Candidate]:
    """Return every preset that can take the task's pictures, best first.

    Those that fit come before those that do not; of the latter, the nearest miss comes first.

    Args:
        task: what is to be learned.
        budget: memory that may be used, and where.
        machine: whose cores are used.
        batch_size: pictures a weight update.
        seconds: training time, if limited; presets too slow for it go behind the others.
    """
    question = Question(task=task, budget=budget, batch_size=batch_size, seconds=seconds)
    throughput = device_throughput(budget.device, machine.cores)
    return ranked(consider_all(question, read_knowledge(question, throughput)), seconds)


def candidate(
    preset_name: str,
    task: Task,
    budget: Budget,
    machine: Machine,
    *,
    batch_size: int = BATCH_SIZE,
    seconds: float | None = None,
) -> Candidate:
    """Return one preset measured against a budget; arguments as for `recommend`.

    Raises:
        UsageError: for an unknown preset, or one that cannot take the task's pictures.
    """
    question = Question(task=task, budget=budget, batch_size=batch_size, seconds=seconds)
    chosen = preset(preset_name)
    throughput = device_throughput(budget.device, machine.cores)
    try:
        return consider(chosen, question, read_knowledge(question, throughput))
    except ValueError as error:
        raise _cannot_take(chosen, error, "--preset") from error


def needs(preset_name: str, question: Question, *, option: str = "--for") -> list[Need]:
    """Return what a preset needs at each micro-batch, the smallest first, whatever the budget.

    Args:
        preset_name: ``variant`` or ``variant:size``.
        question: its budget only tells the device.
        option: named in errors.

    Raises:
        UsageError: for an unknown preset, or one that cannot take the task's pictures.
    """
    chosen, batch_size = preset(preset_name, option=option), question.step_images
    try:
        return [
            need(chosen.name, question.task, micro_batch, batch_size, on_cpu=question.on_cpu)
            for micro_batch in micro_batches(batch_size)
        ]
    except ValueError as error:
        raise _cannot_take(chosen, error, option) from error


def _cannot_take(chosen: Preset, error: ValueError, option: str) -> UsageError:
    return UsageError(
        f"{chosen.name} cannot take these pictures: {error}",
        where=option,
        remedy="choose another preset or --image-size",
    )


def read_knowledge(question: Question, throughput: Throughput) -> Knowledge:
    """Return what the shipped files and this machine's earlier runs tell.

    Args:
        question: what is asked.
        throughput: assumed of the budget's device.
    """
    task, device = question.task, question.budget.device
    speeds = tuple(speed for speed in read_speeds() if speed.device == device)
    return Knowledge(
        accuracies=comparable(
            read_measurements(),
            image_side=min(task.image_height, task.image_width),
            seconds=question.seconds,
        ),
        speeds=speeds,
        throughput=corrected(throughput, speeds, read_figures().presets),
    )


def consider_all(question: Question, knowledge: Knowledge) -> Iterator[Candidate]:
    """Yield every preset that can take the pictures, in no particular order."""
    for chosen in all_presets().values():
        try:
            yield consider(chosen, question, knowledge)
        except ValueError:
            continue


def consider(chosen: Preset, question: Question, knowledge: Knowledge) -> Candidate:
    """Return how a preset does.

    Raises:
        ValueError: when it cannot take such pictures.
    """
    found = _largest_fit(chosen.name, question)
    model = model_for(chosen.name, question.task)
    seconds_per_epoch, time_basis = _epoch_time(chosen.name, model, found, question, knowledge)
    accuracy = knowledge.accuracies.get(chosen.name)
    fits = found.peak_bytes <= question.budget.bytes
    return Candidate(
        preset=chosen.name,
        title=chosen.title,
        model=model,
        parameters=found.cost.parameters,
        batch_size=found.batch_size,
        micro_batch=found.micro_batch,
        peak_bytes=found.peak_bytes,
        peak_basis=found.basis,
        seconds_per_epoch=seconds_per_epoch,
        time_basis=time_basis,
        accuracy=accuracy.top1 if accuracy else None,
        accuracy_basis=accuracy.basis if accuracy else "not measured",
        fits=fits,
        reason=_reason(fits, found.peak_bytes, seconds_per_epoch, question),
    )


def ranked(candidates: Iterable[Candidate], seconds: float | None = None) -> list[Candidate]:
    """Return candidates best first: what fits, in time, by measured accuracy, then by speed."""

    def key(entry: Candidate) -> tuple[bool, float, float, float]:
        if not entry.fits:
            return True, entry.peak_bytes, 0.0, 0.0
        accuracy = -1.0 if entry.accuracy is None else entry.accuracy
        slow = _too_slow(entry.seconds_per_epoch, seconds)
        return False, slow, -accuracy, entry.seconds_per_epoch

    ordered = sorted(candidates, key=key)
    return [replace(entry, reason=entry.reason or _compare(entry, ordered[0])) for entry in ordered]


def shortlist(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    """Return the best `most` that fit, then the best plain ViT if it is not among them.

    Args:
        candidates: best first.
        most: how many to show; the ViT comes on top, also when it does not fit.
    """
    listed = [entry for entry in candidates if entry.fits][:most]
    vits = (entry for entry in candidates if preset(entry.preset).variant == _YARDSTICK)
    best = next(vits, None)
    return listed if best is None or best in listed else [*listed, best]


def largest_pictures_that_fit(
    question: Question, preset_names: Collection[str]
) -> tuple[int, str] | None:
    """Return a smaller side of square pictures in pixels and the preset that then fits, or None.

    Args:
        question: for pictures with which nothing fits.
        preset_names: who may answer.
    """
    task = question.task
    for side in _SMALLER_SIDES:
        if side >= min(task.image_height, task.image_width):
            continue
        smaller = replace(question, task=replace(task, image_height=side, image_width=side))
        for name in preset_names:
            try:
                found = _largest_fit(name, smaller)
            except ValueError:
                continue
            if found.peak_bytes <= question.budget.bytes:
                return side, name
    return None


def _compare(entry: Candidate, first: Candidate) -> str:
    """Return why a candidate ranks where it does, in a few words."""
    if entry.accuracy is None:
        return "accuracy not measured"
    if entry is first or first.accuracy is None:
        return "best measured"
    points = 100 * (first.accuracy - entry.accuracy)
    behind = "same accuracy" if f"{points:.1f}" == "0.0" else f"−{points:.1f} points"
    return f"{behind}, {first.seconds_per_epoch / entry.seconds_per_epoch:.1f}× speed"


def _largest_fit(name: str, question: Question) -> Need:
    return largest_fit(
        name,
        question.task,
        question.step_images,
        question.budget.bytes,
        on_cpu=question.on_cpu,
    )


def _epoch_time(
    name: str, model: ModelConfig, found: Need, question: Question, knowledge: Knowledge
) -> tuple[float, str]:
    """Return seconds an epoch and where the figure comes from."""
    images = question.task.images
    known = measured_speed(knowledge.speeds, name, model)
    if known is not None:
        return images / known.images_per_second, f"measured in run {known.run}"
    steps = images / found.batch_size
    return steps * knowledge.throughput.step_seconds(found.cost), knowledge.throughput.basis


def _too_slow(seconds_per_epoch: float, seconds: float | None) -> bool:
    return seconds is not None and seconds < _FEWEST_EPOCHS * seconds_per_epoch


def _reason(
    fits: bool,
    peak_bytes: int,
    seconds_per_epoch: float,
    question: Question,
) -> str:
    """Return what is wrong with a candidate by itself; `ranked` compares the others."""
    if not fits:
        return f"needs {format_bytes(peak_bytes)}"
    if question.seconds is not None and _too_slow(seconds_per_epoch, question.seconds):
        return f"too slow for {format_seconds(question.seconds)}"
    return ""
