"""An engine that stays warm between questions, so that only the first one waits for its start."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from vixtui.errors import VixtuiError
from vixtui.runs.process import Engine

IDLE_SECONDS = 60


class WarmEngine:
    """Answers from any thread, one question at a time."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._engine: Engine | None = None
        self._last_use = 0.0
        self._closed = False

    @property
    def warm(self) -> bool:
        """Whether the next answer comes without waiting for a start."""
        return self._engine is not None

    def ask(
        self,
        question: str,
        *,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Return the answer; blocks. See `vixtui.runs.process.Engine.ask`.

        Raises:
            VixtuiError: the engine's error, or its death.
        """
        with self._turn:
            if self._closed:
                raise VixtuiError("the program is closing")
            if self._engine is None:
                self._engine = Engine()
            engine = self._engine
            try:
                return engine.ask(question, on_progress=on_progress, **arguments)
            finally:
                self._last_use = time.monotonic()
                if not engine.running or self._closed:
                    self._engine = None
                    engine.close()

    def close_if_idle(self) -> None:
        """End the engine when nobody asked for a while; never waits for an answer."""
        if self._engine is None or time.monotonic() - self._last_use < IDLE_SECONDS:
            return
        if self._turn.acquire(blocking=False):
            try:
                engine, self._engine = self._engine, None
                if engine is not None:
                    engine.close()
            finally:
                self._turn.release()

    def kill(self) -> None:
        """End the engine at once, also in the middle of an answer."""
        self._closed = True
        engine = self._engine
        if engine is not None:
            engine.kill()
        with self._turn:
            if self._engine is not None:
                self._engine.close()
                self._engine = None
