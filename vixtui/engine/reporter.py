"""The engine's voice: events, at most ten progress lines a second."""

from __future__ import annotations

import time

import torch

from vixtui.engine.device import peak_memory_bytes
from vixtui.engine.learner import Update
from vixtui.runs import events
from vixtui.text import safe

_WINDOW_SECONDS = 0.1
_MAX_WARNINGS = 100


class Reporter:
    """Writes the event log of a run.

    Args:
        writer: the log; without one it keeps silent, in all processes but the first.
    """

    def __init__(self, writer: events.EventWriter | None) -> None:
        self._writer = writer
        self._warnings = 0
        self._window: list[Update] = []
        self._window_seconds = 0.0
        self._first: tuple[float, float] | None = None

    def write(self, kind: type[events.Event], **values: object) -> None:
        """Append an event, stamped with the time."""
        if self._writer is not None:
            self._writer.write(kind, time.time(), **values)

    def warn(self, message: str) -> None:
        """Tell of something a user should know; after a hundred, only that there are more."""
        self._warnings += 1
        if self._warnings <= _MAX_WARNINGS:
            self.write(events.Warned, message=safe(message))
        elif self._warnings == _MAX_WARNINGS + 1:
            self.write(events.Warned, message="more warnings are not shown")

    def step(
        self,
        update: Update,
        *,
        step: int,
        epoch: float,
        lr: float,
        progress: float,
        seconds: float,
        elapsed_seconds: float,
        device: torch.device,
    ) -> None:
        """Take in one update; report the window's means when it is full.

        Args:
            seconds: what the update took; pauses, validations and saves between two are not speed.
            elapsed_seconds: of the whole run.
        """
        if self._first is None:
            self._first = (progress, elapsed_seconds)
        self._window.append(update)
        self._window_seconds += seconds
        if self._window_seconds < _WINDOW_SECONDS:
            return
        images = sum(update.images for update in self._window)
        self.write(
            events.StepDone,
            step=step,
            epoch=epoch,
            loss=sum(update.loss_sum.item() for update in self._window) / images,
            accuracy=sum(update.correct.item() for update in self._window) / images,
            lr=lr,
            grad_norm=self._window[-1].grad_norm.item(),
            images_per_second=images / self._window_seconds,
            memory_bytes=peak_memory_bytes(device),
            progress=min(1.0, progress),
            eta_seconds=self._eta(progress, elapsed_seconds),
        )
        self._window, self._window_seconds = [], 0.0

    def _eta(self, progress: float, elapsed_seconds: float) -> float:
        """Seconds to the end at the pace since this session's first step."""
        assert self._first is not None
        done, took = progress - self._first[0], elapsed_seconds - self._first[1]
        return (1 - progress) * took / done if done > 0 else float("nan")
