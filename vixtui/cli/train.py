"""``vixtui train``: from pictures to a trained model, with the engine in a process of its own."""

from __future__ import annotations

from dataclasses import replace
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vixtui.cli import narrate, output
from vixtui.cli.complete import complete_data, complete_preset, complete_run
from vixtui.cli.options import Budget, Device, ImageSize, Json, Seed, Time, require_numbers
from vixtui.cli.processes import (
    Endpoint,
    Nnodes,
    NodeRank,
    Nproc,
    parse_nodes,
    share_of,
    share_of_batch,
)
from vixtui.cli.question import DEFAULT_DATA
from vixtui.models.config import Recompute
from vixtui.paths import command
from vixtui.runs.config import Augmentation, Balance, Precision
from vixtui.text import safe

if TYPE_CHECKING:
    from vixtui.data.sources import DataSource
    from vixtui.hardware.machine import Machine
    from vixtui.planning.origin import Origin
    from vixtui.planning.types import Budget as MemoryBudget
    from vixtui.planning.types import Candidate, Question
    from vixtui.runs.config import Recipe


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui train pictures/ --budget 4GB --time 10m")(train)


def train(
    data: Annotated[
        str,
        typer.Argument(
            help="digits, shapes, a folder of pictures (FOLDER/CLASS/*), or a public set by name.",
            autocompletion=complete_data,
            metavar="[DATA]",
        ),
    ] = DEFAULT_DATA,
    preset: Annotated[
        str | None,
        typer.Option(
            "--preset",
            help="NAME or NAME:SIZE. Default: the best recommendation.",
            autocompletion=complete_preset,
            metavar="PRESET",
        ),
    ] = None,
    budget: Budget = None,
    time: Time = None,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            help="Begin with the weights of a run or file; classes are matched by name.",
            autocompletion=complete_run,
            metavar="RUN|FILE",
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option("--epochs", help="Passes over the pictures.", min=1)
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", help="Pictures a weight update.", min=1)
    ] = None,
    lr: Annotated[
        float | None, typer.Option("--lr", help="Peak learning rate.", min=1e-7, max=1)
    ] = None,
    find_lr: Annotated[
        bool, typer.Option("--find-lr", help="Find the learning rate first, by a short sweep.")
    ] = False,
    warmup: Annotated[
        float | None,
        typer.Option("--warmup", help="Share of the run with rising rate.", min=0, max=0.9),
    ] = None,
    grad_clip: Annotated[
        float | None,
        typer.Option("--grad-clip", help="Largest norm of a gradient; 0: off.", min=0, max=1e6),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option("--weight-decay", help="Of AdamW, decoupled.", min=0, max=10)
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option("--label-smoothing", help="0 to 0.9.", min=0, max=0.9)
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option("--ema", help="Decay of averaged weights; 0: off.", min=0, max=0.9999),
    ] = None,
    augment: Annotated[
        Augmentation | None,
        typer.Option(
            "--augment",
            help="Random changes; strong adds TrivialAugment, MixUp. Default: light, "
            "strong from 32 pixels and 1 h or 100 epochs.",
        ),
    ] = None,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Mirror pictures at random.")
    ] = None,
    crop: Annotated[
        float | None,
        typer.Option("--crop", help="Random shift, share of the side.", min=0, max=0.5),
    ] = None,
    color_jitter: Annotated[
        float | None, typer.Option("--color-jitter", help="Random colour change.", min=0, max=1)
    ] = None,
    erase: Annotated[
        float | None,
        typer.Option("--erase", help="Erased square, share of the side.", min=0, max=1),
    ] = None,
    mixup: Annotated[
        float | None, typer.Option("--mixup", help="Share of pictures blended.", min=0, max=1)
    ] = None,
    cutmix: Annotated[
        float | None,
        typer.Option("--cutmix", help="Share that get a box of another.", min=0, max=1),
    ] = None,
    balance: Annotated[
        Balance,
        typer.Option(
            "--balance",
            help="Make up for small classes: weigh their loss, or show all equally often.",
        ),
    ] = "off",
    patience: Annotated[
        int | None,
        typer.Option(
            "--patience", help="Stop after so many epochs not clearly better; 0: never.", min=0
        ),
    ] = None,
    redraw_features: Annotated[
        int | None,
        typer.Option("--redraw-features", help="Performer: new ones every N steps.", min=0),
    ] = None,
    model_options: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change the preset: pooling=class, landmarks=0.1, dropout=0.1; repeatable.",
            metavar="NAME=VALUE",
        ),
    ] = None,
    image_size: ImageSize = None,
    folds: Annotated[
        int,
        typer.Option(
            "--folds", help="Cross-validate: so many runs, each tests another part.", min=0, max=100
        ),
    ] = 0,
    seed: Seed = 0,
    threads: Annotated[
        int, typer.Option("--threads", help="CPU threads; 0: measure.", min=0, max=1024)
    ] = 0,
    precision: Annotated[
        Precision | None,
        typer.Option(
            "--precision", help="auto measures which is faster. Default: that, if both fit."
        ),
    ] = None,
    recompute: Annotated[
        Recompute | None,
        typer.Option(
            "--recompute",
            help="Less memory for more time: mlp, block; fast: the opposite. "
            "Default: the fastest that fits.",
        ),
    ] = None,
    device: Device = "auto",
    nproc: Nproc = 1,
    nnodes: Nnodes = 1,
    node_rank: NodeRank = 0,
    rdzv_endpoint: Endpoint = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache", help="Keep decoded pictures on disk; see 'vixtui cache'."
        ),
    ] = True,
    name: Annotated[str | None, typer.Option("--name", help="Id of the run.")] = None,
    download: Annotated[
        bool, typer.Option("--download", help="Fetch a public data set if it is not here.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Check all pictures; stop at any problem.")
    ] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Start, and return at once.")] = False,
    json: Json = False,
) -> None:
    """Train a model on digits, shapes or a folder of pictures.

    Ctrl+C saves and stops; 'vixtui runs resume' goes on. With --json: the events, one a line.
    """
    from functools import partial

    from vixtui.data.sources import open_source
    from vixtui.errors import UsageError
    from vixtui.hardware.probe import probe
    from vixtui.planning.budget import resolve_budget
    from vixtui.planning.recipe import default_recipe, suggested_lr
    from vixtui.planning.start import decide_run, task_of
    from vixtui.planning.types import Question
    from vixtui.runs.directory import create_run
    from vixtui.runs.process import join_training, start_training, started_at
    from vixtui.units import parse_seconds

    counted_from = started_at()
    nodes, processes = parse_nodes(nnodes, node_rank, rdzv_endpoint), nproc * nnodes
    if nodes.rank:
        narrate.note(f"joins machine 0 at {safe(nodes.endpoint)}, which tells what comes of it")
        raise typer.Exit(join_training(nproc, nodes))
    if time is not None and epochs is not None:
        raise UsageError("a run has one limit", where="--time, --epochs", remedy="give one of them")
    if find_lr and lr is not None:
        raise UsageError("the rate is given", where="--lr, --find-lr", remedy="give one of them")
    if folds and nnodes > 1:
        raise UsageError(
            "other machines join one run, not one after the other",
            where="--folds, --nnodes",
            remedy="train folds on one machine, with --nproc",
        )
    seconds = parse_seconds(time) if time else None
    if download:
        counted_from += _download(data)
    origin = _origin(init) if init is not None else None
    if origin is not None:
        preset, image_size = preset or origin.preset, image_size or origin.side
    source = open_source(data, seed=seed, image_size=image_size)
    if strict:
        _refuse_problems(source)
    if flip is None and augment == "off":
        flip = False
    if flip is not None:
        source = replace(source, horizontal_flip=flip)
    sources = _folds(source, folds, seed=seed, detach=detach) if folds else (source,)
    source = sources[0]
    given = {
        "batch_size": batch_size,
        "lr": lr,
        "find_lr": find_lr or None,
        "warmup": warmup,
        "grad_clip": grad_clip,
        "weight_decay": weight_decay,
        "mixup": mixup,
        "cutmix": cutmix,
        "label_smoothing": label_smoothing,
        "ema": ema,
        "crop": crop,
        "color_jitter": color_jitter,
        "erase": erase,
        "balance": balance,
        "patience": patience,
        "redraw_features": redraw_features,
    }
    require_numbers(given)
    overrides: dict[str, Any] = {
        option: value for option, value in given.items() if value is not None
    }
    recipe = default_recipe(
        source, epochs=epochs, seconds=seconds, augmentation=augment, **overrides
    )
    machine = probe(device)
    memory = resolve_budget(machine, budget, None if device == "auto" else device)
    if processes > 1:
        memory = share_of(memory, nproc)
    question = Question(
        task=task_of(source),
        budget=memory,
        batch_size=share_of_batch(recipe.batch_size, len(source.split.train), processes),
        seconds=recipe.seconds,
        precision=precision,
        recompute=recompute,
        processes=processes,
    )
    changes = tuple(model_options or ())
    if origin is not None and preset is not None:
        changes = (*origin.changes(preset, question.task), *changes)
    choice = _choose(preset, question, machine, changes)
    if lr is None:
        rate = suggested_lr(choice.model)  # measured with new weights
        recipe = replace(recipe, lr=min(rate, recipe.lr) if origin is not None else rate)
    if origin is not None:
        origin.check(choice.model)
        narrate.note(f"begins with {origin.told(choice.model, source.classes)}")
    decide = partial(
        decide_run,
        candidate=choice,
        budget=memory,
        recipe=recipe,
        seed=seed,
        threads=threads,
        nproc=nproc,
        cache=cache,
        init=origin.record(source.classes) if origin is not None else None,
    )
    _narrate(source, choice, memory, recipe, chosen_here=preset is None)
    if folds:
        from vixtui.cli.folds import train_folds

        raise typer.Exit(train_folds(sources, decide, name, nodes, json=json))
    run = create_run(decide(source, name=name), source.split.to_json())
    start = partial(start_training, run, nodes=nodes, counted_from=counted_from)
    if detach:
        started = {"run": run.id, "path": str(run.path), "pid": start().pid}
        if json:
            output.print_json(started)
        else:
            output.print_line(run.id)
            narrate.note(f"started; watch it with: {command('attach', run.id)}")
        return
    from vixtui.cli.attach import watch

    raise typer.Exit(watch(run, start=start, seen=0, json=json, stop_on_interrupt=True))


def _folds(source: DataSource, folds: int, *, seed: int, detach: bool) -> tuple[DataSource, ...]:
    """Return the source of each fold.

    Raises:
        UsageError: for a single fold, or several in the background.
        DataError: when a class has fewer pictures than there are folds.
    """
    from vixtui.data.sources import open_folds
    from vixtui.errors import UsageError

    if folds == 1:
        raise UsageError("one fold leaves nothing to train on", where="--folds", remedy="give 2")
    if detach:
        raise UsageError(
            "folds are trained one after the other", where="--folds", remedy="leave out --detach"
        )
    return open_folds(source, folds, seed=seed)


def _origin(name: str) -> Origin:
    """Return the checked weights of a run or file.

    Raises:
        UsageError: when there are none.
        WeightsError: when they cannot be trusted or understood.
    """
    from vixtui.cli.models import find_weights
    from vixtui.planning.origin import read_origin

    return read_origin(find_weights(name).path)


def _refuse_problems(source: DataSource) -> None:
    """Check a folder before anything of the run is written.

    Raises:
        DataError: when there is a problem; the kinds are told on stderr.
    """
    from vixtui.cli.check import look_through, refuse_problems
    from vixtui.data.builtin import is_builtin
    from vixtui.data.findings import headlines

    if is_builtin(source.source):
        return
    report = look_through(source)
    for line in headlines(report.problems):
        narrate.note(line)
    refuse_problems(report)


def _choose(
    preset: str | None, question: Question, machine: Machine, changes: tuple[str, ...]
) -> Candidate:
    """Return the named preset, or the best that fits; in either case with `changes`.

    Raises:
        DoesNotFitError: when it does not fit the budget.
    """
    from vixtui.cli.recommend import require_fit
    from vixtui.cli.tracing import tracing
    from vixtui.planning.ranking import ranked
    from vixtui.planning.recommend import candidate, consider_all, knowledge_here

    knowledge = knowledge_here(question, machine)
    if preset is None:
        candidates = ranked(consider_all(question, knowledge), question.seconds)
        best = require_fit(candidates, question, knowledge)
        if not changes:
            return best
        preset = best.preset
    question = replace(question, changes=changes)
    if not changes:
        found = candidate(preset, question, machine)
    else:
        with tracing() as trace:
            found = candidate(preset, question, machine, trace)
    return require_fit([found], question, knowledge)


def _narrate(
    source: DataSource,
    choice: Candidate,
    budget: MemoryBudget,
    recipe: Recipe,
    *,
    chosen_here: bool,
) -> None:
    from vixtui.cli.recommend import describe_budget
    from vixtui.planning.words import describe_way
    from vixtui.text import counted, format_bytes, format_seconds

    for remark in source.notes:
        narrate.note(f"data: {remark}")
    if recipe.seconds:
        limit = format_seconds(recipe.seconds)
    else:
        limit = counted(recipe.epochs or 0, "epoch")
    why = f" ({choice.reason})" if chosen_here else ""
    narrate.note(f"training {choice.preset}{why} for {limit}")
    narrate.note(
        f"memory: {format_bytes(choice.peak_bytes)} predicted, budget {describe_budget(budget)}"
    )
    narrate.note(f"each update: {describe_way(choice)}")
    if choice.remembered:
        narrate.note(choice.remembered)


def _download(name: str) -> float:
    """Fetch a public data set unless it is here, any other source needs nothing; return seconds."""
    from vixtui.cli.models import warm_engine
    from vixtui.data.sources import PUBLIC_SETS
    from vixtui.paths import data_dir

    if name not in PUBLIC_SETS or (data_dir() / name).is_dir():
        return 0.0
    started, public = monotonic(), PUBLIC_SETS[name]
    narrate.note(f"{public.title}; licence: {public.licence}; {public.homepage}")
    with warm_engine() as engine, narrate.progress_bar(f"downloading {name}") as move:
        engine.ask(
            "download",
            name=name,
            on_progress=lambda message: move(message["done"], message["total"]),
        )
    return monotonic() - started
