"""Commands reach a running engine once, from anywhere, and never from the past."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vixtui.errors import DiskError
from vixtui.runs.control import Command, Inbox, send


@pytest.fixture
def control(tmp_path: Path) -> Path:
    return tmp_path / "control"


def freeze(path: Path) -> None:
    """Give a file the time that every other one has: clocks of file systems are coarse."""
    os.utime(path, ns=(10**18, 10**18))


def age(path: Path) -> None:
    """Make a file a minute older."""
    then = time.time() - 60
    os.utime(path, (then, then))


def test_a_file_of_any_size_is_no_command(control: Path) -> None:
    inbox = Inbox(control, since=0)
    control.touch()
    os.truncate(control, 2**40)
    assert inbox.poll() is None


@pytest.mark.parametrize("command", get_args(Command))
def test_each_command_is_seen_once(control: Path, command: Command) -> None:
    inbox = Inbox(control, since=time.time())
    assert inbox.poll() is None
    send(control, command)
    assert inbox.poll() == command
    assert inbox.poll() is None


def test_the_same_command_can_be_given_again(control: Path) -> None:
    inbox = Inbox(control, since=time.time())
    for _ in range(3):
        send(control, "save")
        assert inbox.poll() == "save"


def test_commands_of_the_same_instant_are_told_apart(control: Path) -> None:
    inbox = Inbox(control, since=time.time())
    seen = []
    for command in ("pause", "resume", "stop"):
        send(control, command)
        freeze(control)
        seen.append(inbox.poll())
    assert seen == ["pause", "resume", "stop"]


def test_a_command_that_comes_while_one_looks_is_not_seen_twice(
    control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = Inbox(control, since=time.time())
    send(control, "pause")
    open_file = Path.open

    def open_late(path: Path, *mode: Any) -> Any:
        monkeypatch.undo()
        send(control, "stop")
        return open_file(path, *mode)

    monkeypatch.setattr(Path, "open", open_late)
    assert inbox.poll() == "stop"
    assert inbox.poll() is None


def test_commands_older_than_the_engine_are_never_seen(control: Path) -> None:
    send(control, "stop")
    age(control)
    inbox = Inbox(control, since=time.time())
    assert inbox.poll() is None
    send(control, "pause")
    assert inbox.poll() == "pause"


def test_a_command_that_came_while_the_engine_was_starting_is_seen(control: Path) -> None:
    started = time.time() - 2
    send(control, "stop")
    inbox = Inbox(control, since=started)
    assert inbox.poll() == "stop"
    assert inbox.poll() is None


def test_a_removed_file_is_no_command(control: Path) -> None:
    send(control, "stop")
    age(control)
    inbox = Inbox(control, since=time.time())
    control.unlink()
    assert inbox.poll() is None
    send(control, "stop")
    assert inbox.poll() == "stop"


def test_the_file_is_what_the_run_directory_promises(control: Path) -> None:
    send(control, "pause")
    first = json.loads(control.read_bytes())
    send(control, "stop")
    second = json.loads(control.read_bytes())
    assert (first["cmd"], second["cmd"]) == ("pause", "stop")
    assert first["seq"] < second["seq"]


@given(st.binary() | st.dictionaries(st.text(), st.text()).map(json.dumps).map(str.encode))
@example(b"[" * 100_000)
@example(b'{"cmd": ["stop"]}')
@example(b'{"cmd": "explode"}')
@example(b'"stop"')
def test_any_bytes_are_no_command(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "control"
    path.unlink(missing_ok=True)
    inbox = Inbox(path, since=time.time())
    path.write_bytes(content)
    assert inbox.poll() is None


def test_a_removed_run_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="gone"):
        send(tmp_path / "gone" / "control", "stop")
