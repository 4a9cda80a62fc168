"""One engine a run: the living keep it, the dead lose it."""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import psutil
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vixtui.errors import DiskError, ExitCode, UsageError
from vixtui.runs import lock as lock_room
from vixtui.runs.lock import acquire, oom_killed, owner_alive, release


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    folder = tmp_path / "a-run"
    folder.mkdir()
    return folder / "lock"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def write(path: Path, process: psutil.Process, **changes: Any) -> None:
    record = {
        "host": socket.gethostname(),
        "pid": process.pid,
        "started": process.create_time(),
    }
    path.write_text(json.dumps(record | changes))


def test_the_owner_is_alive_until_it_gives_up(lock: Path) -> None:
    assert not owner_alive(lock)
    acquire(lock)
    assert owner_alive(lock)
    release(lock)
    assert not owner_alive(lock)
    release(lock)


def test_a_living_owner_refuses_another(lock: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write(lock, psutil.Process(sleeper.pid))
    with pytest.raises(UsageError, match=r"another process works on this run \(a-run\)"):
        acquire(lock)
    assert json.loads(lock.read_bytes())["pid"] == sleeper.pid


def test_a_dead_owner_is_taken_over(lock: Path, sleeper: subprocess.Popen[bytes]) -> None:
    write(lock, psutil.Process(sleeper.pid))
    sleeper.kill()
    sleeper.wait()
    assert not owner_alive(lock)
    acquire(lock)
    assert json.loads(lock.read_bytes())["pid"] == os.getpid()


def test_a_killed_owner_that_nobody_has_waited_for_is_dead(
    lock: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    write(lock, psutil.Process(sleeper.pid))
    os.kill(sleeper.pid, 9)
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not owner_alive(lock)


def test_a_process_with_a_reused_id_is_no_owner(lock: Path) -> None:
    me = psutil.Process()
    write(lock, me, started=me.create_time() - 60)
    assert not owner_alive(lock)
    acquire(lock)


@pytest.mark.skipif(sys.platform != "linux", reason="start times move with the clock on Linux only")
def test_a_clock_that_is_set_kills_no_owner(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    acquire(lock)
    create_time, boot_time = psutil.Process.create_time, psutil.boot_time()
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: create_time(self) - 3600)
    monkeypatch.setattr(psutil, "boot_time", lambda: boot_time - 3600)
    assert owner_alive(lock)


@pytest.mark.parametrize(
    ("silent_seconds", "alive"),
    [(500, True), (-5, True), (700, False), (-700, False), (None, False)],
)
def test_an_owner_on_another_host_is_alive_while_its_log_grows(
    lock: Path, silent_seconds: int | None, alive: bool
) -> None:
    write(lock, psutil.Process(), host="elsewhere")
    if silent_seconds is not None:
        log = lock.with_name("events.jsonl")
        log.touch()
        then = time.time() - silent_seconds
        os.utime(log, (then, then))
    assert owner_alive(lock) == alive


def test_of_many_at_once_one_becomes_the_owner(lock: Path) -> None:
    together = Barrier(8)

    def attempt(_: int) -> bool:
        together.wait()
        try:
            acquire(lock)
        except UsageError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EROFS, "not writable"), (errno.EACCES, "not writable"),
        (errno.ENOSPC, "the disk is full"), (errno.EIO, "cannot write"),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_written_is_not_taken(
    lock: Path, monkeypatch: pytest.MonkeyPatch, number: int, words: str
) -> None:
    really_open = os.open

    def refuse(path: object, flags: int, *rest: int, **more: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), path)
        return really_open(path, flags, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        with pytest.raises(DiskError, match=words) as caught:
            acquire(lock)
    assert caught.value.exit_code == ExitCode.DISK
    assert list(lock.parent.iterdir()) == []


ANY = st.none() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.binary() | st.dictionaries(st.sampled_from(["pid", "started"]), ANY).map(json.dumps))
@example(b"[" * 100_000)
@example('{"pid": 1e400, "started": 0}')
@example('{"pid": PID, "started": 1' + "0" * 400 + "}")
@example('{"pid": PID, "started": NaN}')
@example('{"pid": -1, "started": 0}')
@example('{"pid": 99999999999999999999, "started": 0}')
@example('{"host": 5, "pid": PID, "started": 0}')
def test_a_damaged_lock_has_no_owner(tmp_path: Path, content: bytes | str) -> None:
    path = tmp_path / "lock"
    if isinstance(content, str):
        host = f'{{"host": {json.dumps(socket.gethostname())}, '
        whole = content if '"host"' in content else host + content[1:]
        content = whole.replace("PID", str(os.getpid())).replace(", }", "}").encode()
    path.write_bytes(content)
    assert not owner_alive(path)


# --- owners that the kernel ended for lack of memory ---

BEFORE = {"group": 1, "machine": 5}


@pytest.mark.parametrize(
    ("now", "killed"),
    [
        (BEFORE, False),
        ({"group": 2, "machine": 6}, True),
        ({"group": 1, "machine": 6}, False),  # somebody else
        ({"another group": 9, "machine": 6}, True),  # for all that can be known from there
        ({"another group": 9}, False),
        ({"group": 0, "machine": 0}, False),
        ({}, False),
    ],
)
def test_a_kill_counts_where_the_owner_was(
    lock: Path, monkeypatch: pytest.MonkeyPatch, now: dict[str, int], killed: bool
) -> None:
    monkeypatch.setattr(lock_room, "oom_kills", lambda: BEFORE)
    acquire(lock)
    monkeypatch.setattr(lock_room, "oom_kills", lambda: now)
    assert oom_killed(lock) == killed
    release(lock)
    assert not oom_killed(lock)


@pytest.mark.parametrize("name", ["host", "boot"])
def test_kills_of_another_machine_or_before_it_started_anew_do_not_count(
    lock: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(lock_room, "oom_kills", lambda: {"machine": 5})
    acquire(lock)
    lock.write_text(json.dumps(json.loads(lock.read_text()) | {name: "another"}))
    monkeypatch.setattr(lock_room, "oom_kills", lambda: {"machine": 6})
    assert not oom_killed(lock)


@given(st.dictionaries(st.sampled_from(["host", "boot", "oom_kills"]), ANY | st.just({"x": ""})))
def test_a_damaged_lock_tells_of_no_kill(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "lock"
    known = {"host": socket.gethostname(), "boot": lock_room._boot()}
    path.write_text(json.dumps(known | content))
    assert not oom_killed(path)


def test_a_folder_that_is_gone_is_neither_waited_for_nor_made(lock: Path) -> None:
    lock.parent.rmdir()
    with pytest.raises(DiskError, match="not writable"):
        acquire(lock)
    assert not lock.parent.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="held by a lock of POSIX")
def test_nobody_waits_forever_for_one_that_hangs(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(lock_room, "_GUARD_SECONDS", 0.1)
    with lock.with_name(".lock-guard").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(DiskError, match="cannot write"):
            acquire(lock)


def test_a_lock_of_any_size_has_no_owner(lock: Path) -> None:
    lock.touch()
    os.truncate(lock, 2**40)
    assert not owner_alive(lock)
    acquire(lock)


def test_the_lock_can_be_taken_in_a_child_that_then_dies(lock: Path) -> None:
    code = "import sys, pathlib; from vixtui.runs.lock import acquire; acquire(pathlib.Path({!r}))"
    subprocess.run([sys.executable, "-c", code.format(str(lock))], check=True)
    assert lock.exists()
    acquire(lock)
    with pytest.raises(UsageError):
        acquire(lock)
