"""Tensors on the disk: written beside the old ones, read back, and only then put in their place."""

from __future__ import annotations

import errno
import hashlib
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vixtui.engine.limit import more_addresses
from vixtui.errors import DiskError
from vixtui.files import disk_error, replacing, sync
from vixtui.text import format_bytes

_DIGEST = "digest"
# Of the header, and of what the file system keeps about a file.
_MARGIN_BYTES = 200_000


def save_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: dict[str, str],
    *,
    sealed: bool = False,
    predecessor: Path | None = None,
) -> int:
    """Write a safetensors file and read it back before it replaces the old one.

    Tensors of the CPU are written from where they are: no copy of the file is in memory.

    Args:
        path: where to.
        tensors: contiguous or not, on any device.
        metadata: texts.
        sealed: note the digest of everything in the file, so that `is_intact` can tell.
        predecessor: name for the file that was there, which is deleted otherwise. When room is
            short, the predecessor before it goes first.

    Returns:
        The bytes of all tensors.

    Raises:
        DiskError: when there is no room or what was written does not come back; the old is kept.
    """
    held = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    size = sum(value.nbytes for value in held.values())
    _make_room(path, size + _MARGIN_BYTES, predecessor)
    expected = _digest(metadata, held.items())
    if sealed:
        metadata = metadata | {_DIGEST: expected}
    with replacing(path, predecessor=predecessor) as temporary:
        try:
            save_file(held, temporary, metadata)
        except SafetensorError as error:
            raise _os_error(error) from error
        sync(temporary)
        if _digest_of(temporary)[0] != expected:
            raise OSError(errno.EIO, "what was written cannot be read back")
    return size


def is_intact(path: Path) -> bool:
    """Tell whether a sealed file is, to the last bit, what was written."""
    try:
        found, noted = _digest_of(path)
    except (SafetensorError, OSError):
        return False
    return found == noted


@contextmanager
def open_tensors(path: Path) -> Iterator[safe_open]:
    """Open a safetensors file, of which tensors are read when asked for.

    Read, not mapped: a mapped tensor would be resident beside its copy. The library maps the file
    all the same, for which the limit of a run that uses all its memory has no room.

    Raises:
        SafetensorError, OSError: when it cannot be opened.
    """
    with (
        more_addresses(path.stat().st_size + _MARGIN_BYTES),
        safe_open(path, framework="pt", backend="pread") as file,
    ):
        yield file


def _digest_of(path: Path) -> tuple[str, str | None]:
    """Return the digest of a file's tensors and metadata, and the one noted in it."""
    with open_tensors(path) as file:
        metadata = dict(file.metadata() or {})
        noted = metadata.pop(_DIGEST, None)
        names = sorted(file.keys())
        return _digest(metadata, ((name, file.get_tensor(name)) for name in names)), noted


def _digest(metadata: Mapping[str, str], tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Return a digest of metadata and (name, tensor) pairs; the order matters for neither."""
    total = hashlib.blake2b(digest_size=16)
    for key, text in sorted(metadata.items()):
        total.update(f"{key}\n{text}\n".encode())
    entries = []
    for name, tensor in tensors:
        entry = hashlib.blake2b(f"{name}\n{tuple(tensor.shape)}\n".encode(), digest_size=16)
        entry.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
        entries.append(entry.digest())
    total.update(b"".join(sorted(entries)))
    return total.hexdigest()


def _make_room(path: Path, size: int, predecessor: Path | None) -> None:
    """Make sure that `size` bytes can be written; an old predecessor gives way.

    Raises:
        DiskError: when they cannot.
    """
    try:
        free = shutil.disk_usage(path.parent).free
        if free < size and predecessor is not None and path.exists():
            predecessor.unlink(missing_ok=True)
            free = shutil.disk_usage(path.parent).free
    except OSError as error:
        raise disk_error(error, path) from error
    if free < size:
        raise DiskError(
            f"the disk is full: {format_bytes(size)} needed, {format_bytes(free)} free",
            where=path,
            remedy="free some space and resume",
        )


def _os_error(error: SafetensorError) -> OSError:
    """Return what the operating system said, which safetensors tells as a text."""
    code = re.search(r"os error (\d+)", str(error))
    return OSError(int(code[1]) if code else errno.EIO, str(error))
