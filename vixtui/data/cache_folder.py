"""What is in the folder of the cache: listed, cleared, kept from growing too large.

A cache file is::

    rows    a picture each, bytes (c, h, w); zeros for a picture that cannot be used
    table   zlib of JSON: what is known of each picture, or why it cannot be used
    footer  magic, number of rows, bytes of the table, CRC-32 of rows and of table
"""

from __future__ import annotations

import json
import os
import struct
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from vixtui.paths import cache_dir

LIMIT_BYTES = 20 * 10**9
"""Of all files together; those not used for the longest time make room for new ones."""
SUFFIX = ".pixels"
FOOTER = struct.Struct("<8sQQII")
MAGIC = b"vixtui\0\1"

_MAX_TABLE_BYTES = 2**31
_ABANDONED_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class CacheFile:
    """One file of the cache.

    Args:
        path: of the file.
        source: whose pictures it holds; outside text.
        bytes: its size.
        used: seconds since the epoch when a run last opened it.
    """

    path: Path
    source: str
    bytes: int
    used: float


def cache_files() -> list[CacheFile]:
    """Return what is in the cache, the one used last first."""
    found = []
    for path in _entries(f"[!.]*{SUFFIX}"):
        with suppress(OSError):
            status = path.stat()
            found.append(CacheFile(path, _source_of(path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda file: -file.used)


def clear_cache() -> int:
    """Remove all files of the cache, those of writers that died too; return how many bytes.

    A run that has one open keeps it until it ends, except on Windows, where it stays.
    """
    freed = 0
    for path in _entries(f"*{SUFFIX}"):
        with suppress(OSError):
            size = path.stat().st_size
            if not path.name.startswith(".") or _is_abandoned(path):
                path.unlink()
                freed += size
    return freed


def _entries(pattern: str) -> list[Path]:
    try:
        return sorted(path for path in cache_dir().glob(pattern) if path.is_file())
    except OSError:
        return []


def make_room(keep: Path) -> None:
    """Remove what dead writers left, and what is over the limit, but not `keep`."""
    for path in _entries(f".*{SUFFIX}"):
        if _is_abandoned(path):
            remove(path)
    total = 0
    for file in cache_files():
        total += file.bytes
        if total > LIMIT_BYTES and file.path != keep:
            remove(file.path)
            total -= file.bytes


def _is_abandoned(path: Path) -> bool:
    try:
        return time.time() - path.stat().st_mtime > _ABANDONED_SECONDS
    except OSError:
        return False


def remove(path: Path) -> None:
    """Remove a file if that can be done."""
    with suppress(OSError):  # Windows keeps what another run has open
        path.unlink()


def read_footer(file: BinaryIO) -> tuple[int, int, int, int] | None:
    """Return rows, bytes of the table and both checksums, if this is such a file."""
    if file.seek(0, os.SEEK_END) < FOOTER.size:
        return None
    file.seek(-FOOTER.size, os.SEEK_END)
    magic, count, table_bytes, rows_crc, table_crc = FOOTER.unpack(file.read(FOOTER.size))
    if magic != MAGIC or table_bytes > _MAX_TABLE_BYTES:
        return None
    return count, table_bytes, rows_crc, table_crc


def _source_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            footer = read_footer(file)
            if footer is None:
                return ""
            file.seek(-FOOTER.size - footer[1], os.SEEK_END)
            return str(unpacked(file.read(footer[1]))["source"])
    except (OSError, ValueError):
        return ""


def unpacked(table: bytes) -> dict[str, Any]:
    """Return the content of a table.

    Raises:
        ValueError: when it is none.
    """
    try:
        unpacker = zlib.decompressobj()
        content = json.loads(unpacker.decompress(table, _MAX_TABLE_BYTES))
    except (zlib.error, RecursionError) as error:
        raise ValueError("a damaged table") from error
    if not isinstance(content, dict) or not isinstance(content.get("known"), list):
        raise ValueError("not a table")
    return content
