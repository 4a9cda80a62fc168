"""Decoded pictures on disk: written once for a folder and an image size, then only mapped.

A file's name says what is in it: a hash of the place (source, height, width, channels), then one of
all that decides about its pixels (each file's size and times, the decoding code, Pillow). What it
looks like inside says `vixtui.data.cache_folder`.

Two runs that write the same file at once write two temporary ones, and the later rename wins. A
file that is cut off or damaged is like one that is not there.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, BinaryIO

import PIL

from vixtui.data import builtin, examine, pictures, shapes
from vixtui.data.cache_folder import (
    FOOTER,
    MAGIC,
    SUFFIX,
    make_room,
    read_footer,
    remove,
    unpacked,
)
from vixtui.data.examine import PictureFacts
from vixtui.data.findings import Kind
from vixtui.data.split import Item
from vixtui.errors import DataError
from vixtui.hardware.host import disk_free
from vixtui.paths import cache_dir
from vixtui.runs.config import DataConfig

Known = PictureFacts | DataError | None
"""Facts about a picture, why it cannot be used, or None for one of a built-in set."""

_BLOCK = 2**22
# What a run must not lose comes first: so much is left free on the disk, or ten times the cache.
_SPARE_BYTES, _SPARE_SHARE = 10**9, 10


@dataclass(frozen=True, slots=True)
class Cached:
    """A cache file opened: its rows, in the order of the items it was asked for, and the facts."""

    rows: mmap.mmap
    known: tuple[Known, ...]


class CacheWriter:
    """Takes in rows and facts in order; the file appears under its name when all are there.

    Args:
        path: from `cache_path`.
        source: whose pictures they are.
        file: temporary, open for writing.
    """

    def __init__(self, path: Path, source: str, file: BinaryIO) -> None:
        self._path, self._source, self._file = path, source, file
        self._crc = 0
        self._known: list[object] = []

    def add(self, rows: bytes, known: Iterable[Known]) -> None:
        """Append some pictures.

        Raises:
            OSError: when the disk is full.
        """
        self._file.write(rows)
        self._crc = zlib.crc32(rows, self._crc)
        self._known += map(as_json, known)

    def finish(self) -> None:
        """Put the file in its place; older ones of the same place are let go of.

        Raises:
            OSError: when the disk is full.
        """
        content = {"source": self._source, "known": self._known}
        table = zlib.compress(json.dumps(content, separators=(",", ":")).encode("ascii"), 1)
        self._file.write(table)
        crcs = self._crc, zlib.crc32(table)
        self._file.write(FOOTER.pack(MAGIC, len(self._known), len(table), *crcs))
        self._file.close()
        os.replace(self._file.name, self._path)
        place = self._path.name.partition("-")[0]
        for other in self._path.parent.glob(f"{place}-*{SUFFIX}"):
            if other != self._path:
                remove(other)
        make_room(keep=self._path)


def cache_path(data: DataConfig, items: Sequence[Item]) -> Path:
    """Return where the decoded `items` of a data set are, or would be."""
    place = [data.source, data.image_height, data.image_width, data.in_channels]
    content = blake2b(_decoder(), digest_size=16)
    content.update(json.dumps([*place, data.fingerprint]).encode("ascii"))
    for item in items:
        content.update(_state(data.source, item))
    first = blake2b(json.dumps(place).encode("ascii"), digest_size=8).hexdigest()
    return cache_dir() / f"{first}-{content.hexdigest()}{SUFFIX}"


def open_cache(path: Path, *, count: int, row_bytes: int) -> Cached | None:
    """Return a cache file's content, or None when it is missing, of another kind or damaged."""
    try:
        with path.open("rb") as file:
            known = _read(file, count, row_bytes)
            if known is None:
                return None
            rows = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with suppress(OSError):  # the folder may be read-only
            os.utime(path)
    except (OSError, ValueError):
        return None
    return Cached(rows, known)


@contextmanager
def writing(path: Path, source: str, needed: int) -> Iterator[CacheWriter]:
    """Give a writer for a new cache file; unless it finishes, nothing stays.

    Raises:
        OSError: when the folder cannot be written or has no room for `needed` bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if disk_free(path.parent).bytes < needed + min(_SPARE_BYTES, _SPARE_SHARE * needed):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path.parent))
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=".", suffix=SUFFIX, delete=False
    ) as file:
        try:
            yield CacheWriter(path, source, file)  # type: ignore[arg-type]
        finally:
            file.close()
            with suppress(OSError):
                os.unlink(file.name)


def _read(file: BinaryIO, count: int, row_bytes: int) -> tuple[Known, ...] | None:
    """Return the table of a sound file, else None."""
    footer = read_footer(file)
    if footer is None or footer[0] != count:
        return None
    table_bytes, rows_crc, table_crc = footer[1:]
    rows = count * row_bytes
    if file.seek(0, os.SEEK_END) != rows + table_bytes + FOOTER.size:
        return None
    file.seek(0)
    crc, left = 0, rows
    while left:
        block = file.read(min(left, _BLOCK))
        if not block:
            return None
        crc, left = zlib.crc32(block, crc), left - len(block)
    table = file.read(table_bytes)
    if (crc, zlib.crc32(table)) != (rows_crc, table_crc):
        return None
    known = tuple(map(from_json, unpacked(table)["known"]))
    return known if len(known) == count else None


def as_json(known: Known) -> object:
    """Return what is known of a picture, as JSON can hold it."""
    if known is None:
        return None
    if isinstance(known, DataError):
        return [known.what, known.where, known.remedy]
    return [
        known.width,
        known.height,
        [str(kind) for kind in known.kinds],
        known.content.hex(),
        known.pixels.hex(),
    ]


def from_json(entry: Any) -> Known:
    """Take back what `as_json` returned.

    Raises:
        ValueError: when it did not.
    """
    try:
        if entry is None:
            return None
        if len(entry) == 3:
            return DataError(entry[0], where=entry[1], remedy=entry[2])
        width, height, kinds, content, pixels = entry
        return PictureFacts(
            width, height, tuple(map(Kind, kinds)), bytes.fromhex(content), bytes.fromhex(pixels)
        )
    except TypeError as error:
        raise ValueError("not an entry") from error


def _state(source: str, item: Item) -> bytes:
    """Return what changes when a picture does; the times are those of content and of attributes."""
    if builtin.is_builtin(source):
        return f"{item}\n".encode()
    path = os.path.join(source, str(item))
    try:
        status = os.stat(path)
    except OSError:
        return b"%s\0missing\n" % os.fsencode(path)
    numbers = (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    return b"%s\0%s\n" % (os.fsencode(path), str(numbers).encode())


def _decoder() -> bytes:
    """Return what stands for the code that decodes and draws."""
    modules = (pictures, examine, builtin, shapes)
    code = b"".join(Path(str(module.__file__)).read_bytes() for module in modules)
    return code + PIL.__version__.encode()
