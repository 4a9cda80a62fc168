"""What counts as time of a run."""

from __future__ import annotations

import time

import pytest

from vixtui.engine.clock import RunClock


@pytest.mark.parametrize(
    ("ago", "counted"), [(20.0, 20.0), (-86_400.0, 0.0), (50 * 365 * 86_400.0, 0.0)]
)
def test_a_clock_that_is_set_while_an_engine_starts_counts_for_nothing(ago, counted) -> None:
    clock = RunClock(time.time() - ago)
    assert clock.elapsed() == pytest.approx(counted, abs=5)
    assert clock.left(60.0) == pytest.approx(60 - counted, abs=5)


def test_sessions_add_up_and_pauses_are_left_out() -> None:
    clock = RunClock(time.time() - 20)
    clock.go_on_from(100.0)
    clock.leave_out(15.0)
    assert clock.elapsed() == pytest.approx(105, abs=5)
    assert clock.left(None) == float("inf")
