"""``vixtui recommend``: which models fit this machine, best first."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vixtui.cli import narrate, output
from vixtui.cli.complete import complete_preset
from vixtui.cli.options import Budget, Data, Device, ImageSize, Json, Time

if TYPE_CHECKING:
    from vixtui.cli.question import Hardware
    from vixtui.planning.needs import Need
    from vixtui.planning.recommend import Knowledge
    from vixtui.planning.types import Budget as MemoryBudget
    from vixtui.planning.types import Candidate, Question

_SHOWN = 10
_SIMULATED = "simulated"


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui recommend --budget 4GB --data pictures/")(recommend)


def recommend(
    budget: Budget = None,
    time: Time = None,
    data: Data = None,
    image_size: ImageSize = None,
    channels: Annotated[
        int | None, typer.Option("--channels", help="1: grey, 3: colour.", min=1, max=3)
    ] = None,
    classes: Annotated[
        int | None, typer.Option("--classes", help="Number of classes.", min=2, max=10_000)
    ] = None,
    images: Annotated[
        int | None, typer.Option("--images", help="Number of training pictures.", min=1)
    ] = None,
    device: Device = "auto",
    preset: Annotated[
        str | None,
        typer.Option(
            "--for",
            help="Only tell what this preset needs, by micro-batch, precision and recomputing.",
            autocompletion=complete_preset,
            metavar="PRESET",
        ),
    ] = None,
    simulate: Annotated[
        str | None,
        typer.Option(
            "--simulate",
            help="Plan for a GPU that is not here: 'RTX 3050 4GB', mygpu:6GiB:20.",
            metavar="GPU",
        ),
    ] = None,
    show_all: Annotated[
        bool, typer.Option("--all", help="Also show what ranks low or does not fit.")
    ] = False,
    json: Json = False,
) -> None:
    """Rank the models that fit, with predicted memory and time.

    For the pictures of --data (default: the built-in digits), or for any that are described by
    --image-size, --channels, --classes and --images.
    """
    from vixtui.cli.question import describe_task, find_hardware, find_task
    from vixtui.errors import UsageError
    from vixtui.planning.types import Question
    from vixtui.units import parse_seconds

    if preset is not None and (time is not None or show_all):
        raise UsageError(
            "--for tells the memory of one preset", where="--time, --all", remedy="leave them out"
        )
    seconds = parse_seconds(time) if time else None
    task, task_name = find_task(data, image_size, channels, classes, images)
    hardware = find_hardware(budget, device, simulate)
    question = Question(task=task, budget=hardware.budget, seconds=seconds)
    heading = f"for {task_name}: {describe_task(task)}"
    if preset is not None:
        _tell_needs(preset, question, hardware, heading, json=json)
        return
    _tell_ranking(question, hardware, heading, show_all=show_all, json=json)
    here = data is not None or not any((image_size, channels, classes, images))
    if here and hardware.simulated is None and not json:
        given = {
            "--budget": budget,
            "--time": time,
            "--image-size": str(image_size) if image_size else None,
            "--device": None if device == "auto" else device,
        }
        options = [word for option in given.items() if option[1] for word in option if word]
        command = shlex.join(["vixtui", "train", *([data] if data else []), *options])
        narrate.note(f"train the best: {command}")


def print_default_recommendation() -> None:
    """Print what ``vixtui recommend`` does without options."""
    recommend()


def require_fit(
    candidates: Sequence[Candidate], question: Question, knowledge: Knowledge
) -> Candidate:
    """Return the best candidate that fits.

    Args:
        candidates: as considered, best first.
        question, knowledge: with which they were considered.

    Raises:
        UsageError: when there are no candidates: no preset can take the pictures.
        DoesNotFitError: when none fits; names the nearest miss, the budget it needs, and the
            largest pictures with which one would fit.
    """
    from vixtui.errors import DoesNotFitError, UsageError
    from vixtui.planning.recommend import largest_pictures_that_fit
    from vixtui.text import format_bytes

    if not candidates:
        raise UsageError("no preset can take pictures of this size", remedy="change --image-size")
    for candidate in candidates:
        if candidate.fits:
            return candidate
    budget = question.budget
    nearest = min(candidates, key=lambda candidate: candidate.peak_bytes)
    chosen = len(candidates) == 1
    subject = f"{nearest.preset} does not fit" if chosen else "nothing fits"
    what = f"{subject} {format_bytes(budget.bytes)}"
    if nearest.peak_bytes <= budget.bytes:
        raise DoesNotFitError(
            f"{what}: {nearest.remembered}",
            where=f"{budget.device}, {budget.source}",
            remedy="choose a smaller preset, smaller pictures or a larger --budget",
        )
    smaller = largest_pictures_that_fit(question, [entry.preset for entry in candidates], knowledge)
    raise DoesNotFitError(
        what,
        where=f"{budget.device}, {budget.source}",
        remedy=("it" if chosen else f"the nearest is {nearest.preset}, which")
        + f" needs --budget {budget_that_holds(nearest.peak_bytes)}; "
        + (
            f"with --image-size {smaller[0]}, {'it' if chosen else smaller[1]} would fit"
            if smaller
            else "smaller pictures (--image-size) are not enough"
        ),
    )


def budget_that_holds(peak_bytes: int) -> str:
    """Return `peak_bytes` rounded up to a whole megabyte, as ``--budget`` takes it."""
    return f"{-(-peak_bytes // 10**6)}MB"


def describe_budget(budget: MemoryBudget) -> str:
    """Return a budget with its device and its source in one line."""
    from vixtui.text import format_bytes

    return f"{format_bytes(budget.bytes)} on {budget.device}, {budget.source}"


def print_candidates(
    candidates: Sequence[Candidate], seconds: float | None, *, simulated: bool = False
) -> None:
    """Print candidates as a table, best first.

    Args:
        candidates: what to show.
        seconds: time for the training; adds a column of how many epochs that is.
        simulated: whether to mark each line as an answer for a GPU that is not here.
    """
    from vixtui.planning.words import describe_way, short_way
    from vixtui.text import format_bytes, format_count, format_percent, format_seconds

    columns = ["preset", "weights", "peak", "batch", "computed", "epoch", "epochs", "top-1", "why"]
    rows = []
    for entry in candidates:
        split = f"{entry.micro_batch}×{entry.passes}"
        whole = entry.passes == 1
        rows.append(
            [
                entry.preset,
                format_count(entry.parameters),
                format_bytes(entry.peak_bytes),
                (str(entry.batch_size) if whole else split) if entry.fits else "–",
                short_way(entry) if entry.fits else "–",
                format_seconds(entry.seconds_per_epoch),
                f"{seconds / entry.seconds_per_epoch:.0f}" if seconds else "",
                format_percent(entry.accuracy),
                entry.reason,
            ]
        )
    if not seconds:
        columns.remove("epochs")
        rows = [row[:6] + row[7:] for row in rows]
    _print_table(columns, rows, texts=("preset", "computed", "why"), simulated=simulated)
    if candidates:
        best = candidates[0]
        _say(f"peak: {best.peak_basis}", simulated=simulated)
        _say(f"epoch: {best.time_basis}", simulated=simulated)
        _say(f"top-1: {best.accuracy_basis}", simulated=simulated)
        _say(f"{best.preset}: {describe_way(best)}", simulated=simulated)
    for entry in candidates:
        if entry.remembered:
            _say(f"{entry.preset}: {entry.remembered}", simulated=simulated)


def _print_table(
    columns: list[str], rows: list[list[str]], *, texts: Sequence[str], simulated: bool
) -> None:
    numeric = set(columns) - set(texts)
    if simulated:
        columns, rows = ["hardware", *columns], [[_SIMULATED, *row] for row in rows]
    output.print_table(
        columns,
        rows,
        numeric=numeric,
        whole=("preset", "hardware", "computed"),
        optional=("weights", "batch", "computed"),
    )


def _say(text: str, *, simulated: bool) -> None:
    narrate.note(f"{_SIMULATED}: {text}" if simulated else text)


def _tell_ranking(
    question: Question, hardware: Hardware, heading: str, *, show_all: bool, json: bool
) -> None:
    """Print the presets, best first.

    Raises:
        DoesNotFitError: when none fits.
    """
    from vixtui.planning.ranking import ranked, shortlist
    from vixtui.planning.recommend import consider_all, read_knowledge

    knowledge = read_knowledge(question, hardware.throughput)
    candidates = ranked(consider_all(question, knowledge), question.seconds)
    require_fit(candidates, question, knowledge)
    if not show_all:
        candidates = shortlist(candidates, _SHOWN)
    simulated = hardware.simulated is not None
    if json:
        entries = [
            {**asdict(candidate), "passes": candidate.passes, _SIMULATED: simulated}
            for candidate in candidates
        ]
        output.print_json({**_asked(question, hardware), "candidates": entries})
        return
    _introduce(hardware, heading)
    print_candidates(candidates, question.seconds, simulated=simulated)


def _tell_needs(
    name: str, question: Question, hardware: Hardware, heading: str, *, json: bool
) -> None:
    """Print what a preset needs at each micro-batch; whether it fits is part of the answer.

    Raises:
        UsageError: for an unknown preset, or one that cannot take the pictures.
    """
    from vixtui.planning.recommend import needs
    from vixtui.presets import preset

    found, name = needs(name, question), preset(name).name
    fitting = [need for need in found if need.peak_bytes <= question.budget.bytes]
    simulated = hardware.simulated is not None
    if json:
        entries = [
            {
                "micro_batch": need.micro_batch,
                "passes": need.passes,
                "precision": need.precision,
                "recompute": need.recompute,
                "peak_bytes": need.peak_bytes,
                "peak_basis": need.basis,
                "fits": need.peak_bytes <= question.budget.bytes,
                _SIMULATED: simulated,
            }
            for need in found
        ]
        output.print_json({**_asked(question, hardware), "preset": name, "needs": entries})
        return
    _introduce(hardware, f"{name} {heading}, {question.step_images} a weight update")
    columns = ["micro-batch", "passes", "recompute", "fp32", "bf16", "fits"]
    rows = _rows_of_needs(found, question.budget.bytes)
    _print_table(columns, rows, texts=("recompute", "fits"), simulated=simulated)
    _say(f"fp32, bf16: peak, {found[0].basis}", simulated=simulated)
    if not fitting:
        least = min(need.peak_bytes for need in found)
        _say(f"it fits with --budget {budget_that_holds(least)}", simulated=simulated)


def _rows_of_needs(found: Sequence[Need], budget_bytes: int) -> list[list[str]]:
    """Return a row for each level of recomputing and micro-batch, both precisions side by side."""
    from vixtui.text import format_bytes

    by_precision = {
        precision: [need for need in found if need.precision == precision]
        for precision in ("fp32", "bf16")
    }
    rows = []
    for pair in zip(*by_precision.values(), strict=True):
        fitting = [need.precision for need in pair if need.peak_bytes <= budget_bytes]
        fits = "yes" if len(fitting) == len(pair) else " ".join(fitting) or "no"
        first = pair[0]
        way = [str(first.micro_batch), str(first.passes), first.recompute]
        rows.append([*way, *(format_bytes(need.peak_bytes) for need in pair), fits])
    return rows


def _asked(question: Question, hardware: Hardware) -> dict[str, Any]:
    """Return the question as JSON answers repeat it."""
    return {
        "task": asdict(question.task),
        "budget": asdict(question.budget),
        _SIMULATED: asdict(hardware.simulated) if hardware.simulated else None,
    }


def _introduce(hardware: Hardware, heading: str) -> None:
    simulated = hardware.simulated is not None
    for remark in (*hardware.notes, heading, f"budget: {describe_budget(hardware.budget)}"):
        _say(remark, simulated=simulated)
