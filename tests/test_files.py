"""A file is replaced whole or not at all, and the reason is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from vixtui.errors import DiskError, ExitCode
from vixtui.files import write_atomically


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "file").write_bytes(b"old")
    return folder / "file"


def failing(error: BaseException):
    def fail(*_: object) -> None:
        raise error

    return fail


def only_the_old_is_there(path: Path) -> bool:
    return [entry.name for entry in path.parent.iterdir()] == ["file"] and (
        path.read_bytes() == b"old"
    )


@pytest.mark.parametrize("content", [b"", b"new", b"\x00\xff\n" * 100_000])
def test_the_new_content_is_there_and_nothing_else(path: Path, content: bytes) -> None:
    write_atomically(path, content)
    assert path.read_bytes() == content
    assert os.listdir(path.parent) == ["file"]


def test_a_new_file_is_made(path: Path) -> None:
    write_atomically(path.with_name("new"), b"new")
    assert path.with_name("new").read_bytes() == b"new"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full .*: free some space"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "not writable .*--home"),
        (errno.EROFS, "not writable"),
        (errno.EIO, "cannot write: Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_whole(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, words: str
) -> None:
    monkeypatch.setattr(os, call, failing(OSError(number, os.strerror(number))))
    with pytest.raises(DiskError, match=words) as caught:
        write_atomically(path, b"new")
    assert caught.value.exit_code == ExitCode.DISK == 6
    assert str(path) in caught.value.message
    assert only_the_old_is_there(path)


def test_a_disk_that_fails_twice_still_names_the_first_reason(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "replace", failing(OSError(errno.ENOSPC, "full")))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: failing(OSError(errno.EIO, "broken"))())
    with pytest.raises(DiskError, match="the disk is full"):
        write_atomically(path, b"new")


def test_an_interrupted_write_leaves_no_temporary_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert only_the_old_is_there(path)


def test_a_missing_folder_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"not writable .*--home"):
        write_atomically(tmp_path / "gone" / "file", b"new")


def test_a_folder_is_not_replaced(path: Path) -> None:
    with pytest.raises(DiskError, match="Is a directory"):
        write_atomically(path.parent, b"new")
    assert only_the_old_is_there(path)
    assert [entry.name for entry in path.parent.parent.iterdir()] == ["folder"]


@pytest.mark.skipif(
    not Path("/dev/full").exists() or not hasattr(os, "O_TMPFILE"), reason="Linux only"
)
def test_a_full_disk_is_noticed_before_the_old_file_is_touched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`/dev/full` accepts nothing: what a full disk says, from the kernel itself."""
    full = path.with_name(".file.temporary")
    full.symlink_to("/dev/full")
    monkeypatch.setattr("tempfile.mkstemp", lambda **_: (os.open(full, os.O_WRONLY), str(full)))
    with pytest.raises(DiskError, match="the disk is full"):
        write_atomically(path, b"new")
    assert only_the_old_is_there(path)
