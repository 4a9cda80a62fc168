"""Walking folders: which regular files are there, once each, in the same order everywhere."""

from __future__ import annotations

import os
import stat
from collections import Counter
from dataclasses import dataclass, field

EXTENSIONS = frozenset({"jpg", "jpeg", "png", "webp", "bmp", "gif", "tif", "tiff"})
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
        ignored: files left out for their ending, counted by ending.
        unreadable: files and folders that could not be looked at, and pipes, sockets, devices.
        repeated: links to a folder or picture that had been counted already.
    """

    root: str
    ignored: Counter[str] = field(default_factory=Counter)
    unreadable: int = 0
    repeated: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)

    def pictures(self, folder: str) -> list[PictureFile]:
        """Return the pictures in `folder` (relative) and below, sorted by path."""
        found: list[PictureFile] = []
        waiting = [folder]
        while waiting:
            relative = waiting.pop()
            folders, files = self.entries(relative)
            waiting += [f"{relative}/{name}" for name in reversed(folders)]
            found += filter(None, (self._picture(f"{relative}/{name}") for name in files))
        return sorted(found, key=lambda picture: picture.path)

    def entries(self, folder: str) -> tuple[list[str], list[str]]:
        """Return the names of sub-folders and of other entries, sorted, hidden ones left out.

        A folder that was visited before, as through a link to a parent, is empty.
        """
        path = os.path.join(self.root, folder)
        folders: list[str] = []
        files: list[str] = []
        try:
            if self._visited(os.stat(path)):
                return [], []
            with os.scandir(path) as listing:
                for entry in listing:
                    if is_hidden(entry.name):
                        continue
                    (folders if _leads_to_folder(entry) else files).append(entry.name)
        except OSError:
            self.unreadable += 1
        return sorted(folders), sorted(files)

    def _picture(self, relative: str) -> PictureFile | None:
        ending = os.path.splitext(relative)[1].lower().removeprefix(".")
        if ending not in EXTENSIONS:
            self.ignored[ending] += 1
            return None
        try:
            status = os.stat(os.path.join(self.root, relative))
        except OSError:
            self.unreadable += 1
            return None
        if not stat.S_ISREG(status.st_mode):
            self.unreadable += 1
            return None
        if self._visited(status):
            return None
        return PictureFile(relative, status.st_size, status.st_mtime_ns)

    def _visited(self, status: os.stat_result) -> bool:
        identity = (status.st_dev, status.st_ino)
        if status.st_ino and identity in self._seen:
            self.repeated += 1
            return True
        self._seen.add(identity)
        return False


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def is_hidden(name: str) -> bool:
    """Tell whether a file or folder belongs to the system rather than to the user."""
    return name.startswith(".") or name.lower() in _SYSTEM_FILES
