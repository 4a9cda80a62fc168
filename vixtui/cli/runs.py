"""``vixtui runs``: looking at what was trained, and comparing."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from vixtui.cli import narrate, output, runs_change
from vixtui.cli.options import Json, Run

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

    found = []
    for run in list_runs():
        try:
            found.append(describe(run, run.config(), run.progress()))
        except UsageError as error:
            narrate.note(f"warning: {run.id}: {error.message}")
    found.sort(key=lambda run: str(run["created"]), reverse=True)
    if json:
        output.print_json({"runs": found})
        return
    if not found:
        narrate.note("no runs yet; train one with: vixtui train")
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
                _percent(run["best_validation_top1"]),
                _percent(run["test_top1"]),
            ]
            for run in found
        ],
        numeric=("val", "test"),
        whole=("run", "state"),
    )


@app.command(epilog="Example: vixtui runs show last")
def show(run: Run = "last", json: Json = False) -> None:
    """Show one run: its decision, its progress, its results."""
    from vixtui.cli.summary import print_summary, read_evaluation
    from vixtui.runs.directory import find_run

    found = find_run(run)
    config, progress = found.config(), found.progress()
    if json:
        output.print_json(
            {
                **describe(found, config, progress),
                "config": asdict(config),
                "evaluation": read_evaluation(found),
            }
        )
        return
    print_summary(found, progress)
    output.print_facts(
        [(name, str(value)) for name, value in settings(config).items()], title="settings"
    )


@app.command(epilog="Example: vixtui runs compare last 20261122-0704-hybrid-vin")
def compare(first: Run, second: Run, json: Json = False) -> None:
    """Show where the settings of two runs differ, and their results."""
    from vixtui.runs.directory import find_run

    pair = [find_run(first), find_run(second)]
    configs = [run.config() for run in pair]
    described = [
        describe(run, config, run.progress()) for run, config in zip(pair, configs, strict=True)
    ]
    left, right = (settings(config) for config in configs)
    differing = {
        name: (left.get(name), right.get(name))
        for name in {**left, **right}
        if left.get(name) != right.get(name)
    }
    if json:
        output.print_json({"runs": described, "differing": differing})
        return
    results = [
        (label, *(_shown(key, run[key]) for run in described)) for key, label in _RESULTS.items()
    ]
    rows = [(name, _plain(one), _plain(other)) for name, (one, other) in differing.items()]
    output.print_table(["", *(run.id for run in pair)], [*results, *rows])


runs_change.add_to(app)

_RESULTS = {
    "state": "state",
    "epochs": "epochs",
    "best_validation_top1": "best validation top-1",
    "test_top1": "test top-1",
    "seconds": "training time",
    "peak_memory_bytes": "peak memory",
}


def describe(run: RunDirectory, config: RunConfig, progress: RunProgress) -> dict[str, Any]:
    """Return a run in short, JSON-able; what is not known yet is None."""
    return {
        "id": run.id,
        "path": str(run.path),
        "state": run.state(progress),
        "created": config.created,
        "preset": config.preset,
        "data": config.data.source,
        "epochs": progress.epochs[-1].epoch if progress.epochs else 0,
        "best_validation_top1": progress.best.top1 if progress.best else None,
        "test_top1": progress.tested.top1 if progress.tested else None,
        "seconds": progress.finished.seconds if progress.finished else None,
        "peak_memory_bytes": progress.peak_memory_bytes or None,
    }


def settings(config: RunConfig) -> dict[str, Any]:
    """Return everything a run was set to, nested names joined by dots: ``recipe.lr``."""
    flat: dict[str, Any] = {}
    for name, value in asdict(config).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": entry for inner, entry in value.items()}
        elif name not in ("id", "created", "schema_version"):
            flat[name] = value
    return flat


def _shown(key: str, value: Any) -> str:
    from vixtui.text import format_bytes, format_seconds

    if value is None:
        return "–"
    if key == "seconds":
        return format_seconds(value)
    if key == "peak_memory_bytes":
        return format_bytes(value)
    return _percent(value) if key.endswith("top1") else str(value)


def _plain(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(entry) for entry in value)
    return "–" if value is None else str(value)


def _percent(fraction: float | None) -> str:
    from vixtui.text import format_percent

    return "–" if fraction is None else format_percent(fraction)
