"""One way to write a file: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import os
import tempfile
from contextlib import suppress
from pathlib import Path

from vixtui.errors import DiskError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` with `content` so that a crash leaves the old or the new file, whole.

    Raises:
        DiskError: when the disk is full or the folder cannot be written.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            commit(Path(temporary), path)
        except BaseException:
            with suppress(OSError):
                Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise disk_error(error, path) from error


def commit(temporary: Path, path: Path) -> None:
    """Rename a finished temporary file into place and make the rename durable."""
    os.replace(temporary, path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def disk_error(error: OSError, path: Path) -> DiskError:
    """Return the one-line error for a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskError("the disk is full", where=path, remedy="free some space and resume")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        return DiskError("not writable", where=path, remedy="choose another place with --home")
    return DiskError(
        f"cannot write: {error.strerror or error}", where=path, remedy="check the disk"
    )
