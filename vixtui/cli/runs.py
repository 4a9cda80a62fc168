"""``vixtui runs``: looking at what was trained, and comparing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from vixtui.cli import narrate, output, runs_change
from vixtui.cli.options import Json, Run
from vixtui.paths import command

if TYPE_CHECKING:
    from vixtui.runs.config import RunConfig
    from vixtui.runs.directory import RunDirectory
    from vixtui.runs.progress import RunProgress

app = typer.Typer(help="Look at runs, compare, resume, stop, rename, remove them.")


@app.callback(invoke_without_command=True, epilog="Example: vixtui runs list")
def runs(context: typer.Context) -> None:
    """Look at runs, compare, resume, stop, rename, remove them. Alone: list them."""
    if context.invoked_subcommand is None:
        list_()


@app.command("list", epilog="Example: vixtui runs list --json")
def list_(json: Json = False) -> None:
    """List all runs, newest first."""
    from vixtui.errors import UsageError
    from vixtui.runs.directory import list_runs
    from vixtui.text import format_percent

    found = []
    for run in reversed(list_runs()):
        try:
            found.append(describe(run, run.config()))
        except UsageError as error:
            narrate.note(f"warning: {run.id}: {error.message}")
    if json:
        output.print_json({"runs": found})
        return
    if not found:
        narrate.note(f"no runs yet; train one with: {command('train')}")
        return
    columns = ["run", "state", "preset", "data", "val", "test"]
    output.print_table(
        columns,
        [
            [
                run["id"],
                run["state"],
                run["preset"],
                run["data"],
                format_percent(run["validation_top1"]),
                format_percent(run["test_top1"]),
            ]
            for run in found
        ],
        numeric=("val", "test"),
        whole=("run", "state"),
    )


@app.command(epilog="Example: vixtui runs show last")
def show(run: Run = "last", json: Json = False) -> None:
    """Show one run: its decision, its progress, its results."""
    from json import loads

    from vixtui.cli.summary import evaluation_of, print_summary
    from vixtui.runs.describe import setting_text, settings
    from vixtui.runs.directory import find_run

    found = find_run(run)
    config = found.config()
    if json:
        tested = evaluation_of(found) is not None
        output.print_json(
            {
                **describe(found, config),
                "config": asdict(config),
                "evaluation": loads(found.evaluation_path.read_bytes()) if tested else None,
            }
        )
        return
    print_summary(found, found.progress())
    output.print_facts(
        [(name, setting_text(name, value)) for name, value in settings(config).items()],
        title="settings",
    )


@app.command(epilog="Example: vixtui runs compare last 20261122-0704-hybrid-vin")
def compare(first: Run, second: Run, json: Json = False) -> None:
    """Show where the settings of two runs differ, and their results."""
    from vixtui.runs.describe import differences, setting_text
    from vixtui.runs.directory import find_run

    pair = [find_run(first), find_run(second)]
    configs = [run.config() for run in pair]
    described = [describe(run, config) for run, config in zip(pair, configs, strict=True)]
    differing = differences(configs)
    if json:
        output.print_json({"runs": described, "differing": differing})
        return
    results = [
        (label, *(_shown(key, run[key]) for run in described)) for key, label in _RESULTS.items()
    ]
    rows = [
        (name, *(setting_text(name, value) for value in values))
        for name, values in differing.items()
    ]
    output.print_table(["", *(run.id for run in pair)], [*results, *rows])


runs_change.add_to(app)

_RESULTS = {
    "state": "state",
    "epochs": "epochs",
    "validation_top1": "validation top-1",
    "test_top1": "test top-1",
    "seconds": "training time",
    "peak_memory_bytes": "peak memory",
}


def describe(run: RunDirectory, config: RunConfig) -> dict[str, Any]:
    """Return a run in short, JSON-able; what is not known yet is None."""
    from vixtui.runs.describe import summarise

    progress = run.progress()
    summary = summarise(run, config, progress)
    return {
        "id": run.id,
        "path": str(run.path),
        "state": summary.state,
        "created": config.created,
        "preset": config.preset,
        "data": config.data.source,
        "epochs": progress.epochs[-1].epoch if progress.epochs else 0,
        "validation_top1": summary.best,
        "test_top1": summary.test,
        "seconds": summary.seconds,
        "peak_memory_bytes": progress.peak_memory_bytes or None,
        "energy": _energy(progress),
    }


def _energy(progress: RunProgress) -> dict[str, Any]:
    from vixtui.cli.carbon import co2_grams

    end = progress.finished
    joules = end.energy_joules if end is not None else None
    return {
        "joules": joules,
        "basis": end.energy_basis if end is not None else "",
        "co2_grams": co2_grams(joules) if joules is not None else None,
    }


def _shown(key: str, value: Any) -> str:
    from vixtui.text import format_bytes, format_percent, format_seconds

    if value is None:
        return "–"
    if key == "seconds":
        return format_seconds(value)
    if key == "peak_memory_bytes":
        return format_bytes(value)
    return format_percent(value) if key.endswith("top1") else str(value)
