"""Cross-validation: a run for each fold, one after the other, and what they come to together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from vixtui.cli import narrate, output
from vixtui.cli.attach import watch
from vixtui.errors import UsageError
from vixtui.text import format_percent

if TYPE_CHECKING:
    from vixtui.data.sources import DataSource
    from vixtui.runs.config import RunConfig
    from vixtui.runs.directory import RunDirectory
    from vixtui.runs.process import Nodes

_OF_ITS_OWN = ("id", "created", "number", "vixtui", "plan")


def train_folds(
    sources: Sequence[DataSource],
    decide: Callable[..., RunConfig],
    name: str | None,
    nodes: Nodes,
    *,
    json: bool,
) -> int:
    """Train every fold to its end and print mean and standard deviation; return the exit code.

    Runs that are there under the same name are gone on with, finished ones are left as they are.

    Args:
        sources: the pictures of each fold.
        decide: returns the decision of a source's run, named by `name`.
        name: what the ids begin with; the first run's own without.
        nodes: machines that train together.
        json: print events, one a line, and at last the summary as one more line.

    Raises:
        UsageError: when a run of such a name was set to something else.
    """
    from vixtui.runs.process import start_training

    stem = name or decide(sources[0], name=None).id
    runs = []
    for source in sources:
        run = _run_of(source, decide(source, name=f"{stem}-fold{source.fold}"))
        runs.append(run)
        progress = run.progress()
        if progress.phase == "done":
            narrate.note(f"fold {source.fold} of {len(sources)}: done before")
            continue
        narrate.note(f"fold {source.fold} of {len(sources)}")
        start = partial(start_training, run, nodes=nodes)
        try:
            code = watch(run, start=start, seen=progress.events, json=json, stop_on_interrupt=True)
        finally:
            done = run.progress().phase == "done"
            if not done:
                narrate.note(f"the same command with --name {stem} goes on with this fold")
        if code or not done:
            return code
    _print(stem, runs, json=json)
    return 0


def _run_of(source: DataSource, config: RunConfig) -> RunDirectory:
    """Return the run of a fold, made if it is not there yet."""
    from vixtui.paths import runs_dir
    from vixtui.runs.directory import RunDirectory, create_run

    run = RunDirectory(runs_dir() / config.id)
    if not run.exists:
        return create_run(config, source.split.to_json())
    if _settings(run.config()) != _settings(config):
        raise UsageError(
            "the run is there and was set to something else",
            where=config.id,
            remedy="give another --name",
        )
    return run


def _settings(config: RunConfig) -> dict[str, Any]:
    return {name: value for name, value in asdict(config).items() if name not in _OF_ITS_OWN}


def _print(stem: str, runs: Sequence[RunDirectory], *, json: bool) -> None:
    from vixtui.cli.summary import evaluation_of

    found = [(run.id, evaluation_of(run)) for run in runs]
    tested = [(run_id, result) for run_id, result in found if result is not None]
    scores = [result.top1 for _, result in tested]
    images = sum(result.images for _, result in tested)
    middle, spread = (mean(scores), stdev(scores)) if len(scores) > 1 else (None, None)
    if json:
        output.print_json(
            {
                "folds": [
                    {"run": run_id, "top1": result.top1, "images": result.images}
                    for run_id, result in tested
                ],
                "mean_top1": middle,
                "sd_top1": spread,
                "images": images,
            },
            in_a_line=True,
        )
        return
    facts = [
        (run_id, f"{format_percent(result.top1)} of {result.images:,}") for run_id, result in tested
    ]
    if middle is not None and spread is not None:
        facts.append(("mean", f"{format_percent(middle)} ± {format_percent(spread)} (sd)"))
    output.print_facts(facts, title=f"{stem}: test top-1 of {len(runs)} folds")
