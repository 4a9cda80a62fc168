"""A table of what was measured beside its targets, on the terminal and in a result file."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

Row = tuple[str, str, str]
"""What was measured, the figure, and its target."""


def publish(rows: Iterable[Row], widths: Sequence[int], results: Path | None, about: str) -> None:
    """Print rows as they come, and write all of them to a file at the end.

    Args:
        rows: of the table.
        widths: of its columns.
        results: ``results/NAME.md``, written by ``benchmarks/NAME.py``; None for no file.
        about: what was done, for the file.
    """
    layout = "{:%d} {:>%d} {:>%d}" % tuple(widths)  # noqa: UP031
    lines = [
        f"{platform.platform()}, Python {platform.python_version()}, torch {version('torch')}",
        "",
        layout.format("what", "measured", "target"),
    ]
    print("\n".join(lines))
    for row in rows:
        lines.append(layout.format(*row))
        print(lines[-1], flush=True)
    if results is None:
        return
    results.write_text(
        f"# benchmarks/{results.stem}.py, {datetime.date.today()}\n\n{about}\n\n```\n"
        + "\n".join(lines)
        + "\n```\n"
    )
