"""The clock of a run: seconds of training over all its sessions, pauses left out."""

from __future__ import annotations

import os
import time
from math import inf

from vixtui.runs.process import COUNTED_FROM_VARIABLE


def counted_from() -> float | None:
    """Return from when on time counts, if who started us told that: see `started_at`."""
    told = os.environ.get(COUNTED_FROM_VARIABLE)
    return float(told) if told else None


class RunClock:
    """Counts from the start of a command or process: importing torch is part of the user's wait.

    Args:
        started: when that was, as `vixtui.runs.process.started_at` tells.
    """

    def __init__(self, started: float) -> None:
        self._session_started = started
        self._earlier_seconds = self._left_out_seconds = 0.0

    def go_on_from(self, seconds: float) -> None:
        """Add what earlier sessions took."""
        self._earlier_seconds = seconds

    def leave_out(self, seconds: float) -> None:
        """Do not count `seconds` that have passed in this session."""
        self._left_out_seconds += seconds

    def left(self, seconds: float | None) -> float:
        """Return how many of so many seconds of training are left; without a limit, endless."""
        return inf if seconds is None else max(0.0, seconds - self.elapsed())

    def elapsed(self) -> float:
        """Return seconds of training so far."""
        session = time.monotonic() - self._session_started - self._left_out_seconds
        return self._earlier_seconds + session
