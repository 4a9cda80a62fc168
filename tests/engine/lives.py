"""An engine with several lives: ``lives.py RUN_DIR SECONDS LIFE…``, each ``ACT:PLACE:COUNT``.

In each life the run goes on until it comes to PLACE for the COUNTth time, where ACT happens; after
them one life goes on to the end. States are SECONDS apart, or an epoch. Lives are forks, so that
torch is imported once. Prints the exit code or signal that ended each life, and where; and how
many places a life came to that ended by itself.

Acts: ``kill`` (SIGKILL), ``cut`` (the same, and the newest files, those written since the state
before, lose their second half), ``oom`` (the same as ``kill``, counted as the kernel does it for
lack of memory), ``int``, ``term``, ``hup`` (signals), ``stop`` (the control file). Places: the keys
of `PLACES` or ``any``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vixtui import files
from vixtui.engine import evaluate, keeper, learner, storage
from vixtui.engine.__main__ import main
from vixtui.engine.train import train as imported_before_forking  # noqa: F401
from vixtui.runs import control, events, lock
from vixtui.runs.directory import RunDirectory

PLACES = {
    "step": (learner, "augment"),
    "update": (learner.Learner, "apply"),
    "average": (learner.Learner, "_average"),
    "write": (storage, "save_file"),
    "sync": (storage, "sync"),
    "rename": (files.os, "replace"),
    "validation": (evaluate, "predict_logits"),
    "event": (events.EventWriter, "write"),
}
SIGNALS = {"int": signal.SIGINT, "term": signal.SIGTERM, "hup": signal.SIGHUP}


oom_kills = {"group": 0}


def act(run: RunDirectory, what: str, place: str) -> None:
    """Bring about what ends this life."""
    print(f"{what} at {place}", flush=True)
    if what == "stop":
        control.send(run.control_path, "stop")
    elif what in SIGNALS:
        os.kill(os.getpid(), SIGNALS[what])
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def watch(run: RunDirectory, life: str) -> Counter[str]:
    """Count how often each place is come to, before and after what is done there."""
    what, wanted, count = life.split(":")
    seen: Counter[str] = Counter()

    def tick(place: str) -> None:
        for name in (place, "any"):
            seen[name] += 1
            if name == wanted and seen[name] == int(count):
                act(run, what, place)

    def counted(place: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*arguments: Any, **named: Any) -> Any:
            tick(place)
            result = function(*arguments, **named)
            tick(place)
            return result

        return wrapper

    for place, (owner, name) in PLACES.items():
        setattr(owner, name, counted(place, getattr(owner, name)))
    return seen


def written(path: Path) -> int:
    """Return when a file was written, in nanoseconds; 0 if there is none."""
    return path.stat().st_mtime_ns if path.exists() else 0


def live(run: RunDirectory, life: str | None) -> None:
    """Live one life in a process of its own."""
    run.control_path.unlink(missing_ok=True)  # as whoever starts an engine does
    child = os.fork()
    if not child:
        seen = watch(run, life or "none::0")
        sys.argv = ["engine", "train", str(run.path)]
        code = 1
        try:
            code = main()
            print(f"places {seen['any']}", flush=True)
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    print(f"ended {os.waitstatus_to_exitcode(status)}", flush=True)
    if life and life.startswith("oom"):
        oom_kills["group"] += 1
    if life and life.startswith("cut"):
        for path in (run.state_path, run.model_path):
            if written(path) > written(run.predecessor_path):
                os.truncate(path, path.stat().st_size // 2)


if __name__ == "__main__":
    folder = RunDirectory(Path(sys.argv[1]))
    keeper._SAVING_SHARE = 1e9  # a state after each epoch, however short
    keeper._STATE_SECONDS = float(sys.argv[2])
    lock.oom_kills = oom_kills.copy
    for life in (*sys.argv[3:], None):
        live(folder, life)
