"""Entry point of the engine process: ``train RUN_DIR``, ``serve`` or ``devices``."""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from vixtui.errors import ExitCode, VixtuiError
from vixtui.runs import events
from vixtui.runs.directory import RunDirectory
from vixtui.runs.lock import acquire, release
from vixtui.text import safe

_NICENESS = 10


class _SafeLog:
    """A text stream that lets no control character but the newline into the log."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        lines = (safe(line, max_length=2000) for line in text.split("\n"))
        return self._stream.write("\n".join(lines))

    def flush(self) -> None:
        self._stream.flush()


def main() -> int:
    """Run the job named on the command line; return its exit code."""
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    match sys.argv[1:]:
        case ["train", folder]:
            sys.stdout = sys.stderr = _SafeLog(sys.stdout)
            return _train(RunDirectory(Path(folder)))
        case ["serve"]:
            from vixtui.engine.serve import serve

            return serve()
        case ["devices"]:
            from vixtui.engine.devices import describe_devices

            print(json.dumps(describe_devices()))
            return ExitCode.OK
    print("error: the engine is started by vixtui, not by hand", file=sys.stderr)
    return ExitCode.USAGE


def _train(run: RunDirectory) -> int:
    try:
        acquire(run.lock_path)
    except VixtuiError as error:
        print(f"error: {error.message}", file=sys.stderr)
        return error.exit_code
    for half_written in run.path.glob(".*.safetensors.*"):  # by an engine that was killed
        half_written.unlink(missing_ok=True)
    writer = events.EventWriter(run.events_path)
    try:
        return _train_reporting(run, writer)
    finally:
        writer.close()
        release(run.lock_path)


def _train_reporting(run: RunDirectory, writer: events.EventWriter) -> int:
    """Train; whatever goes wrong becomes the run's last event."""
    try:
        from vixtui.engine.reporter import Reporter
        from vixtui.engine.train import train

        train(run, Reporter(writer))
    except Exception as error:
        failure = _explain(error, run)
        if failure.exit_code == ExitCode.BUG:
            traceback.print_exc()
        print(f"error: {failure.message}", file=sys.stderr)
        with suppress(OSError):  # the disk may be full
            writer.write(
                events.Failed,
                time.time(),
                message=failure.message,
                exit_code=int(failure.exit_code),
            )
        return failure.exit_code
    return ExitCode.OK


def _explain(error: Exception, run: RunDirectory) -> VixtuiError:
    from vixtui.engine.device import out_of_memory
    from vixtui.errors import DoesNotFitError
    from vixtui.files import disk_error

    if isinstance(error, VixtuiError):
        return error
    if out_of_memory(error):
        return DoesNotFitError(
            "memory ran out", where=run.id, remedy="choose a smaller --budget or --batch-size"
        )
    if isinstance(error, OSError):
        return disk_error(error, run.path)
    return VixtuiError(
        f"unexpected {type(error).__name__}: {error}",
        where=run.log_path,
        remedy="the log holds the details",
    )


if __name__ == "__main__":
    sys.exit(main())
