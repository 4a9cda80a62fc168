"""What the program says while it works, on stderr: remarks and progress bars."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vixtui.cli.output import can_draw
from vixtui.text import safe


def note(text: str) -> None:
    """Say something in one line."""
    print(safe(text, max_length=2000), file=sys.stderr, flush=True)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function ``(done, total)`` that moves a bar; off a terminal nothing is drawn.

    Args:
        title: what is being done.
    """
    if not can_draw(sys.stderr):
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True, highlight=False, markup=False, emoji=False),
        transient=True,
    ) as bars:
        task = bars.add_task(safe(title), total=None)
        yield lambda done, total: bars.update(task, completed=done, total=total)
