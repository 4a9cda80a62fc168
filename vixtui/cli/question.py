"""What ``vixtui recommend`` is asked: which pictures, and on which hardware."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vixtui.planning.simulate import SimulatedGpu
    from vixtui.planning.speed import Throughput
    from vixtui.planning.types import Budget, Task

DEFAULT_DATA = "digits"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hardware:
    """What is planned for: this machine, or a GPU that is not here.

    Args:
        budget: memory that a run may use.
        throughput: what is assumed of it before any run.
        simulated: the GPU that is not here.
        notes: to be told beside the answer.
    """

    budget: Budget
    throughput: Throughput
    simulated: SimulatedGpu | None = None
    notes: tuple[str, ...] = ()


def find_hardware(budget: str | None, device: str, simulate: str | None) -> Hardware:
    """Return what `simulate` describes, else what this machine has.

    Raises:
        UsageError: for an unreadable amount, an unknown device, or none that is simulated.
    """
    from vixtui.errors import UsageError
    from vixtui.planning.speed import machine_throughput, simulated_throughput

    if simulate is not None:
        from vixtui.planning.simulate import parse_gpu, simulated_budget

        if device != "auto":
            raise UsageError(
                "--simulate says which device", where="--device", remedy="leave it out"
            )
        gpu = parse_gpu(simulate)
        return Hardware(
            budget=simulated_budget(gpu, budget),
            throughput=simulated_throughput(gpu.multiprocessors),
            simulated=gpu,
            notes=("a real one has less than its nominal memory free",),
        )
    from vixtui.hardware.probe import probe
    from vixtui.planning.budget import resolve_budget

    machine = probe(device)
    memory = resolve_budget(machine, budget, None if device == "auto" else device)
    return Hardware(
        budget=memory,
        throughput=machine_throughput(memory.device, machine),
        notes=machine.notes,
    )


def find_task(
    data: str | None,
    image_size: int | None,
    channels: int | None,
    classes: int | None,
    images: int | None,
) -> tuple[Task, str]:
    """Return the task that the options describe, and what to call its pictures.

    Raises:
        UsageError: for options at odds with each other.
        DataError: when `data` holds nothing to train on.
    """
    from vixtui.data.sources import open_source
    from vixtui.errors import UsageError
    from vixtui.planning.start import task_of
    from vixtui.planning.types import Task

    if channels == 2:
        raise UsageError(
            "pictures have 1 channel (grey) or 3 (colour)",
            where="--channels",
            remedy="choose one of them",
        )
    described = not (channels is None and classes is None and images is None)
    if data is not None and described:
        raise UsageError(
            "--data says what its pictures are and how many",
            where="--channels, --classes, --images",
            remedy="leave them out",
        )
    if not described and (data is not None or image_size is None):
        name = data or DEFAULT_DATA
        return task_of(open_source(name, image_size=image_size)), name
    side = image_size or 32
    task = Task(
        image_height=side,
        image_width=side,
        in_channels=channels or 3,
        num_classes=classes or 10,
        images=images or 2000,
    )
    return task, "pictures as described"


def describe_task(task: Task) -> str:
    """Return a task in one line."""
    colour = "grey" if task.in_channels == 1 else "colour"
    return (
        f"{task.image_height}×{task.image_width} pixels {colour}, {task.num_classes} classes, "
        f"{task.images:,} training pictures"
    )
