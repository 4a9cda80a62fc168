"""A file of tensors is replaced by one that was read back, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from vixtui.engine import storage
from vixtui.engine.storage import is_intact, save_tensors
from vixtui.errors import DiskError, ExitCode

TENSORS = {"b": torch.arange(6.0).view(2, 3).t(), "a": torch.tensor(3.5), "none": torch.zeros(0, 4)}
METADATA = {"first": "one", "second": "two"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "x.safetensors"


def value(path: Path) -> float:
    return load_file(path)["a"].item()


def save(path: Path, number: float, size: int = 1) -> int:
    tensors = {"a": torch.tensor(number), "more": torch.zeros(size)}
    before = path.with_name("before.safetensors")
    return save_tensors(path, tensors, {}, sealed=True, predecessor=before)


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_what_is_saved_comes_back(path: Path) -> None:
    assert save_tensors(path, TENSORS, METADATA) == 28
    found = load_file(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in TENSORS.items())
    assert names(path) == [path.name]


def test_a_changed_bit_anywhere_is_noticed(path: Path) -> None:
    save_tensors(path, TENSORS, METADATA, sealed=True)
    assert is_intact(path)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        changed = bytearray(content)
        changed[place] ^= 4
        path.write_bytes(changed)
        assert not is_intact(path), place
    for length in (0, 7, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        assert not is_intact(path)


def test_a_file_without_a_seal_is_not_taken_for_intact(path: Path) -> None:
    save_tensors(path, TENSORS, METADATA)
    assert not is_intact(path)


def test_the_file_before_is_kept(path: Path) -> None:
    for number in range(3):
        save(path, number)
    assert (value(path), value(path.with_name("before.safetensors"))) == (2, 1)
    assert len(names(path)) == 2


def test_what_does_not_come_back_replaces_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, 1)

    def lose(temporary: Path) -> None:
        content = bytearray(temporary.read_bytes())
        content[-1] ^= 1
        temporary.write_bytes(content)

    monkeypatch.setattr(storage, "sync", lose)
    with pytest.raises(DiskError, match="cannot be read back") as caught:
        save(path, 2)
    assert caught.value.exit_code == ExitCode.DISK
    assert value(path) == 1
    assert names(path) == [path.name]


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of addresses is a notion of Linux")
def test_a_run_that_uses_all_its_memory_can_read_what_it_saves(path: Path) -> None:
    import resource

    tensors = {str(number): torch.zeros(2**20) for number in range(64)}  # 256 MiB
    limits = resource.getrlimit(resource.RLIMIT_AS)
    narrow = psutil.Process().memory_info().vms + 64 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (narrow, limits[1]))
    try:
        save_tensors(path, tensors, {}, sealed=True)
        assert is_intact(path)
        assert resource.getrlimit(resource.RLIMIT_AS) == (narrow, limits[1])
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def test_the_room_is_looked_at_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(path, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    monkeypatch.setattr(storage, "save_file", lambda *_: pytest.fail("written"))
    with pytest.raises(DiskError, match=r"disk is full: 200 kB needed, 100 B free .*free some"):
        save(path, 2)
    assert value(path) == 1


def test_when_room_is_short_the_oldest_gives_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(path, 1)
    save(path, 2)
    before = path.with_name("before.safetensors")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(free=0 if before.exists() else 10**9)
    )
    save(path, 3)
    assert (value(path), value(before)) == (3, 2)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("I/O error: No space left on device (os error 28)", "the disk is full"),
        ("I/O error: Input/output error (os error 5)", "cannot write"),
        ("something else", "cannot write: .*something else"),
    ],
)
def test_the_reason_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch, words: str, expected: str
) -> None:
    def fail(*_: object) -> None:
        raise SafetensorError(f"Error while serializing: {words}")

    save(path, 1)
    monkeypatch.setattr(storage, "save_file", fail)
    with pytest.raises(DiskError, match=expected):
        save(path, 2)
    assert value(path) == 1
    assert names(path) == [path.name]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only the superuser can make a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_on_a_disk_that_is_really_full_the_old_file_stays(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = small_disk / "x.safetensors"
    save(path, 1, size=100_000)
    with pytest.raises(DiskError, match="the disk is full: "):
        save(path, 2, size=200_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**9))
    with pytest.raises(DiskError, match="the disk is full "):
        save(path, 2, size=200_000)
    assert value(path) == 1
    assert names(path) == [path.name]


def test_a_folder_that_is_gone_is_a_disk_error(path: Path) -> None:
    os.rmdir(path.parent)
    with pytest.raises(DiskError, match=os.strerror(errno.ENOENT) + "|not writable"):
        save(path, 1)
