"""Notices that updates take far longer than they did, for which fewer threads may be the cure.

Threads wait for each other many times in an update. When another program begins to use a core, each
time may last until the system lets the slower one run again: updates of a Hybrid FNet on two
threads, in bfloat16, took 20 to 45 times as long, those of a Hybrid ViT in float32 two and a half
times; on one thread both take less than twice as long.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

# So many times as long as the fastest update, so many in a row and for so long, in seconds.
_SLOW, _UPDATES, _SECONDS = 1.75, 3, 5.0
# Trying takes a few seconds, so there is some time between two of them.
_SECONDS_BETWEEN = 300.0


class Pace:
    """Takes in what updates took.

    Args:
        clock: returns seconds, as `time.monotonic` does.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._least, self._slow_updates, self._slow_seconds = inf, 0, 0.0
        self._fewer, self._not_before = False, -inf

    def take_in(self, seconds: float) -> bool:
        """Take in what an update took; tell whether to try now which threads are fastest.

        That is when updates have become slow, and from time to time while there are fewer threads
        than before.
        """
        self._least = min(self._least, seconds)
        if seconds > _SLOW * self._least:
            self._slow_updates += 1
            self._slow_seconds += seconds
        else:
            self._slow_updates, self._slow_seconds = 0, 0.0
        slow = self._slow_updates >= _UPDATES and self._slow_seconds >= _SECONDS
        return (slow or self._fewer) and self._clock() >= self._not_before

    def tried(self, *, fewer: bool) -> None:
        """Begin anew after a trial.

        Args:
            fewer: whether there are fewer threads now than could be.
        """
        self._least, self._slow_updates, self._slow_seconds = inf, 0, 0.0
        self._fewer, self._not_before = fewer, self._clock() + _SECONDS_BETWEEN
