"""``vixtui probe``: what this machine has, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from vixtui.cli import output
from vixtui.cli.options import Json

if TYPE_CHECKING:
    from vixtui.hardware.machine import Figure, Gpu


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui probe")(probe)


def probe(json: Json = False) -> None:
    """Show what this machine has, each figure with source and age."""
    from dataclasses import asdict

    from vixtui.cli.bench import speed_of, way_of
    from vixtui.hardware.calibration import read_calibration
    from vixtui.hardware.probe import probe as look
    from vixtui.paths import command, home
    from vixtui.text import counted, format_seconds

    machine = look()
    calibration = read_calibration(machine.cpu, machine.cores)
    if json:
        gpus = [{"device": gpu.device, **asdict(gpu, dict_factory=_entry)} for gpu in machine.gpus]
        speed = asdict(calibration, dict_factory=_entry) if calibration else None
        found = asdict(machine, dict_factory=_entry)
        output.print_json({**found, "gpus": gpus, "calibration": speed})
        return
    output.print_line(f"{machine.cpu}, {counted(machine.cores, 'core')}")
    rows = [
        _row("RAM, total", machine.ram_total),
        _row("RAM, free", machine.ram_free),
        _row("disk, free", machine.disk_free, of=f" of {home()}"),
    ]
    for gpu in machine.gpus:
        title = f"GPU {gpu.number}"
        output.print_line(f"{title}: {gpu.name}, {gpu.device}")
        if gpu.processes:
            output.print_line(f"{title}: {_describe_processes(gpu)}")
        rows += [_row(f"{title}, total", gpu.total), _row(f"{title}, free", gpu.free)]
        if gpu.reserved is not None:
            rows.append(_row(f"{title}, reserved", gpu.reserved, of=", by the driver"))
    if calibration is not None:
        age = format_seconds(calibration.age_seconds)
        rows += [
            (f"speed, {way_of(rates)}", speed_of(rates), age, "vixtui bench")
            for rates in calibration.rates
        ]
    output.print_table(("what", "amount", "age", "source"), rows, numeric=("amount", "age"))
    if calibration is None:
        output.print_line(f"the processor's speed is not measured: {command('bench')} does it")
    for remark in machine.notes:
        output.print_line(remark)


def _row(what: str, figure: Figure, *, of: str = "") -> tuple[str, str, str, str]:
    from vixtui.text import format_bytes, format_seconds

    age = format_seconds(figure.age_seconds)
    return what, format_bytes(figure.bytes), age, f"{figure.source}{of}"


def _describe_processes(gpu: Gpu) -> str:
    from vixtui.text import format_bytes

    processes = gpu.processes or ()
    amounts = (
        f"{process.pid} ({'unknown' if process.bytes is None else format_bytes(process.bytes)})"
        for process in processes
    )
    return f"also used by process {', '.join(amounts)}"


def _entry(fields: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dataclass as JSON-able fields; when a figure was read becomes how old it is."""
    import time

    entry = dict(fields)
    for name in entry.keys() & {"read_at", "measured_at"}:
        entry["age_seconds"] = round(max(0.0, time.time() - entry.pop(name)), 3)
    return entry
