"""From this machine and some pictures to a running engine; called from threads of the screens."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from vixtui.data.sources import DataSource
from vixtui.hardware.machine import Machine
from vixtui.planning.recipe import default_seconds
from vixtui.planning.types import Budget, Candidate, Task
from vixtui.runs.directory import RunDirectory

BUDGET_STEPS = tuple(int(n * 10**9) for n in (0.5, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 80))
DEFAULT_SOURCE = "digits"
TIME_STEPS = (20.0, 45.0, 120.0, 300.0, 900.0, 3600.0, 4 * 3600.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    """What the user wants. `budget` and `device` None: automatic."""

    source: str = DEFAULT_SOURCE
    seconds: float = default_seconds(DEFAULT_SOURCE)
    budget: str | None = None
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What fits the wish, best first."""

    wish: Wish
    source: DataSource
    task: Task
    budget: Budget
    candidates: tuple[Candidate, ...]


def look_at_machine() -> Machine:
    """Probe this machine."""
    from vixtui.hardware.probe import probe

    return probe()


def open_pictures(source: str) -> DataSource:
    """Look at a built-in set or a folder.

    Raises:
        VixtuiError: when there is nothing to train on.
    """
    from vixtui.data.sources import open_source

    return open_source(source)


def plan(wish: Wish, source: DataSource, machine: Machine) -> Outlook:
    """Return what fits.

    Raises:
        UsageError: for a budget that is none.
    """
    from vixtui.planning.budget import resolve_budget
    from vixtui.planning.recipe import default_recipe
    from vixtui.planning.recommend import recommend
    from vixtui.planning.start import task_of
    from vixtui.planning.types import Question

    question = Question(
        task=task_of(source),
        budget=resolve_budget(machine, wish.budget, wish.device),
        batch_size=default_recipe(source, seconds=wish.seconds).batch_size,
        seconds=wish.seconds,
    )
    candidates = recommend(question, machine)
    return Outlook(wish, source, question.task, question.budget, tuple(candidates))


def launch(outlook: Outlook, candidate: Candidate) -> tuple[RunDirectory, subprocess.Popen[bytes]]:
    """Write the run directory and start its engine.

    Raises:
        VixtuiError: when the run cannot be written or started.
    """
    from vixtui.planning.recipe import default_recipe, suggested_lr
    from vixtui.planning.start import prepare_run
    from vixtui.runs.process import start_training

    recipe = default_recipe(
        outlook.source, seconds=outlook.wish.seconds, lr=suggested_lr(candidate.model)
    )
    run = prepare_run(outlook.source, candidate, outlook.budget, recipe)
    return run, start_training(run)


Launch = Callable[[], tuple[RunDirectory, subprocess.Popen[bytes]]]
"""Starts or resumes a run; blocks for a moment."""


BudgetChoice = tuple[str | None, str | None]
"""A budget and a device, as a `Wish` holds them."""


def budget_choices(machine: Machine, now: BudgetChoice = (None, None)) -> list[BudgetChoice]:
    """Return what arrow keys step through: amounts by size, then the other devices.

    Args:
        machine: what is free.
        now: the present choice, which is among them.
    """
    from vixtui.planning.budget import resolve_budget

    free = resolve_budget(machine, "100%").bytes
    amounts: set[BudgetChoice] = {
        (f"{step / 1e9:g}GB", None) for step in BUDGET_STEPS if step <= free
    }
    amounts |= {(None, None), now if now[1] is None else (None, None)}
    choices = sorted(amounts, key=lambda choice: resolve_budget(machine, *choice).bytes)
    automatic = resolve_budget(machine).device
    devices = [*(gpu.device for gpu in machine.gpus), "cpu"]
    choices += [(None, device) for device in devices if device != automatic]
    return choices if now in choices else [*choices, now]


def resume(run: RunDirectory) -> Launch:
    """Return what starts the engine of an existing run again."""

    def launch_again() -> tuple[RunDirectory, subprocess.Popen[bytes]]:
        from vixtui.runs.process import start_training

        return run, start_training(run)

    return launch_again
