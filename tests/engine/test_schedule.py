"""The learning rate, the fastest way to run, and randomness by step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from math import inf

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vixtui.engine import calibrate
from vixtui.engine.schedule import learning_rate
from vixtui.engine.seeding import balanced_order, derived_seed, epoch_order


@given(warmup=st.floats(0, 0.5), peak=st.floats(1e-6, 1))
def test_rate_rises_then_falls_to_zero(warmup: float, peak: float) -> None:
    rates = [learning_rate(step / 200, peak=peak, warmup=warmup) for step in range(201)]
    top = rates.index(max(rates))
    assert max(rates) <= peak * (1 + 1e-9)
    assert rates[-1] == pytest.approx(0, abs=1e-9 * peak)
    assert all(a <= b for a, b in itertools.pairwise(rates[: top + 1]))
    assert all(a >= b for a, b in itertools.pairwise(rates[top:]))


def test_an_epoch_shows_every_picture_once_in_an_order_of_its_own() -> None:
    first, second = epoch_order(0, 0, 50), epoch_order(0, 1, 50)
    assert sorted(first.tolist()) == list(range(50))
    assert not torch.equal(first, second)
    assert torch.equal(first, epoch_order(0, 0, 50))


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=12), seed=st.integers(0, 99))
def test_a_balanced_epoch_shows_all_classes_equally_often(counts: list[int], seed: int) -> None:
    labels = torch.repeat_interleave(torch.arange(len(counts)) * 3, torch.tensor(counts))
    order = balanced_order(seed, 0, labels)
    assert len(order) == len(labels)
    shown = [int((labels[order] == 3 * label).sum()) for label in range(len(counts))]
    assert max(shown) - min(shown) <= 1
    times = order.bincount(minlength=len(labels))
    for label, count in enumerate(counts):
        own = times[labels == 3 * label]
        assert own.max() - own.min() <= 1  # no picture is favoured
        assert count >= shown[label] or own.min() >= 1


def test_a_balanced_epoch_is_its_own_and_always_the_same() -> None:
    labels = torch.tensor([0] * 50 + [1] * 5)
    first, second = balanced_order(0, 0, labels), balanced_order(0, 1, labels)
    assert torch.equal(first, balanced_order(0, 0, labels))
    assert set(first.tolist()) != set(second.tolist())
    assert labels[first].diff().ne(0).sum() > 10  # classes are mixed


def test_seeds_differ_by_purpose_number_and_run() -> None:
    seeds = {
        derived_seed(seed, purpose, number)
        for seed in range(5)
        for purpose in ("order", "augmentation", "dropout")
        for number in range(20)
    }
    assert len(seeds) == 5 * 3 * 20
    assert all(0 <= seed < 2**63 for seed in seeds)


Seconds = Callable[[str, float], float]
"""What an update takes in a precision, at what the clock shows."""


@pytest.fixture
def updates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Seconds], Callable]]:
    """Return what makes updates that seem to take as long as a function says."""
    clock, threads_before = 0.0, torch.get_num_threads()
    monkeypatch.setattr(calibrate.time, "perf_counter", lambda: clock)

    def taking(seconds_of: Seconds) -> Callable[[str], None]:
        def run(precision: str) -> None:
            nonlocal clock
            clock += seconds_of(precision, clock)

        return run

    yield taking
    torch.set_num_threads(threads_before)


@pytest.fixture
def calibrated(updates) -> Callable[..., calibrate.Speed]:
    """Return a way to calibrate with such updates."""
    return lambda seconds_of, *ways, **limit: calibrate.calibrate(
        updates(seconds_of), torch.device("cpu"), ways, **limit
    )


FOUR_WAYS = [("fp32", 2), ("fp32", 1), ("bf16", 2), ("bf16", 1)]
ON_BOTH = [("fp32", 2), ("bf16", 2)]


@pytest.mark.parametrize(
    ("fp32", "bf16", "busy", "limit", "tried", "timed"),
    [
        (1.5, 0.5, 1.0, inf, FOUR_WAYS, FOUR_WAYS),
        (15.0, 8.0, 0.9, inf, ON_BOTH, [("bf16", 2)]),
        (8.0, 15.0, 0.9, inf, ON_BOTH, [("fp32", 2)]),
        (9.0, 8.0, 0.9, inf, ON_BOTH, ON_BOTH),  # first updates differ by chance, too
        (15.0, 1.0, 0.9, inf, [*ON_BOTH, ("bf16", 1)], [("bf16", 2), ("bf16", 1)]),
        (15.0, 8.0, 0.5, inf, FOUR_WAYS, [("bf16", 2), ("bf16", 1)]),  # beside another program
        (15.0, 8.0, 0.9, 15.0, [("fp32", 2)], [("fp32", 2)]),
    ],
)
def test_of_a_large_model_one_update_in_a_way_tells_whether_it_is_far_slower(
    updates, monkeypatch, fp32, bf16, busy, limit, tried, timed
) -> None:
    computed = 0.0
    monkeypatch.setattr(calibrate.time, "process_time", lambda: computed)

    def seconds_of(precision: str, _: float) -> float:
        nonlocal computed
        seconds = {"fp32": fp32, "bf16": bf16}[precision]
        computed += busy * torch.get_num_threads() * seconds
        return seconds

    taken = calibrate.first_updates(
        updates(seconds_of), torch.device("cpu"), FOUR_WAYS, seconds=limit
    )
    assert list(taken) == tried
    assert calibrate.worth_timing(taken) == timed


@pytest.mark.parametrize(("bf16", "expected"), [(0.95, "fp32"), (0.5, "bf16")])
def test_the_faster_precision_is_chosen_only_when_it_is_worth_it(
    calibrated, bf16: float, expected: str
) -> None:
    seconds = {"fp32": 1.0, "bf16": bf16}
    chosen = calibrated(lambda precision, _: seconds[precision], ("fp32", 1), ("bf16", 1))
    assert chosen.precision == expected


def test_a_lucky_update_beside_a_busy_program_does_not_decide(calibrated) -> None:
    seconds = {1: iter([0.2] * 5), 2: iter([0.3, 0.3, 0.1, 0.3, 0.3])}
    chosen = calibrated(lambda *_: next(seconds[torch.get_num_threads()]), ("fp32", 1), ("fp32", 2))
    assert (chosen.threads, chosen.seconds) == (1, pytest.approx(0.2))


def test_what_holds_up_the_machine_for_a_moment_does_not_decide(calibrated) -> None:
    seconds = {"fp32": 0.3, "bf16": 0.2}

    def seconds_of(precision: str, now: float) -> float:
        return seconds[precision] * (2 if 1.4 < now < 4 else 1)

    chosen = calibrated(seconds_of, ("fp32", 1), ("bf16", 1))
    assert (chosen.precision, chosen.seconds) == ("bf16", pytest.approx(0.2))


def test_a_way_that_is_far_slower_is_tried_twice(calibrated) -> None:
    tried: list[str] = []

    def seconds_of(precision: str, _: float) -> float:
        tried.append(precision)
        return {"fp32": 0.5, "bf16": 0.1}[precision]

    calibrated(seconds_of, ("fp32", 1), ("bf16", 1))
    assert tried == ["fp32", "bf16", "fp32", "bf16", "bf16", "bf16", "bf16"]


@pytest.mark.parametrize(("seconds", "expected"), [(inf, ("bf16", 2)), (10.0, ("fp32", 2))])
def test_each_way_of_a_slow_model_is_tried_while_there_is_time(
    calibrated, seconds: float, expected: tuple[str, int]
) -> None:
    def seconds_of(precision: str, _: float) -> float:
        return {"fp32": 8.0, "bf16": 4.0}[precision] / torch.get_num_threads()

    ways = [("fp32", 1), ("fp32", 2), ("bf16", 1), ("bf16", 2)]
    chosen = calibrated(seconds_of, *ways, seconds=seconds)
    assert (chosen.precision, chosen.threads) == expected


@pytest.mark.parametrize(
    ("device", "asked", "cores", "ways"),
    [
        ("cpu", (0, "auto"), 4, [("fp32", 4), ("fp32", 1), ("bf16", 4), ("bf16", 1)]),
        ("cpu", (0, "fp32"), 1, [("fp32", 1)]),
        ("cpu", (3, "auto"), 4, [("fp32", 3), ("bf16", 3)]),
        ("cpu", (0, "bf16"), 4, [("bf16", 4), ("bf16", 1)]),
        ("cuda", (0, "fp32"), 4, [("fp32", 4)]),
    ],
)
def test_what_is_fixed_is_not_tried_in_other_ways(
    device: str, asked: tuple, cores: int, ways: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibrate, "native_bf16", lambda device: True)
    threads, precision = asked
    found = calibrate.ways_to_try(
        torch.device(device), threads=threads, precision=precision, cores=cores
    )
    assert found == ways
