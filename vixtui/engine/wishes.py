"""What is asked of a running engine: by the control file, or by a signal."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import get_args

from vixtui.engine.distributed import Group
from vixtui.runs.control import Command, Inbox

_PAUSE_POLL_SECONDS = 0.1
_COMMANDS: tuple[Command | None, ...] = (None, *get_args(Command))


class Wishes:
    """Looks at the control file between steps; a signal asks to stop.

    Args:
        inbox: of the run.
        group: hears what its first process is asked; a signal to one of several ends that one.
    """

    def __init__(self, inbox: Inbox, group: Group) -> None:
        self._inbox, self._group = inbox, group
        self._stop = False
        self._put_off: Command | None = None
        if group.size > 1:
            return
        for name in ("SIGTERM", "SIGINT", "SIGHUP"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def poll(self) -> Command | None:
        """Return what has been asked for since the last look."""
        command = "stop" if self._stop else self._inbox.poll() or self._put_off
        self._put_off = None
        heard = int(self._group.decide(_COMMANDS.index(command)))
        return _COMMANDS[heard]

    def stop_asked(self) -> bool:
        """Tell whether to stop; whatever else is asked for waits for the next `poll`."""
        command = self.poll()
        self._put_off = None if command == "stop" else command
        return command == "stop"

    def wait_for_end_of_pause(self, leave_out: Callable[[float], None]) -> Command:
        """Return ``resume`` or ``stop`` when it comes.

        Args:
            leave_out: told the seconds that it took.
        """
        paused = time.monotonic()
        while (command := self.poll()) not in ("resume", "stop"):
            time.sleep(_PAUSE_POLL_SECONDS)
        leave_out(time.monotonic() - paused)
        return command

    def _on_signal(self, *_: object) -> None:
        self._stop = True
