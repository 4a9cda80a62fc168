"""Sequences of events, and what torch's own allocator makes of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import noop_cuda

from vixtui.memory.allocator import (
    Allocate,
    Event,
    Free,
    Outcome,
    Segments,
    simulate,
    smallest_budget,
)

Case = tuple[Sequence[Event], int | None]
"""Events and the limit in bytes."""
Figures = tuple[int, int, int | None]
"""Peak allocated bytes, peak reserved bytes, the event that ran out of memory."""


def random_events(seed: int, length: int) -> list[Event]:
    """Draw allocations from 32 bytes to 128 MiB, and frees in any order.

    What is drawn differs from seed to seed: the range of sizes, whether few sizes come again and
    again as in training, how many blocks live at a time.
    """
    draw = random.Random(seed)
    low, high = draw.uniform(5, 18), draw.uniform(20, 27)
    sizes = [int(2 ** draw.uniform(low, high)) for _ in range(draw.choice((8, 32, length)))]
    most_live = draw.choice((10, 40, 160))
    return list(_random_events(draw, sizes, most_live, length))


def _random_events(
    draw: random.Random, sizes: Sequence[int], most_live: int, length: int
) -> Iterator[Event]:
    live: list[int] = []
    for number in range(length):
        if live and (len(live) >= most_live or draw.random() < 0.45):
            yield Free(live.pop(draw.randrange(len(live))))
        else:
            live.append(number)
            yield Allocate(number, draw.choice(sizes))


def random_cases(seed: int, length: int, segments: Segments) -> list[Case]:
    """Return random events without a limit, with one too low, and with the lowest that will do."""
    events = random_events(seed, length)
    budget = smallest_budget(events, segments=segments)
    too_low = random.Random(seed).randrange(budget // 2, budget)
    return [(events, None), (events, too_low), (events, budget)]


def simulated_figures(cases: Sequence[Case], segments: Segments) -> list[Figures]:
    """Return what the simulation makes of `cases`."""
    return [figures(simulate(events, limit=limit, segments=segments)) for events, limit in cases]


def real_figures(
    cuda: noop_cuda.NoopCuda, cases: Sequence[Case], segments: Segments
) -> list[Figures]:
    """Return what torch's own allocator makes of `cases`."""
    given = [{"events": encode(events), "limit": limit} for events, limit in cases]
    found = cuda.run(
        noop_cuda.HERE / "replay.py",
        given,
        expandable_segments=segments is Segments.EXPANDABLE,
    )
    return [tuple(entry) for entry in found]


def figures(outcome: Outcome) -> Figures:
    """Return those figures of an outcome that torch reports too."""
    return outcome.peak_allocated, outcome.peak_reserved, outcome.failed_at


def encode(events: Sequence[Event]) -> list[list[int]]:
    """Return events as the programs of `noop_cuda` take them."""
    return [
        [event.block, event.size] if isinstance(event, Allocate) else [event.block]
        for event in events
    ]


def decode(events: Sequence[Sequence[int]]) -> list[Event]:
    """Return the events that the programs of `noop_cuda` record."""
    return [Allocate(event[0], event[1]) if len(event) == 2 else Free(event[0]) for event in events]
