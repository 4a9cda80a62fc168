"""One way to write a file: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vixtui.errors import DiskError


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` with `content` so that a crash leaves the old or the new file, whole.

    Raises:
        DiskError: when the disk is full or the folder cannot be written.
    """
    with replacing(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def replacing(path: Path, *, predecessor: Path | None = None) -> Iterator[Path]:
    """Yield a temporary file in the folder of `path`, which it replaces at the end.

    What is written there has to reach the disk by itself. After any failure `path` is the old one.

    Args:
        path: what is replaced.
        predecessor: name for the old file, which is deleted otherwise. Between two renames there
            may be a predecessor alone.

    Raises:
        DiskError: for every `OSError`, from the block inside, too.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(descriptor)
        temporary = Path(name)
        try:
            yield temporary
            if predecessor is not None and path.exists():
                os.replace(path, predecessor)
            commit(temporary, path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
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


def sync(path: Path) -> None:
    """Bring a file's content to the disk, and let the next reader read it from there."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)


def disk_error(error: OSError, path: Path) -> DiskError:
    """Return the one-line error for a failed write to `path`."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskError("the disk is full", where=path, remedy="free some space and resume")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR):
        return DiskError("not writable", where=path, remedy="choose another place with --home")
    return DiskError(
        f"cannot write: {error.strerror or error}", where=path, remedy="check the disk"
    )


def sha256_of(path: Path) -> str:
    """Return the hash of a file's content, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
