"""``vixtui recommend``: which models fit this machine, best first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from vixtui.cli import narrate, output
from vixtui.cli.options import Budget, Data, Device, ImageSize, Json, Time

if TYPE_CHECKING:
    from vixtui.planning.types import Budget as MemoryBudget
    from vixtui.planning.types import Candidate, Task

DEFAULT_DATA = "digits"
_SHOWN = 10


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui recommend --budget 4GB --data pictures/")(recommend)


def recommend(
    budget: Budget = None,
    time: Time = None,
    data: Data = None,
    image_size: ImageSize = None,
    classes: Annotated[
        int | None, typer.Option("--classes", help="Number of classes.", min=2, max=10_000)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Number of training pictures.", min=1)
    ] = None,
    device: Device = "auto",
    show_all: Annotated[
        bool, typer.Option("--all", help="Also show what ranks low or does not fit.")
    ] = False,
    json: Json = False,
) -> None:
    """Rank the models that fit, with predicted memory and time.

    For the pictures of --data (default: the built-in digits), or for any that are described by
    --image-size, --classes and --images.
    """
    from vixtui.hardware.probe import probe
    from vixtui.planning.budget import resolve_budget
    from vixtui.planning.recommend import recommend as rank
    from vixtui.units import parse_seconds

    seconds = parse_seconds(time) if time else None
    task, task_name = _task(data, image_size, classes, images)
    machine = probe(device)
    memory = resolve_budget(machine, budget, None if device == "auto" else device)
    candidates = rank(task, memory, machine, seconds=seconds)
    require_fit(candidates, memory)
    if not show_all:
        candidates = [candidate for candidate in candidates if candidate.fits][:_SHOWN]
    if json:
        output.print_json(
            {
                "task": asdict(task),
                "budget": asdict(memory),
                "candidates": [asdict(candidate) for candidate in candidates],
            }
        )
        return
    for remark in machine.notes:
        narrate.note(remark)
    narrate.note(f"for {task_name}: {_describe(task)}")
    narrate.note(f"budget: {describe_budget(memory)}")
    print_candidates(candidates, seconds)
    narrate.note(f"train the best: vixtui train{f' {data}' if data else ''}")


def print_default_recommendation() -> None:
    """Print what ``vixtui recommend`` does without options."""
    recommend()


def require_fit(candidates: Sequence[Candidate], budget: MemoryBudget) -> Candidate:
    """Return the best candidate that fits.

    Raises:
        UsageError: when there are no candidates: no preset can take the pictures.
        DoesNotFitError: when none fits; names the nearest miss and the budget it needs.
    """
    from vixtui.errors import DoesNotFitError, UsageError
    from vixtui.text import format_bytes

    if not candidates:
        raise UsageError("no preset can take pictures of this size", remedy="change --image-size")
    for candidate in candidates:
        if candidate.fits:
            return candidate
    nearest = min(candidates, key=lambda candidate: candidate.peak_bytes)
    raise DoesNotFitError(
        f"nothing fits {format_bytes(budget.bytes)}",
        where=f"{budget.device}, {budget.source}",
        remedy=f"the nearest is {nearest.preset}, which needs --budget "
        f"{budget_that_holds(nearest.peak_bytes)}; smaller pictures (--image-size) need less",
    )


def budget_that_holds(peak_bytes: int) -> str:
    """Return `peak_bytes` rounded up to a whole megabyte, as ``--budget`` takes it."""
    return f"{-(-peak_bytes // 10**6)}MB"


def describe_budget(budget: MemoryBudget) -> str:
    """Return a budget with its device and its source in one line."""
    from vixtui.text import format_bytes

    return f"{format_bytes(budget.bytes)} on {budget.device} ({budget.source})"


def print_candidates(candidates: Sequence[Candidate], seconds: float | None) -> None:
    """Print candidates as a table, best first.

    Args:
        candidates: what to show.
        seconds: time for the training; adds a column of how many epochs that is.
    """
    from vixtui.text import format_bytes, format_count, format_percent, format_seconds

    columns = ["preset", "weights", "peak", "batch", "epoch", "epochs", "top-1", "why"]
    rows = []
    for entry in candidates:
        split = f"{entry.micro_batch}×{-(-entry.batch_size // max(1, entry.micro_batch))}"
        whole = entry.micro_batch >= entry.batch_size
        rows.append(
            [
                entry.preset,
                format_count(entry.parameters),
                format_bytes(entry.peak_bytes),
                (str(entry.batch_size) if whole else split) if entry.fits else "–",
                format_seconds(entry.seconds_per_epoch),
                f"{seconds / entry.seconds_per_epoch:.0f}" if seconds else "",
                format_percent(entry.accuracy),
                entry.reason,
            ]
        )
    if not seconds:
        columns.remove("epochs")
        rows = [row[:5] + row[6:] for row in rows]
    output.print_table(
        columns,
        rows,
        numeric=set(columns) - {"preset", "why"},
        whole=("preset",),
        optional=("weights", "batch"),
    )
    if candidates:
        best = candidates[0]
        narrate.note(f"peak: {best.peak_basis}")
        narrate.note(f"epoch: {best.time_basis}")
        narrate.note(f"top-1: {best.accuracy_basis}")


def _task(
    data: str | None, image_size: int | None, classes: int | None, images: int | None
) -> tuple[Task, str]:
    from vixtui.data.sources import open_source
    from vixtui.errors import UsageError
    from vixtui.planning.start import task_of
    from vixtui.planning.types import Task

    described = classes is not None or images is not None
    if data is not None and described:
        raise UsageError(
            "--data says how many classes and pictures there are",
            where="--classes, --images",
            remedy="leave them out",
        )
    if not described and (data is not None or image_size is None):
        name = data or DEFAULT_DATA
        return task_of(open_source(name, image_size=image_size)), name
    side = image_size or 32
    task = Task(
        image_height=side,
        image_width=side,
        in_channels=3,
        num_classes=classes or 10,
        images=images or 2000,
    )
    return task, "pictures as described"


def _describe(task: Task) -> str:
    colour = "grey" if task.in_channels == 1 else "colour"
    return (
        f"{task.image_height}×{task.image_width} pixels {colour}, {task.num_classes} classes, "
        f"{task.images:,} training pictures"
    )
