"""What counts as time of a run."""

from __future__ import annotations

import time

import pytest

from vixtui.engine.clock import RunClock
from vixtui.runs.process import started_at


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_is_set_while_an_engine_starts_counts_for_nothing(
    days: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started, now = started_at(), time.time
    monkeypatch.setattr(time, "time", lambda: now() + 86_400 * days)
    clock = RunClock(started)
    alive = time.monotonic() - started
    assert 0 < alive < 3600
    assert clock.elapsed() == pytest.approx(alive, abs=5)
    assert clock.left(alive + 60) == pytest.approx(60, abs=5)


def test_sessions_add_up_and_pauses_are_left_out() -> None:
    clock = RunClock(time.monotonic() - 20)
    clock.go_on_from(100.0)
    clock.leave_out(15.0)
    assert clock.elapsed() == pytest.approx(105, abs=5)
    assert clock.left(None) == float("inf")
