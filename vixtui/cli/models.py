"""Which weights a command works with, and the engine that it asks about them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vixtui.cli import narrate
from vixtui.cli.complete import complete_run
from vixtui.errors import ExitCode, UsageError, VixtuiError, WeightsError
from vixtui.paths import command, home

if TYPE_CHECKING:
    from vixtui.runs.directory import RunDirectory
    from vixtui.runs.process import Engine

MODEL_HELP = "Id of a run, or a weights file. Default: the newest finished run."
ModelOption = Annotated[
    str | None,
    typer.Option("--model", help=MODEL_HELP, autocompletion=complete_run, metavar="RUN|FILE"),
]
ModelArgument = Annotated[
    str | None,
    typer.Argument(help=MODEL_HELP, autocompletion=complete_run, metavar="[RUN|FILE]"),
]


@contextmanager
def warm_engine() -> Iterator[Engine]:
    """Yield an engine that answers questions; what it says on stderr is kept if it fails badly.

    A home that cannot be written keeps nobody from asking: then nothing is kept.

    Raises:
        VixtuiError: naming the kept log, when the engine had a bug or died.
    """
    from vixtui.runs.process import Engine

    log = home() / f"engine-{os.getpid()}.txt"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()
    except OSError:
        with Engine() as engine:
            yield engine
        return
    engine = Engine(log)
    keep = False
    try:
        with engine:
            yield engine
    except VixtuiError as error:
        keep = error.exit_code == ExitCode.BUG
        if not keep:
            raise
        raise VixtuiError(error.what, where=log, remedy=error.remedy) from error
    finally:
        if not keep:
            log.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Weights:
    """A weights file, and the run it came from where there is one."""

    path: Path
    run: RunDirectory | None


def find_weights(name: str | None) -> Weights:
    """Return the weights that `name` stands for; without one, the newest, and say which.

    Args:
        name: a file or the folder of a run, or without slashes an id, part of one, or ``last``.

    Raises:
        UsageError: when there are none.
        WeightsError: when they cannot be trusted or understood; the engine is not needed for that.
    """
    from vixtui.runs.weights import check_weights

    weights = _locate(name)
    check_weights(weights.path)
    return weights


def _locate(name: str | None) -> Weights:
    from vixtui.runs.directory import RunDirectory, find_run, newest_model

    if name is None:
        newest = newest_model()
        if newest is None:
            raise UsageError(
                "there is no trained model yet",
                remedy=f"train one with '{command('train')}', or name a weights file",
            )
        narrate.note(f"model: run {newest.id}")
        return Weights(newest.model_path, newest)
    path = Path(name).absolute()
    is_folder = os.path.isdir(path)
    if os.path.exists(path) and not is_folder:
        owner = RunDirectory(path.parent)
        return Weights(path, owner if owner.exists else None)
    if os.path.basename(name) == name:
        run = find_run(name)
    elif is_folder:
        run = RunDirectory(path)
        if not run.exists:
            raise WeightsError(
                "the folder of no run", where=name, remedy="name a run or a weights file"
            )
    else:
        remedy = f"see '{command('runs', 'list')}'"
        raise UsageError("no such weights file", where=name, remedy=remedy)
    if not run.model_path.is_file():
        remedy = command("attach", run.id)
        raise UsageError("the run has no weights yet", where=run.id, remedy=remedy)
    return Weights(run.model_path, run)
