"""What the engine says of its speed."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest
import torch

from vixtui.engine.learner import Update
from vixtui.engine.reporter import Reporter
from vixtui.runs.events import EventWriter, StepDone, read_events


@pytest.fixture
def updates(tmp_path):
    """Report updates of 64 pictures that took so many seconds; return the events."""

    def report(*steps: float, pause: float = 0.0) -> list[Any]:
        with closing(EventWriter(tmp_path / "events.jsonl")) as writer:
            reporter = Reporter(writer)
            for number, seconds in enumerate(steps, start=1):
                time.sleep(pause)
                one = torch.ones(())
                reporter.step(
                    Update(loss_sum=one, correct=one, images=64, grad_norm=one),
                    step=number, epoch=0.1, lr=0.1, progress=0.1 * number, seconds=seconds,
                    elapsed_seconds=1.0 * number, device=torch.device("cpu"),
                )  # fmt: skip
        return [
            event for event in read_events(tmp_path / "events.jsonl")
            if isinstance(event, StepDone)
        ]  # fmt: skip

    return report


def test_speed_leaves_out_what_lies_between_updates(updates):
    assert [event.images_per_second for event in updates(0.2, 0.4, pause=0.3)] == [320, 160]


def test_short_updates_are_told_together(updates):
    [event] = updates(0.04, 0.04, 0.04)
    assert event.step == 3
    assert event.images_per_second == pytest.approx(3 * 64 / 0.12)
