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
    from vixtui.paths import home
    from vixtui.text import counted, format_bytes

    machine = look()
    if json:
        output.print_json(asdict(machine))
        return
    rows = [
        ("RAM, total", format_bytes(machine.ram_total.bytes), machine.ram_total.source),
        ("RAM, free", format_bytes(machine.ram_free.bytes), machine.ram_free.source),
        (
            "disk, free",
            format_bytes(machine.disk_free.bytes),
            f"{machine.disk_free.source} of {home()}",
        ),
    ]
    output.print_line(f"{machine.cpu}, {counted(machine.cores, 'core')}")
    for gpu in machine.gpus:
        output.print_line(f"GPU {gpu.index}: {gpu.name}, {gpu.uuid}")
        rows += [
            (f"GPU {gpu.index}, total", format_bytes(gpu.total.bytes), gpu.total.source),
            (f"GPU {gpu.index}, free", format_bytes(gpu.free.bytes), gpu.free.source),
        ]
    output.print_table(("what", "amount", "source"), rows, numeric=("amount",))
    for remark in machine.notes:
        output.print_line(remark)
