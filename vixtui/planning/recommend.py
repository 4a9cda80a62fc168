"""Which presets fit, how long they take, and in which order to try them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from vixtui.errors import UsageError
from vixtui.hardware.machine import Machine
from vixtui.memory.figures import read_figures
from vixtui.planning.accuracy import Measurement, comparable, read_measurements
from vixtui.planning.experience import (
    NO_CORRECTION,
    Correction,
    memory_correction,
    remembered_limit,
)
from vixtui.planning.needs import Need, PresetNeeds, preset_needs
from vixtui.planning.ranking import ranked
from vixtui.planning.search import find_way, levels, precisions, step_seconds
from vixtui.planning.speed import (
    MeasuredSpeed,
    Throughput,
    corrected,
    machine_throughput,
    measured_speed,
    read_speeds,
)
from vixtui.planning.traced import Trace, traced_needs
from vixtui.planning.types import Candidate, Question
from vixtui.presets import Preset, all_presets, preset
from vixtui.runs.config import Precision
from vixtui.runs.lessons import Lesson, read_lessons
from vixtui.text import joined

# Sides of pictures that are proposed where nothing fits, in pixels.
_SMALLER_SIDES = (384, 256, 224, 192, 160, 128, 96, 64, 48, 32, 24, 16, 8)


@dataclass(frozen=True, kw_only=True, slots=True)
class Knowledge:
    """What planning draws on, read from files beforehand.

    Args:
        accuracies: comparable measurements by preset name.
        speeds: of earlier runs on the budget's device in as many processes, newest first.
        throughput: of that device.
        lessons: what runs on that device teach about memory, newest first.
        correction: of predicted memory.
    """

    accuracies: Mapping[str, Measurement]
    speeds: tuple[MeasuredSpeed, ...]
    throughput: Throughput
    lessons: tuple[Lesson, ...] = ()
    correction: Correction = NO_CORRECTION


def recommend(question: Question, machine: Machine) -> list[Candidate]:
    """Return every preset that can take the task's pictures, best first.

    Those that fit come before those that do not; of the latter, the nearest miss comes first.

    Args:
        question: what is asked.
        machine: whose cores are used.
    """
    knowledge = knowledge_here(question, machine)
    return ranked(consider_all(question, knowledge), question.seconds)


def candidate(
    preset_name: str, question: Question, machine: Machine, trace: Trace | None = None
) -> Candidate:
    """Return one preset measured against a budget.

    Args:
        preset_name: ``variant`` or ``variant:size``.
        question, machine: as for `recommend`.
        trace: traces a step of a changed model; without it, its needs are taken to be the preset's.

    Raises:
        UsageError: for an unknown preset, one that cannot take the task's pictures, or changes
            that its model cannot have.
        VixtuiError: when the trace fails.
    """
    chosen = preset(preset_name)
    try:
        needs = traced_needs(trace, chosen.name, question) if trace is not None else None
        found = consider(chosen, question, knowledge_here(question, machine), needs)
    except ValueError as error:
        raise _cannot_take(chosen, error, "--preset") from error
    return ranked([found], question.seconds)[0]


def needs(preset_name: str, question: Question, *, option: str = "--for") -> list[Need]:
    """Return what a preset needs in each precision, at each level of recomputing and micro-batch.

    Args:
        preset_name: ``variant`` or ``variant:size``.
        question: its budget only tells the device; it may fix precision or recomputing.
        option: named in errors.

    Raises:
        UsageError: for an unknown preset, or one that cannot take the task's pictures.
    """
    chosen = preset(preset_name, option=option)
    try:
        found = _needs_of(chosen.name, question)
        kinds: tuple[Precision, ...] = ("fp32", "bf16")
        if question.precision is not None:
            kinds = (question.precision,)
        return [
            found.at(micro_batch, precision, recompute)
            for recompute in levels(found, question)
            for precision in kinds
            for micro_batch in _doubling(question.step_images)
        ]
    except ValueError as error:
        raise _cannot_take(chosen, error, option) from error


def _doubling(batch_size: int) -> list[int]:
    """Return 1, 2, 4 … and the whole batch."""
    powers = [1 << power for power in range(batch_size.bit_length())]
    return sorted({*powers, batch_size})


def _cannot_take(chosen: Preset, error: ValueError, option: str) -> UsageError:
    return UsageError(
        f"{chosen.name} cannot take these pictures: {error}",
        where=option,
        remedy="choose another preset or --image-size",
    )


def knowledge_here(question: Question, machine: Machine) -> Knowledge:
    """Return what is known about training on a device of this machine."""
    return read_knowledge(question, machine_throughput(question.budget.device, machine))


def read_knowledge(question: Question, throughput: Throughput) -> Knowledge:
    """Return what the shipped files and this machine's earlier runs tell.

    Args:
        question: what is asked.
        throughput: assumed of the budget's device.
    """
    task, device = question.task, question.budget.device
    speeds = tuple(
        speed
        for speed in read_speeds()
        if (speed.device, speed.processes) == (device, question.processes)
    )
    lessons = tuple(lesson for lesson in read_lessons() if lesson.device == device)
    return Knowledge(
        accuracies=comparable(
            read_measurements(),
            image_side=min(task.image_height, task.image_width),
            seconds=question.seconds,
        ),
        speeds=speeds,
        throughput=corrected(throughput, speeds, read_figures().presets),
        lessons=lessons,
        correction=memory_correction(lessons, on_cpu=question.on_cpu),
    )


def consider_all(question: Question, knowledge: Knowledge) -> Iterator[Candidate]:
    """Yield every preset that can take the pictures, in no particular order."""
    for chosen in all_presets().values():
        try:
            yield consider(chosen, question, knowledge)
        except ValueError:
            continue


def consider(
    chosen: Preset, question: Question, knowledge: Knowledge, needs: PresetNeeds | None = None
) -> Candidate:
    """Return how a preset does; `ranked` gives the reason.

    Args:
        chosen: the preset.
        question, knowledge: what is asked, and what is known.
        needs: of its model, if not as the shipped figures tell.

    Raises:
        UsageError: for changes that its model cannot have.
        ValueError: when it cannot take such pictures.
    """
    found, correction = needs or _needs_of(chosen.name, question), knowledge.correction
    budget = question.budget.bytes
    limit = remembered_limit(knowledge.lessons, chosen.name, found, budget)
    allowed = correction.allowed(budget)
    if limit is not None:
        allowed = min(allowed, limit.bytes)
    need = find_way(found, question, allowed, knowledge.throughput)
    if limit is not None and _is_free(found, question, need, knowledge):
        limit = None
    seconds_per_epoch, time_basis = _epoch_time(chosen.name, found, need, question, knowledge)
    # That of a changed model is another.
    accuracy = None if question.changes else knowledge.accuracies.get(chosen.name)
    return Candidate(
        preset=chosen.name,
        title=chosen.title,
        model=found.model,
        parameters=need.parameters,
        batch_size=need.batch_size,
        micro_batch=need.micro_batch,
        precision=need.precision,
        recompute=need.recompute,
        peak_bytes=correction.applied(need.peak_bytes),
        uncorrected_bytes=need.peak_bytes,
        peak_basis=_peak_basis(need, found, correction),
        seconds_per_epoch=seconds_per_epoch,
        time_basis=time_basis,
        accuracy=accuracy.top1 if accuracy else None,
        accuracy_basis=accuracy.basis if accuracy else "not measured",
        remembered=f"memory ran out in run {limit.run}" if limit else "",
        fits=need.peak_bytes <= allowed,
        reason="",
    )


def largest_pictures_that_fit(
    question: Question, preset_names: Collection[str], knowledge: Knowledge
) -> tuple[int, str] | None:
    """Return a smaller side of square pictures in pixels and the preset that then fits, or None.

    Args:
        question: for pictures with which nothing fits.
        preset_names: who may answer.
        knowledge: with which they were considered.
    """
    task = question.task
    allowed = knowledge.correction.allowed(question.budget.bytes)
    every = [kind for choices in precisions(question) for kind in choices]

    def that_fits(side: int) -> str | None:
        smaller = replace(question, task=replace(task, image_height=side, image_width=side))
        for name in preset_names:
            try:
                found = _needs_of(name, smaller)
                least = found.smallest(every, levels(found, smaller)[-1:])
            except ValueError:
                continue
            if least.peak_bytes <= allowed:
                return name
        return None

    sides = [side for side in _SMALLER_SIDES if side < min(task.image_height, task.image_width)]
    if not sides or that_fits(sides[-1]) is None:
        return None
    return next((side, name) for side in sides if (name := that_fits(side)) is not None)


def _needs_of(name: str, question: Question) -> PresetNeeds:
    return preset_needs(
        name, question.task, question.step_images, question.changes, on_cpu=question.on_cpu
    )


def _is_free(found: PresetNeeds, question: Question, need: Need, knowledge: Knowledge) -> bool:
    """Tell whether a remembered limit changes nothing about what is chosen."""
    allowed = knowledge.correction.allowed(question.budget.bytes)
    return find_way(found, question, allowed, knowledge.throughput) == need


def _peak_basis(need: Need, found: PresetNeeds, correction: Correction) -> str:
    left_out = f"without {', '.join(found.left_out)}" if found.left_out else ""
    return joined(need.basis, left_out, correction.basis)


def _epoch_time(
    name: str, found: PresetNeeds, need: Need, question: Question, knowledge: Knowledge
) -> tuple[float, str]:
    """Return seconds an epoch and where the figure comes from.

    What a run of the same model measured counts as it is for the way it computed; another way is
    taken to be as much faster or slower as predicted.
    """
    images, throughput = question.task.images, knowledge.throughput
    seconds = step_seconds(need, throughput)
    known = measured_speed(knowledge.speeds, name, found.model)
    if known is None:
        return images / need.batch_size * seconds, throughput.basis
    micro_batch = min(known.micro_batch, need.batch_size)
    if (micro_batch, known.recompute) == (need.micro_batch, need.recompute):
        return images / known.images_per_second, f"measured in run {known.run}"
    there = step_seconds(found.at(micro_batch, known.precision, known.recompute), throughput)
    return (
        images / known.images_per_second * seconds / there,
        f"predicted from run {known.run}, which computed in another way",
    )
