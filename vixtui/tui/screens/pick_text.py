"""The words of tab 1, from plain values."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

from rich.text import Text
from textual.content import Content

from vixtui.data.sources import DataSource
from vixtui.hardware.machine import Machine
from vixtui.planning.budget import age_text
from vixtui.planning.types import Budget, Candidate
from vixtui.planning.words import brief_way, describe_way, short_way
from vixtui.runs.describe import source_title
from vixtui.text import counted, format_bytes, format_count, format_percent, format_seconds, safe
from vixtui.tui.choice import Outlook, Wish
from vixtui.tui.story import sentence

_EXPLANATION_WIDTH = 58
LOOKING = "Looking at this machine …"
PLANNING = Content.styled("Working out what fits …", "dim")
HELP = """\
Memory is the largest amount that the training may take; models above it are marked. It is
predicted from a trace of one training step and shown beside the measured peak in tab 2.

An epoch is one pass over all training pictures. Epochs says how many fit into the time.

Accuracy is the share of unseen pictures that the model names right, measured with this program
on a reference set; "–" where nobody has measured it. Your own pictures may be harder or easier.
"""


def machine_text(machine: Machine, *, narrow: bool) -> Content:
    """Return what this machine has, with the source and age of every figure of memory."""
    ram = f"{format_bytes(machine.ram_free.bytes)} of {format_bytes(machine.ram_total.bytes)} free"
    rows = [
        ("CPU", f"{counted(machine.cores, 'core')}, {safe(machine.cpu, 60)}"),
        ("RAM", ram),
        ("", f"{age_text(machine.ram_free)} by {safe(machine.ram_free.source)}"),
    ]
    for gpu in machine.gpus:
        free = f"{format_bytes(gpu.free.bytes)} of {format_bytes(gpu.total.bytes)} free"
        said = f"{age_text(gpu.free)} by {safe(gpu.free.source)}"
        rows.append(("GPU", f"{free} {said}, {safe(gpu.name, 40)}"))
    if not machine.gpus:
        rows.append(("GPU", "none found; the CPU is used"))
    disk = f"{format_bytes(machine.disk_free.bytes)} free"
    rows.append(("Disk", disk if narrow else f"{disk} {age_text(machine.disk_free)}"))
    if not narrow:
        rows += [("Note", safe(note, 120)) for note in machine.notes]
    return _table(rows)


def wish_text(
    wish: Wish,
    source: DataSource | None,
    outlook: Outlook | None,
    *,
    looking: bool,
    narrow: bool,
) -> Content:
    """Return the three wishes and how to change them.

    Args:
        looking: whether pictures and plan are still to come.
    """
    memory, said = f"‹ {wish.budget or 'automatic'} ›", ""
    if outlook is not None and outlook.wish.budget == wish.budget:
        memory = f"‹ {format_bytes(outlook.budget.bytes)} › on {_device(outlook.budget)}"
        said = safe(outlook.budget.source, 60)
    pictures, kind = "looking at the pictures …" if looking else "", ""
    if source is not None:
        count = len(source.split.train) + len(source.split.validation) + len(source.split.test)
        pictures = f"{count:,} pictures, {len(source.classes)} classes"
        if not narrow:
            color = "grey" if source.in_channels == 1 else "colour"
            kind = f"{color}, {source.image_width} × {source.image_height} pixels"
    rows = [
        ("Memory", memory),
        ("", said),
        ("Time", f"‹ {format_seconds(wish.seconds)} ›"),
        ("Data", f"‹ {source_title(wish.source)} ›"),
        ("", pictures),
        ("", kind),
    ]
    return _table(rows)


def rows(outlook: Outlook, *, ascii: bool) -> list[tuple[str, Sequence[Text | str]]]:
    """Return the table of models: key and cells."""
    yes, no = ("+", "x") if ascii else ("✓", "✗")
    return [
        (
            entry.preset,
            (
                Text(yes if entry.fits else no, style="bold"),
                f"{safe(entry.title, 30)} {entry.preset.partition(':')[2]}",
                format_count(entry.parameters),
                format_bytes(entry.peak_bytes),
                f"{entry.micro_batch}×{entry.passes} {short_way(entry)}" if entry.fits else "–",
                format_seconds(entry.seconds_per_epoch),
                _epochs(outlook, entry),
                format_percent(entry.accuracy),
                safe(entry.reason),
            ),
        )
        for entry in outlook.candidates
    ]


def _epochs(outlook: Outlook, entry: Candidate) -> str:
    if entry.seconds_per_epoch <= 0:
        return "–"
    epochs = outlook.wish.seconds / entry.seconds_per_epoch
    return f"{epochs:.1f}" if epochs < 10 else f"{epochs:,.0f}"


def on_enter(outlook: Outlook, candidate: Candidate) -> Content:
    """Return what happens when the user presses Enter."""
    if not candidate.fits:
        why, more = sentence(candidate.reason), "Right gives more memory"
        if any(entry.fits for entry in outlook.candidates):
            what, more = "this model does not fit", f"{more}; Up goes to models that fit"
        else:
            what = "no model fits"
        return Content.assemble((f"Nothing: {what}. ", "bold"), f"{why} {more}.")
    name = f"{candidate.title} {candidate.preset.partition(':')[2]}"
    return Content.assemble(
        "Trains ", (name, "bold"), f" on {source_title(outlook.source.source)} for "
        f"{format_seconds(outlook.wish.seconds)}, then tests and saves it. "
        f"{sentence(candidate.reason)}\n{_predictions(candidate)}\n"
        "Pause or stop at any time. If this window closes, the training goes on.",
    )  # fmt: skip


def explanation(outlook: Outlook, candidate: Candidate) -> Content:
    """Return where every number of a candidate comes from."""
    model, budget = candidate.model, outlook.budget
    kind = "grey" if model.in_channels == 1 else "colour"
    accuracy = "" if candidate.accuracy is None else f"{format_percent(candidate.accuracy)}, "
    width = model.stages[-1].embed_dim
    rows = [
        ("Rank", safe(candidate.reason)),
        ("Memory", f"{format_bytes(candidate.peak_bytes)}, {safe(candidate.peak_basis)}"),
        ("Allowed", f"{format_bytes(budget.bytes)} on {_device(budget)}, {safe(budget.source)}"),
        (
            "An epoch",
            f"{format_seconds(candidate.seconds_per_epoch)}, {safe(candidate.time_basis)}",
        ),
        ("Accuracy", f"{accuracy}{safe(candidate.accuracy_basis)}"),
        ("An update", safe(describe_way(candidate))),
        *((("Earlier", safe(candidate.remembered)),) if candidate.remembered else ()),
        ("Input", f"{model.image_width} × {model.image_height} pixels, {kind}"),
        ("Tokens", f"{model.num_tokens} patches of {model.patch_size} × {model.patch_size} pixels"),
        ("Mixing", f"{model.token_mixer}, {model.num_blocks} blocks, {width} channels"),
        ("Weights", f"{candidate.parameters:,}"),
        *(("Data", safe(note)) for note in outlook.source.notes),
    ]
    return _table([line for name, text in rows for line in _wrapped(name, text)], width=11)


def _wrapped(name: str, text: str) -> list[tuple[str, str]]:
    first, *rest = wrap(text, _EXPLANATION_WIDTH) or [""]
    return [(name, first), *(("", line) for line in rest)]


def _predictions(candidate: Candidate) -> str:
    """Return peak and time, each marked for what it is, and how an update is computed."""
    measured = candidate.time_basis.startswith("measured")
    return (
        f"{format_bytes(candidate.peak_bytes)} predicted, "
        f"{format_seconds(candidate.seconds_per_epoch)} an epoch "
        f"{'measured' if measured else 'predicted'}; {brief_way(candidate)}."
    )


def _device(budget: Budget) -> str:
    return "the CPU" if budget.device == "cpu" else "the GPU"


def _table(rows: Sequence[tuple[str, str]], width: int = 7) -> Content:
    lines = [
        Content.assemble((f"{name:<{width}}", "bold"), text) for name, text in rows if name or text
    ]
    return Content("\n").join(lines)
