"""Starting the engine and asking it things; the engine is always another process.

Training runs detached and speaks through its run directory. Everything else (evaluate, predict,
download, bench, trace) is a question: one JSON object a line goes in, JSON objects come out, the
last one a ``result`` or an ``error``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from vixtui.errors import BY_EXIT_CODE, VixtuiError
from vixtui.files import disk_error
from vixtui.runs.directory import RunDirectory
from vixtui.runs.heap import heap_environment

if TYPE_CHECKING:
    import psutil

# How often libgomp asks at each barrier before it sleeps. Of 300,000 times, its own choice, a busy
# machine makes a training up to 29 times slower. With few, a quiet one pays for waking a thread
# each time, which is dear in a virtual machine: 10,000 times, a fraction of a millisecond, took 10
# to 30 % off a step of two threads compared with 500 times, and beside a busy process training
# kept 0.7 of its speed. Other libraries only know the policy.
_ENVIRONMENT = {
    "GOMP_SPINCOUNT": "10000",
    "OMP_WAIT_POLICY": "PASSIVE",
    "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}
_LEAVE_SECONDS = 5.0
COUNTED_FROM_VARIABLE = "VIXTUI_COUNTED_FROM"


@dataclass(frozen=True, slots=True)
class Nodes:
    """The machines that train one run.

    Args:
        count: how many.
        rank: this one's number; 0 holds the run's directory.
        endpoint: ``HOST:PORT`` of the first, where the others find it; port 0 on one machine.
    """

    count: int
    rank: int
    endpoint: str

    @classmethod
    def parse(cls, words: Sequence[str]) -> Nodes:
        """Take back what `words` returned; nothing is one machine."""
        return cls(int(words[0]), int(words[1]), words[2]) if words else ONE_NODE

    def words(self) -> list[str]:
        """Return command-line arguments."""
        return [str(self.count), str(self.rank), self.endpoint]


ONE_NODE = Nodes(1, 0, "127.0.0.1:0")


def started_at(process: psutil.Process | None = None) -> float:
    """Return when a process, or this one, started, in seconds of `time.monotonic`.

    That is the same for all processes of a machine, and goes on when the clock is set.
    """
    import psutil

    process = process or psutil.Process()
    return time.monotonic() - (time.time() - process.create_time())


def start_training(
    run: RunDirectory,
    nproc: int | None = None,
    nodes: Nodes = ONE_NODE,
    *,
    counted_from: float | None = None,
) -> subprocess.Popen[bytes]:
    """Start, or resume, the engine of a run in a session of its own; return at once.

    What the control file asked of an earlier engine is forgotten.

    Args:
        run: with its configuration.
        nproc: processes of this machine, if not as many as planned.
        nodes: the machines that train together.
        counted_from: from when on its time counts, see `started_at`, if not from now.

    Raises:
        DiskError: when the log cannot be written.
    """
    try:
        log = run.log_path.open("ab")
        run.control_path.unlink(missing_ok=True)
    except OSError as error:
        raise disk_error(error, run.log_path) from error
    counted = {} if counted_from is None else {COUNTED_FROM_VARIABLE: str(counted_from)}
    words = [str(nproc or 0), *nodes.words()] if nproc or nodes.count > 1 else []
    with log:
        return subprocess.Popen(
            _command("train", str(run.path), *words),
            env=os.environ | engine_environment() | counted,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )


def join_training(nproc: int, nodes: Nodes) -> int:
    """Lend this machine to a run of another one until it ends, or this process does.

    Returns:
        The exit code.
    """
    command = _command("join", str(nproc), *nodes.words())
    # It speaks to the user, whom torch's warnings about names of machines would puzzle.
    environment = {"TORCH_CPP_LOG_LEVEL": "ERROR"} | os.environ | engine_environment()
    # Ctrl+C is for this process alone, after which the other tidies up and ends.
    return subprocess.Popen(command, env=environment, start_new_session=os.name == "posix").wait()


class Engine:
    """A warm engine that answers questions over a pipe; a context manager.

    Args:
        log_path: where the engine's stderr goes; without, it is dropped.
    """

    def __init__(self, log_path: Path | None = None) -> None:
        self._log = log_path.open("ab") if log_path else None
        self._process = subprocess.Popen(
            _command("serve"),
            env=os.environ | engine_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log or subprocess.DEVNULL,
        )

    def ask(
        self,
        question: str,
        *,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
        **arguments: Any,
    ) -> dict[str, Any]:
        """Return the answer to one question; blocks.

        Args:
            question: ``predict``, ``evaluate``, ``download``, ``bench``; see
                ``vixtui.engine.serve``.
            on_progress: called with each ``progress`` object before the answer.
            arguments: JSON-able; sent along.

        Raises:
            VixtuiError: the error the engine answers with, its death, or an answer that makes no
                sense; the last also ends it.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        line = json.dumps({"ask": question, **arguments}).encode() + b"\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            raise self._died() from None
        for answer in self._process.stdout:
            try:
                message = json.loads(answer)
                kind = message.pop("type")
                error = _error(message) if kind == "error" else None
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                self._process.kill()
                self._process.wait()
                said = answer[:100].decode(errors="replace").strip()
                raise VixtuiError(f"the engine is not understood: {said}") from None
            if error is not None:
                raise error
            if kind == "result":
                return dict(message)
            if kind == "progress" and on_progress is not None:
                on_progress(message)
        raise self._died()

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the process at once, from any thread; whoever waits for an answer gets an error."""
        self._process.kill()

    def close(self) -> None:
        """End the engine."""
        if self._process.stdin is not None:
            # A question that a dead engine has not read is still in the buffer.
            with suppress(OSError):
                self._process.stdin.close()
        self._wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        if self._log is not None:
            self._log.close()

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        self.close()

    def _wait(self) -> int:
        """Return the exit code of a process that ends by itself soon, or is made to."""
        try:
            return self._process.wait(timeout=_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _died(self) -> VixtuiError:
        return VixtuiError(
            f"the engine ended unexpectedly with code {self._wait()}",
            remedy="most often memory ran out; close other programs and try again",
        )


def _error(message: dict[str, Any]) -> VixtuiError:
    kind = BY_EXIT_CODE.get(message["exit_code"], VixtuiError)
    return kind(message["what"], where=message["where"], remedy=message["remedy"])


def engine_environment() -> dict[str, str]:
    """Return the environment variables that every engine is started with."""
    return _ENVIRONMENT | heap_environment()


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "vixtui.engine", *arguments]
