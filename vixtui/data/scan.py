"""Walking folders: which regular files are there, once each, in the same order everywhere."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from vixtui.data.findings import Finding, Kind
from vixtui.data.silence import reading

EXTENSIONS = frozenset({"jpg", "jpeg", "jfif", "png", "webp", "bmp", "gif", "tif", "tiff"})
_OTHER_PICTURES = frozenset(
    {
        "ai", "apng", "arw", "avif", "cr2", "cr3", "dds", "dng", "emf", "eps", "exr", "fits", "hdr",
        "heic", "heif", "ico", "icns", "j2k", "jp2", "jxl", "nef", "orf", "pbm", "pcx", "pgm",
        "pnm", "ppm", "ps", "psd", "qoi", "raf", "raw", "rw2", "svg", "svgz", "tga", "wmf", "xcf",
    }
)  # fmt: skip
_SPECIAL: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISFIFO, "a pipe (FIFO)"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISDIR, "a folder"),
)
_SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


@dataclass(frozen=True, slots=True)
class PictureFile:
    """A file with a picture's ending: `path` relative to the source's folder, ``/`` between."""

    path: str
    size: int
    mtime_ns: int


@dataclass(slots=True)
class Walk:
    """What one look through a source's folder has met so far; shared by all its class folders.

    Args:
        root: absolute path of the source's folder.
        left_out: what is no picture to use: other kinds of files, what cannot be looked at, pipes,
            sockets and devices, links to what had been counted already.
    """

    root: str
    left_out: list[Finding] = field(default_factory=list)
    _seen: dict[tuple[int, int], str] = field(default_factory=dict)

    def pictures(self, folder: str) -> list[PictureFile]:
        """Return the pictures in `folder` (relative) and below, sorted by path."""
        found: list[PictureFile] = []
        waiting = [folder]
        while waiting:
            relative = waiting.pop()
            folders, files = self.entries(relative)
            waiting += [f"{relative}/{name}" for name in reversed(folders)]
            found += filter(None, (self.picture(f"{relative}/{name}") for name in files))
        return sorted(found, key=lambda picture: picture.path)

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of sub-folders and of other entries, sorted, hidden ones left out.

        A folder that was visited before, as through a link to a parent, is empty.
        """
        path = os.path.join(self.root, folder)
        folders: list[str] = []
        files: list[str] = []
        try:
            with reading(path):
                if (first := self._visited(os.stat(path), folder or ".")) is not None:
                    what = f"a link to a folder that is counted already: {first}"
                    self._leave_out(Kind.UNUSABLE, folder, what, same_as=first)
                    return [], []
                with os.scandir(path) as listing:
                    for entry in sorted(listing, key=lambda entry: entry.name):
                        if is_hidden(entry.name):
                            continue
                        if entry.is_symlink() and not os.path.exists(entry.path):
                            where = f"{folder}/{entry.name}" if folder else entry.name
                            what = "a link that leads nowhere, or to itself"
                            self._leave_out(Kind.UNUSABLE, where, what)
                            continue
                        (folders if entry.is_dir() else files).append(entry.name)
        except OSError as error:
            self._leave_out(Kind.UNUSABLE, folder, f"a folder that cannot be read: {_why(error)}")
        return folders, files

    def picture(self, path: str) -> PictureFile | None:
        """Return a file (relative) by its ending and kind; note down one that is left out."""
        ending = os.path.splitext(path)[1].lower().removeprefix(".")
        if ending not in EXTENSIONS:
            if ending in _OTHER_PICTURES:
                what = f"{ending.upper()} is not read: save it as JPEG or PNG"
                self._leave_out(Kind.FORMAT, path, what)
            else:
                self._leave_out(Kind.IGNORED, path, "not a picture by its name")
            return None
        try:
            with reading(path):
                status = os.stat(os.path.join(self.root, path))
        except OSError as error:
            self._leave_out(Kind.UNUSABLE, path, f"cannot be read: {_why(error)}")
            return None
        if not stat.S_ISREG(status.st_mode):
            self._leave_out(Kind.UNUSABLE, path, f"not a regular file but {special(status)}")
            return None
        if (first := self._visited(status, path)) is not None:
            self._leave_out(Kind.DUPLICATE, path, f"a link to {first}, left out", same_as=first)
            return None
        return PictureFile(path, status.st_size, status.st_mtime_ns)

    def _visited(self, status: os.stat_result, path: str) -> str | None:
        """Return the path under which a file or folder was met before, if it was."""
        if not status.st_ino:
            return None
        identity = (status.st_dev, status.st_ino)
        if identity in self._seen:
            return self._seen[identity]
        self._seen[identity] = path
        return None

    def _leave_out(self, kind: Kind, path: str, reason: str, *, same_as: str = "") -> None:
        self.left_out.append(Finding(kind, path, reason, same_as))


def special(status: os.stat_result) -> str:
    """Return in words what a file is that is not regular."""
    return next((name for test, name in _SPECIAL if test(status.st_mode)), "a device")


def _why(error: OSError) -> str:
    return error.strerror or type(error).__name__


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder belongs to the system rather than to the user."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES
