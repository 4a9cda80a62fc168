"""Which presets fit, how long they take, and in which order to try them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from vixtui.errors import UsageError
from vixtui.hardware.machine import Machine
from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.engine import CPU_BASIS, GPU_BASIS, cpu_bytes, gpu_bytes
from vixtui.memory.figures import PresetFigures, read_figures
from vixtui.models.config import ModelConfig
from vixtui.planning.accuracy import Measurement, comparable, read_measurements
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

# With fewer passes over the pictures a model has hardly begun to learn.
_FEWEST_EPOCHS = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What planning draws on, read from files beforehand.

    Args:
        figures: traced steps by preset name.
        accuracies: comparable measurements by preset name.
        speeds: of earlier runs on the budget's device, newest first.
        throughput: of that device.
    """

    figures: Mapping[str, PresetFigures]
    accuracies: Mapping[str, Measurement]
    speeds: tuple[MeasuredSpeed, ...]
    throughput: Throughput


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What is asked: see `recommend`."""

    task: Task
    budget: Budget
    batch_size: int
    seconds: float | None = None

    @property
    def step_images(self) -> int:
        """Pictures a weight update: the batch size, or all there are."""
        return max(1, min(self.batch_size, self.task.images))


def recommend(
    task: Task,
    budget: Budget,
    machine: Machine,
    *,
    batch_size: int = 64,
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
    return ranked(consider_all(question, read_knowledge(question, machine)), seconds)


def candidate(
    preset_name: str,
    task: Task,
    budget: Budget,
    machine: Machine,
    *,
    batch_size: int = 64,
    seconds: float | None = None,
) -> Candidate:
    """Return one preset measured against a budget; arguments as for `recommend`.

    Raises:
        UsageError: for an unknown preset, or one that cannot take the task's pictures.
    """
    question = Question(task=task, budget=budget, batch_size=batch_size, seconds=seconds)
    chosen = preset(preset_name)
    try:
        return consider(chosen, question, read_knowledge(question, machine))
    except ValueError as error:
        raise UsageError(
            f"{chosen.name} cannot take these pictures: {error}",
            where="--preset",
            remedy="choose another preset or --image-size",
        ) from error


def read_knowledge(question: Question, machine: Machine) -> Knowledge:
    """Return what the shipped files and this machine's earlier runs tell."""
    task, device = question.task, question.budget.device
    figures = read_figures().presets
    speeds = tuple(speed for speed in read_speeds() if speed.device == device)
    return Knowledge(
        figures=figures,
        accuracies=comparable(
            read_measurements(),
            image_side=min(task.image_height, task.image_width),
            seconds=question.seconds,
        ),
        speeds=speeds,
        throughput=corrected(device_throughput(device, machine.cores), speeds, figures),
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
    task = question.task
    model = chosen.model_config(
        image_height=task.image_height,
        image_width=task.image_width,
        in_channels=task.in_channels,
        num_classes=task.num_classes,
    )
    if chosen.name not in knowledge.figures:
        raise ValueError("no memory figures for it")
    figures = knowledge.figures[chosen.name]
    micro_batch, cost, peak_bytes = _largest_fit(figures, model, question)
    seconds_per_epoch, time_basis = _epoch_time(model, cost, question, knowledge)
    accuracy = knowledge.accuracies.get(chosen.name)
    fits = peak_bytes <= question.budget.bytes
    return Candidate(
        preset=chosen.name,
        title=chosen.title,
        model=model,
        parameters=cost.parameters,
        batch_size=question.step_images,
        micro_batch=micro_batch,
        peak_bytes=peak_bytes,
        peak_basis=CPU_BASIS if question.budget.device == "cpu" else GPU_BASIS,
        seconds_per_epoch=seconds_per_epoch,
        time_basis=time_basis,
        accuracy=accuracy.top1 if accuracy else None,
        accuracy_basis=accuracy.basis if accuracy else "not measured",
        fits=fits,
        reason=_reason(fits, peak_bytes, seconds_per_epoch, question),
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


def _compare(entry: Candidate, first: Candidate) -> str:
    """Return why a candidate ranks where it does, in a few words."""
    if entry.accuracy is None:
        return "accuracy not measured"
    if entry is first or first.accuracy is None:
        return "best measured"
    points = 100 * (first.accuracy - entry.accuracy)
    speed = first.seconds_per_epoch / entry.seconds_per_epoch
    return f"−{points:.1f} points, {speed:.1f}× speed"


def _largest_fit(
    figures: PresetFigures, model: ModelConfig, question: Question
) -> tuple[int, StepCost, int]:
    """Return the largest micro-batch that fits, or 1, with its cost and the engine's peak bytes."""
    batch_size, micro_batch = question.step_images, 1 << question.step_images.bit_length() - 1
    while True:
        cost = step_cost(figures, model, micro_batch=micro_batch, batch_size=batch_size)
        peak_bytes = _engine_bytes(cost, question)
        if peak_bytes <= question.budget.bytes or micro_batch == 1:
            return micro_batch, cost, peak_bytes
        micro_batch //= 2


def _engine_bytes(cost: StepCost, question: Question) -> int:
    if question.budget.device != "cpu":
        return gpu_bytes(cost)
    task = question.task
    image_bytes = task.in_channels * task.image_height * task.image_width
    return cpu_bytes(cost, images=task.images, image_bytes=image_bytes)


def _epoch_time(
    model: ModelConfig, cost: StepCost, question: Question, knowledge: Knowledge
) -> tuple[float, str]:
    """Return seconds an epoch and where the figure comes from."""
    images = question.task.images
    known = measured_speed(knowledge.speeds, model)
    if known is not None:
        return images / known.images_per_second, f"measured in run {known.run}"
    steps = images / question.step_images
    return steps * knowledge.throughput.step_seconds(cost), knowledge.throughput.basis


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
