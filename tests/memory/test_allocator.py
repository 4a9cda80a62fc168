from __future__ import annotations

import random

import pytest
from allocator_cases import random_events
from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.memory.allocator import (
    LARGE_SEGMENT_BYTES,
    SEGMENT_STEP_BYTES,
    Allocate,
    Event,
    Free,
    Segments,
    simulate,
    smallest_budget,
)

KIB, MIB = 2**10, 2**20
NATIVE, EXPANDABLE = Segments.NATIVE, Segments.EXPANDABLE

traces = st.builds(random_events, st.integers(0, 10**6), st.integers(1, 200))
modes = st.sampled_from(Segments)


def allocate(*sizes: int) -> list[Event]:
    return [Allocate(number, size) for number, size in enumerate(sizes)]


def reserved(events: list[Event], segments: Segments = NATIVE) -> int:
    return simulate(events, segments=segments).peak_reserved


@pytest.mark.parametrize(
    ("size", "allocated"), [(0, 0), (1, 512), (512, 512), (513, 1024), (3 * MIB, 3 * MIB)]
)
def test_blocks_are_whole_multiples_of_512_bytes(size: int, allocated: int) -> None:
    assert simulate(allocate(size)).peak_allocated == allocated


@pytest.mark.parametrize(
    ("size", "native", "expandable"),
    [
        (1, 2, 2),
        (1 * MIB, 2, 2),
        (1 * MIB + 1, 20, 20),
        (10 * MIB - 512, 20, 20),
        (10 * MIB, 10, 20),
        (21 * MIB, 22, 40),
    ],
)
def test_segment_for_a_first_block(size: int, native: int, expandable: int) -> None:
    assert reserved(allocate(size), NATIVE) == native * MIB
    assert reserved(allocate(size), EXPANDABLE) == expandable * MIB


def test_small_blocks_share_a_segment_and_never_one_with_large_blocks() -> None:
    assert reserved(allocate(*[512 * KIB] * 4)) == 2 * MIB
    assert reserved(allocate(*[512 * KIB] * 5)) == 4 * MIB
    assert reserved(allocate(3 * MIB, 512 * KIB)) == 22 * MIB


def test_freed_block_is_reused() -> None:
    events = [Allocate(1, 30 * MIB), Free(1), Allocate(2, 25 * MIB)]
    assert reserved(events) == 30 * MIB


def test_best_fitting_block_is_taken() -> None:
    events = [*allocate(40 * MIB, 30 * MIB), Free(0), Free(1), Allocate(2, 30 * MIB)]
    assert reserved([*events, Allocate(3, 40 * MIB)]) == 70 * MIB


def test_neighbours_that_are_free_become_one_block() -> None:
    events = [*allocate(*[5 * MIB] * 4), Free(1), Free(3), Free(2), Allocate(4, 15 * MIB)]
    assert reserved(events) == 20 * MIB


def test_native_large_segment_keeps_a_rest_that_no_large_block_fits_in() -> None:
    size = 19 * MIB + 512
    assert simulate(allocate(size)).peak_allocated == 20 * MIB
    assert simulate(allocate(size), segments=EXPANDABLE).peak_allocated == size


def test_expandable_segment_grows_where_native_ones_fragment() -> None:
    events = [*allocate(20 * MIB, 20 * MIB), Free(0), Free(1), Allocate(2, 60 * MIB)]
    assert reserved(events, NATIVE) == 100 * MIB
    assert reserved(events, EXPANDABLE) == 60 * MIB


@pytest.mark.parametrize("segments", Segments)
def test_free_memory_is_given_back_before_memory_runs_out(segments: Segments) -> None:
    events = [Allocate(1, 1 * MIB), Free(1), Allocate(2, 40 * MIB)]
    assert reserved(events, segments) == 42 * MIB
    outcome = simulate(events, limit=40 * MIB, segments=segments)
    assert (outcome.failed_at, outcome.peak_reserved) == (None, 40 * MIB)


def test_native_segment_in_use_is_not_given_back_but_its_free_pages_are_if_expandable() -> None:
    events = [Allocate(0, 60 * MIB), Free(0), Allocate(1, 2 * MIB), Allocate(2, 80 * MIB)]
    assert simulate(events, limit=100 * MIB, segments=NATIVE).failed_at == 3
    assert simulate(events, limit=100 * MIB, segments=EXPANDABLE).failed_at is None


def test_expandable_segments_check_their_limit_before_they_round_to_pages() -> None:
    outcome = simulate(allocate(21 * MIB), limit=22 * MIB, segments=EXPANDABLE)
    assert (outcome.failed_at, outcome.peak_reserved) == (None, 40 * MIB)
    assert simulate(allocate(21 * MIB), limit=21 * MIB, segments=EXPANDABLE).failed_at == 0


def test_sequence_ends_where_memory_runs_out() -> None:
    outcome = simulate(allocate(30 * MIB, 30 * MIB, 30 * MIB, 1), limit=70 * MIB)
    assert (outcome.failed_at, outcome.peak_allocated) == (2, 60 * MIB)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([Allocate(7, 1), Allocate(7, 1)], "block 7 is live already"),
        ([Free(7)], "block 7 is not live"),
        ([Allocate(7, 1), Free(7), Free(7)], "block 7 is not live"),
    ],
)
def test_impossible_sequences_are_refused(events: list[Event], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(events)


@settings(max_examples=100, deadline=None)
@given(traces, modes)
def test_live_blocks_lie_within_the_segments(events: list[Event], segments: Segments) -> None:
    live: dict[int, int] = {}
    most = 0
    for event in events:
        if isinstance(event, Free):
            del live[event.block]
        else:
            live[event.block] = event.size
        most = max(most, sum(live.values()))
    outcome = simulate(events, segments=segments)
    assert most <= outcome.peak_allocated <= outcome.peak_reserved
    assert outcome.peak_reserved % SEGMENT_STEP_BYTES == 0
    if segments is NATIVE:
        assert outcome.peak_demand == outcome.peak_reserved


@settings(max_examples=100, deadline=None)
@given(traces, modes)
def test_limit_that_is_never_reached_changes_nothing(
    events: list[Event], segments: Segments
) -> None:
    outcome = simulate(events, segments=segments)
    assert simulate(events, limit=outcome.peak_demand, segments=segments) == outcome


@settings(max_examples=100, deadline=None)
@given(traces, modes, st.integers(0, 10**6))
def test_nothing_is_lost_when_all_blocks_are_freed(
    events: list[Event], segments: Segments, seed: int
) -> None:
    live = {event.block for event in events if isinstance(event, Allocate)}
    live -= {event.block for event in events if isinstance(event, Free)}
    order = random.Random(seed).sample(sorted(live), len(live))
    limit = max(LARGE_SEGMENT_BYTES, simulate(events, segments=segments).peak_demand)
    whole = [*events, *map(Free, order), Allocate(-1, limit)]
    assert simulate(whole, limit=limit, segments=segments).failed_at is None


@settings(max_examples=100, deadline=None)
@given(traces, modes)
def test_smallest_budget_is_enough_and_less_is_not(events: list[Event], segments: Segments) -> None:
    budget = smallest_budget(events, segments=segments)
    outcome = simulate(events, limit=budget, segments=segments)
    beyond = LARGE_SEGMENT_BYTES if segments is EXPANDABLE else 0
    assert outcome.failed_at is None
    assert outcome.peak_reserved <= budget + beyond
    assert simulate(events, limit=budget - 1, segments=segments).failed_at is not None
    # Nor may a larger limit be too low, as it would be if less did by chance.
    enough = simulate(events, segments=segments).peak_demand
    for limit in range(budget, enough, SEGMENT_STEP_BYTES):
        assert simulate(events, limit=limit, segments=segments).failed_at is None


def test_nothing_needs_no_budget() -> None:
    assert smallest_budget([]) == 0
    assert smallest_budget([Allocate(1, 0), Free(1)]) == 0
