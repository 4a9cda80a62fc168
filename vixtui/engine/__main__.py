"""Entry point of the engine process: ``train RUN_DIR``, ``serve`` or ``devices``."""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import closing, nullcontext, suppress
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import NoReturn, TextIO

from vixtui.data.silence import end_when_silent
from vixtui.engine.clock import counted_from
from vixtui.errors import DiskError, DoesNotFitError, ExitCode, VixtuiError
from vixtui.runs import events
from vixtui.runs.directory import RunDirectory
from vixtui.runs.lessons import way_after_kill
from vixtui.runs.lock import acquire, release
from vixtui.runs.process import ONE_NODE, Nodes, started_at
from vixtui.text import safe

_NICENESS = 10


class _SafeLog:
    """A text stream that lets no control character but the newline into the log.

    What a full disk has no room for is lost.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        lines = (safe(line, max_length=2000) for line in text.split("\n"))
        with suppress(OSError):
            self._stream.write("\n".join(lines))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


def main() -> int:
    """Run the job named on the command line; return its exit code."""
    match sys.argv[1:]:
        case ["train", folder]:
            return _train(RunDirectory(Path(folder)), None, ONE_NODE)
        case ["train", folder, nproc, *nodes]:
            return _train(RunDirectory(Path(folder)), int(nproc), Nodes.parse(nodes))
        case ["join", nproc, *nodes]:
            return _join(int(nproc), Nodes.parse(nodes))
        case ["work", folder]:  # the agent's priority and limits are inherited
            _keep_log_safe()
            _work(RunDirectory(Path(folder)))
        case ["serve"]:
            _lower_priority()
            _load_torch()
            from vixtui.engine.serve import serve

            return serve()
        case ["devices"]:
            _lower_priority()
            _load_torch()
            from vixtui.engine.devices import describe_devices

            print(json.dumps(describe_devices()))
            return ExitCode.OK
    print("error: the engine is started by vixtui, not by hand", file=sys.stderr)
    return ExitCode.USAGE


def _load_torch() -> None:
    """Import torch without looking for garbage in what it makes, which stays: a tenth faster."""
    gc.disable()
    try:
        import torch  # noqa: F401

        gc.freeze()
    finally:
        gc.enable()


def _keep_log_safe() -> None:
    sys.stdout = sys.stderr = _SafeLog(sys.stdout)


def _lower_priority() -> None:
    if hasattr(os, "nice"):
        os.nice(_NICENESS)


def _train(run: RunDirectory, nproc: int | None, nodes: Nodes) -> int:
    """Train alone or lead others; whatever goes wrong becomes the run's last event."""
    _lower_priority()
    _keep_log_safe()
    oom_killed = run.oom_killed()  # the engine whose lock is taken over
    try:
        acquire(run.lock_path)
    except VixtuiError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    try:
        end_when_silent(lambda error: _say_last_word(run, error))
        failure = _failure_of(lambda: _train_or_lead(run, nproc, nodes, oom_killed), run)
        if failure is None:
            return ExitCode.OK
        _say_last_word(run, failure)
        return failure.exit_code
    finally:
        release(run.lock_path)


def _say_last_word(run: RunDirectory, failure: VixtuiError) -> None:
    # The disk may be full, or the folder gone: then the exit code tells.
    with suppress(OSError, DiskError), closing(events.EventWriter(run.events_path)) as writer:
        writer.write(
            events.Failed, time.time(), message=failure.message, exit_code=int(failure.exit_code)
        )


def _train_or_lead(run: RunDirectory, nproc: int | None, nodes: Nodes, oom_killed: bool) -> None:
    if oom_killed:
        with _log(run) as writer:
            _go_on_in_less(run, writer)
    _load_torch()
    nproc = nproc or run.config().plan.nproc
    if nproc * nodes.count > 1:
        _lead(run, nproc, nodes)
        return
    from vixtui.engine.reporter import Reporter
    from vixtui.engine.state import settle_state
    from vixtui.engine.train import train

    with _log(run) as writer:
        reporter = Reporter(writer)
        if warning := settle_state(run):
            reporter.warn(warning)
        train(run, reporter, started=counted_from())


def _lead(run: RunDirectory, nproc: int, nodes: Nodes) -> None:
    """Lead others; a run that the kernel ended for lack of memory will go on in less."""
    from vixtui.engine.agent import lead

    try:
        lead(run, nproc, nodes)
    except DoesNotFitError:
        if run.oom_killed():
            with _log(run) as writer:
                _go_on_in_less(run, writer)
        raise


def _go_on_in_less(run: RunDirectory, writer: events.EventWriter) -> None:
    """Write down that memory ran out, which the engine that the kernel ended could not."""
    if way := way_after_kill(run):
        saved = run.progress().checkpoint
        writer.write(
            events.MemoryRanOut,
            time.time(),
            step=saved.step if saved else 0,
            micro_batch=way[0],
            recompute=way[1],
        )


def _join(nproc: int, nodes: Nodes) -> int:
    """Help another machine, which has the run and tells what comes of it."""
    _lower_priority()
    _keep_log_safe()
    _load_torch()
    from vixtui.engine import agent

    with tempfile.TemporaryDirectory(prefix="vixtui-") as folder:
        tempfile.tempdir = folder  # of the processes, too
        agent.end_with_parent(partial(rmtree, folder, ignore_errors=True))
        run = RunDirectory(Path(folder))
        failure = _failure_of(lambda: agent.lead(run, nproc, nodes), run)
    return failure.exit_code if failure else ExitCode.OK


def _work(run: RunDirectory) -> NoReturn:
    """Train as one of several processes; the agent hears of whatever goes wrong."""
    _load_torch()
    from vixtui.engine import agent

    agent.end_with_parent()
    end_when_silent(agent.name_failure)
    failure = _failure_of(lambda: _train_with_others(run), run)
    if failure is not None:
        agent.name_failure(failure)
    end(failure.exit_code if failure else ExitCode.OK)


def _train_with_others(run: RunDirectory) -> None:
    from vixtui.engine import agent, distributed
    from vixtui.engine.reporter import Reporter
    from vixtui.engine.state import settle_state
    from vixtui.engine.train import train

    try:
        group = distributed.join()
        warning = settle_state(run) if group.first else None
        group.decide(0)  # the others read what the first has settled
        run = agent.receive_run(run, group)
        with _log(run) if group.first else nullcontext() as writer:
            reporter = Reporter(writer)
            if agent.restarted():
                reporter.warn("a process died; all start again from the last state")
                if writer and run.oom_killed():
                    _go_on_in_less(run, writer)
            if warning:
                reporter.warn(warning)
            leader = agent.parent()
            started = None if agent.restarted() else counted_from() or started_at(leader)
            asked_since = leader.create_time()
            train(run, reporter, group=group, started=started, asked_since=asked_since)
            group.decide(0)  # all are done when the first is
    except distributed.PeerLostError as error:
        print(f"another process is gone: {error}", file=sys.stderr)
        agent.end_with_others()


def _log(run: RunDirectory) -> closing[events.EventWriter]:
    """Open the log of events, for the one process that writes."""
    for half_written in run.path.glob(".*.safetensors.*"):  # by an engine that was killed
        half_written.unlink(missing_ok=True)
    return closing(events.EventWriter(run.events_path))


def _failure_of(job: Callable[[], None], run: RunDirectory) -> VixtuiError | None:
    """Do a job; return why it failed, also told to the log, or None."""
    try:
        job()
    except Exception as error:
        failure = _explain(error, run)
        if failure.exit_code == ExitCode.BUG:
            traceback.print_exc()
        print(f"error: {failure.message}", file=sys.stderr)
        return failure
    return None


def _explain(error: Exception, run: RunDirectory) -> VixtuiError:
    from vixtui.engine.device import out_of_memory
    from vixtui.files import disk_error

    if isinstance(error, VixtuiError):
        return error
    if out_of_memory(error):
        return DoesNotFitError(
            "memory ran out",
            where=run.id,
            remedy="choose a smaller preset, smaller pictures or a larger --budget",
        )
    if isinstance(error, OSError):
        return disk_error(error, run.path)
    return VixtuiError(
        f"unexpected {type(error).__name__}: {error}",
        where=run.log_path,
        remedy="the log holds the details",
    )


def end(exit_code: int) -> NoReturn:
    """End this process at once: all that matters is written.

    Else torch's libraries tidy up for a second, for which they load 130 MB of themselves, and the
    threads of connections to other processes can abort it.
    """
    with suppress(OSError):  # nobody listens any more
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(exit_code)


if __name__ == "__main__":
    end(main())
