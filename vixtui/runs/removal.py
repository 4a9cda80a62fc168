"""Deleting a run, but not what it taught."""

from __future__ import annotations

import shutil
from contextlib import suppress

from vixtui.errors import DiskError
from vixtui.files import disk_error
from vixtui.runs.directory import RunDirectory, refuse_if_alive
from vixtui.runs.lessons import keep_lesson


def remove_run(run: RunDirectory) -> None:
    """Delete a run and everything in it; what it taught about memory is kept.

    Raises:
        UsageError: for a run at work.
        DiskError: when it cannot be deleted.
    """
    refuse_if_alive(run)
    with suppress(DiskError):  # on a full disk, room matters more
        keep_lesson(run)
    try:
        shutil.rmtree(run.path)
    except OSError as error:
        raise disk_error(error, run.path) from error
