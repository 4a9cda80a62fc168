"""``vixtui probe``: what this machine has and where each figure comes from."""

from __future__ import annotations

import typer

from vixtui.cli import output
from vixtui.cli.options import Json


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui probe")(probe)


def probe(json: Json = False) -> None:
    """Show what this machine has and where each figure comes from."""
    from dataclasses import asdict

    from vixtui.hardware.probe import probe as look
    from vixtui.text import format_bytes

    machine = look()
    if json:
        output.print_json(asdict(machine))
        return
    rows = [
        ("RAM, total", format_bytes(machine.ram_total.bytes), machine.ram_total.source),
        ("RAM, free", format_bytes(machine.ram_free.bytes), machine.ram_free.source),
        ("disk, free", format_bytes(machine.disk_free.bytes), machine.disk_free.source),
    ]
    for gpu in machine.gpus:
        name = f"GPU {gpu.index} {gpu.name}"
        rows += [
            (f"{name}, total", format_bytes(gpu.total.bytes), gpu.total.source),
            (f"{name}, free", format_bytes(gpu.free.bytes), gpu.free.source),
        ]
    output.print_line(f"{machine.cpu}, {machine.cores} cores")
    output.print_table(("what", "amount", "source"), rows, numeric=("amount",))
    for remark in machine.notes:
        output.print_line(remark)
