"""Files that never come: a read from a lost network blocks for ever, and nothing can break it off.

Whoever reads says so with `reading`. A process that has said `end_when_silent` is ended, with one
line, when a file has not come in two minutes; others, as the screens, go on without it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vixtui.errors import DataError

_SECONDS = 120
_reads: dict[object, str] = {}


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Say that this thread may have to wait for a file or folder."""
    read = object()
    _reads[read] = path
    try:
        yield
    finally:
        del _reads[read]


def end_when_silent(last_word: Callable[[DataError], None]) -> None:
    """End this process when something that is read does not come.

    Args:
        last_word: told why, from a thread of its own; the process ends when it returns.
    """

    def watch() -> None:
        # Counted, not read from a clock: a process that was suspended has not waited.
        seconds: Counter[object] = Counter()
        while True:
            time.sleep(1)
            reads = dict(_reads)
            seconds = Counter({read: seconds[read] + 1 for read in reads})
            for read, path in reads.items():
                if seconds[read] > _SECONDS:
                    error = DataError(
                        f"not read within {_SECONDS} seconds",
                        where=path,
                        remedy="if it is on a network, copy it to this machine",
                    )
                    last_word(error)
                    os._exit(error.exit_code)

    threading.Thread(target=watch, daemon=True).start()
