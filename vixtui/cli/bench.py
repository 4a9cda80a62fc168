"""``vixtui bench``: how fast this machine's processor is, for predictions of time."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vixtui.cli import narrate, output
from vixtui.cli.models import warm_engine
from vixtui.cli.options import Json, require_numbers

if TYPE_CHECKING:
    from vixtui.hardware.calibration import Calibration, Rates


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command(epilog="Example: vixtui bench")(bench)


def bench(
    seconds: Annotated[
        float, typer.Option("--seconds", help="About how long to measure.", min=0.01, max=600)
    ] = 3.0,
    json: Json = False,
) -> None:
    """Measure how fast this processor is, for predicted times.

    They use it from then on. Matrix products, convolutions and attention are timed with one and
    with all cores, then a few training steps of small models, which tell the rest. Best while
    nothing else runs. Of GPUs nothing is measured.
    """
    from dataclasses import asdict

    from vixtui.errors import VixtuiError
    from vixtui.hardware.calibration import Calibration, rates_from, write_calibration
    from vixtui.hardware.host import cpu_name, usable_cores

    require_numbers({"seconds": seconds})
    narrate.note("measuring this processor; torch takes a few seconds more to start")
    with warm_engine() as engine:
        answer = engine.ask("bench", seconds=seconds)
    try:
        rates = tuple(rates_from(entry) for entry in answer["rates"])
    except ValueError as error:
        raise VixtuiError(
            "the measurement makes no sense", remedy="try again while nothing else runs"
        ) from error
    calibration = Calibration(
        torch=answer["torch"],
        cpu=cpu_name(),
        cores=usable_cores(),
        measured_at=time.time(),
        rates=rates,
    )
    if not json:
        _print(calibration)  # also where it cannot be kept
    path = write_calibration(calibration)
    if json:
        output.print_json({**asdict(calibration), "path": str(path)})
        return
    output.print_line(f"kept in {path}; predicted times use it from now on")


def _print(calibration: Calibration) -> None:
    from vixtui.text import counted

    cores = counted(calibration.cores, "core")
    output.print_line(f"{calibration.cpu}, {cores}, torch {calibration.torch}")
    columns = ("work", *(way_of(rates) for rates in calibration.rates))
    output.print_table(columns, list(_rows(calibration.rates)), numeric=columns[1:])


def way_of(rates: Rates) -> str:
    """Return a way to compute in words."""
    from vixtui.text import counted

    return f"{counted(rates.threads, 'thread')}, {rates.precision}"


def speed_of(rates: Rates) -> str:
    """Return the one figure that tells most of a way's speed."""
    return _amount(rates.product_flops * 1e-9, "GFLOP/s")


def _rows(ways: Iterable[Rates]) -> Iterable[tuple[str, ...]]:
    kinds: tuple[tuple[str, str, float, str], ...] = (
        ("matrix products", "product_flops", 1e-9, "GFLOP/s"),
        ("convolutions", "convolution_flops", 1e-9, "GFLOP/s"),
        ("attention", "attention_flops", 1e-9, "GFLOP/s"),
        ("memory read and written", "moved_bytes", 1e-9, "GB/s"),
        ("by exponentials, GELU, norms", "function_bytes", 1e-9, "GB/s"),
        ("starting an operation", "kernel_seconds", 1e6, "µs"),
    )
    for title, name, factor, unit in kinds:
        yield title, *(_amount(getattr(rates, name) * factor, unit) for rates in ways)


def _amount(value: Any, unit: str) -> str:
    return f"{value:.0f} {unit}" if value >= 100 else f"{value:.1f} {unit}"
