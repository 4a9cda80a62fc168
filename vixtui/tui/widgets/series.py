"""A curve in bounded memory: buckets with minimum, maximum and mean."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite

CAPACITY = 1024


@dataclass(slots=True)
class Bucket:
    """Neighbouring points. `count` is the number of finite ones; 0 marks a gap in the curve."""

    first_x: float
    last_x: float
    low: float = inf
    high: float = -inf
    total: float = 0.0
    count: int = 0

    @property
    def mean(self) -> float:
        """Mean of the finite values; only for a bucket that has some."""
        return self.total / self.count

    def add(self, x: float, y: float) -> None:
        """Take a point in."""
        self.last_x = x
        if isfinite(y):
            self.low, self.high = min(self.low, y), max(self.high, y)
            self.total, self.count = self.total + y, self.count + 1

    def merge(self, later: Bucket) -> None:
        """Take the next bucket in."""
        self.last_x = later.last_x
        self.low, self.high = min(self.low, later.low), max(self.high, later.high)
        self.total, self.count = self.total + later.total, self.count + later.count


class Series:
    """Points of one curve in rising x. When the buckets are full, neighbours merge.

    Minimum and maximum survive merging, so that a spike never disappears.

    Args:
        capacity: largest number of buckets; even.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self.clear()

    def clear(self) -> None:
        """Forget all points."""
        self.buckets: list[Bucket] = []
        self.last: float | None = None
        self._points_per_bucket = 1
        self._points_in_last = 0

    def add(self, x: float, y: float) -> None:
        """Append a point; a value that is not finite leaves a gap."""
        if not self.buckets or self._points_in_last == self._points_per_bucket:
            if len(self.buckets) == self._capacity:
                self._halve()
            self.buckets.append(Bucket(x, x))
            self._points_in_last = 0
        self.buckets[-1].add(x, y)
        self._points_in_last += 1
        self.last = y

    def _halve(self) -> None:
        for kept, dropped in zip(self.buckets[::2], self.buckets[1::2], strict=True):
            kept.merge(dropped)
        del self.buckets[1::2]
        self._points_per_bucket *= 2
