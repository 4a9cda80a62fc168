"""Options and arguments that several commands share."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import typer

from vixtui.cli.complete import complete_data, complete_device, complete_preset, complete_run
from vixtui.errors import UsageError

Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV on stdout.")]
Seed = Annotated[int, typer.Option("--seed", help="Of everything random.", min=0)]
Budget = Annotated[
    str | None,
    typer.Option(
        "--budget", help="Memory to use: 4GB, 3.5GiB, 800MB, 50%. Default: most of what is free.",
        metavar="AMOUNT",
    ),
]  # fmt: skip
Device = Annotated[
    str,
    typer.Option(
        "--device", help="auto, cpu, cuda:0, …", autocompletion=complete_device, metavar="DEVICE"
    ),
]
Time = Annotated[
    str | None,
    typer.Option("--time", help="Training time: 90s, 2m, 1h30m.", metavar="DURATION"),
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data", help="digits, shapes or a folder of pictures.", autocompletion=complete_data,
        metavar="DATA",
    ),
]  # fmt: skip
# The limits of `vixtui.data.sources`, which takes too long to import for the sake of --help.
IMAGE_SIZE = typer.Option("--image-size", help="Side in pixels.", min=8, max=512, metavar="PIXELS")
ImageSize = Annotated[int | None, IMAGE_SIZE]
PresetName = Annotated[
    str, typer.Argument(help="NAME or NAME:SIZE.", autocompletion=complete_preset, metavar="PRESET")
]
Run = Annotated[
    str,
    typer.Argument(
        help="Id of a run, a part of it, or 'last'.", autocompletion=complete_run, metavar="RUN"
    ),
]


def require_numbers(options: Mapping[str, object]) -> None:
    """Refuse ``nan``, which is within any limits of an option.

    Args:
        options: values by name, as a function has them.

    Raises:
        UsageError: for the first one that is no number.
    """
    for name, value in options.items():
        if isinstance(value, float) and math.isnan(value):
            option = f"--{name.replace('_', '-')}"
            raise UsageError("it is not a number", where=option, remedy="give a number")
