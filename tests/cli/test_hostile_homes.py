"""Homes that cannot be written, runs that are taken or gone: one line, and nothing is damaged."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from vixtui.cli.follow import follow
from vixtui.cli.views import choose_view
from vixtui.data.cache import writing
from vixtui.errors import UsageError
from vixtui.runs import events as e
from vixtui.runs.directory import RunDirectory
from vixtui.runs.lock import acquire

UNWRITABLE, FULL = r"error: not writable \(", "error: the disk is full"
# Command, exit code and first line on a home that is read-only, the same on one that is full.
COMMANDS: dict[str, tuple[tuple[str, ...], tuple[int, str], tuple[int, str]]] = {
    "train": (
        ("train", "{pictures}", "--preset", "vit:tiny", "--epochs", "1"),
        (6, UNWRITABLE),
        (6, r"error: a run needs [\d.]+ MB, free are"),
    ),
    "resume": (("runs", "resume", "stopped"), (6, UNWRITABLE), (6, FULL)),
    "rename": (("runs", "rename", "stopped", "b"), (6, UNWRITABLE), (6, FULL)),
    "remove": (("runs", "rm", "other", "--yes"), (6, UNWRITABLE), (0, "")),
    "stop": (("runs", "stop", "at-work"), (6, UNWRITABLE), (6, FULL)),
    "clear the cache": (("cache", "clear"), (6, "error: 1 file cannot be removed"), (0, "freed ")),
    "list": (("runs", "list"), (0, ""), (0, "")),
    "show": (("runs", "show", "stopped"), (0, ""), (0, "")),
    "predict": (("predict", "{picture}", "--model", "{weights}"), (0, ""), (0, "")),
}  # fmt: skip


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def disk(home: Path) -> Iterator[Path]:
    """A home on a disk of its own, of forty megabytes."""
    home.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=40m", "tmpfs", str(home)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only the superuser can make a small disk")
    yield home
    subprocess.run(["umount", "--lazy", str(home)], check=True)


@pytest.fixture
def spoil(disk: Path, make_run: Callable[..., RunDirectory]) -> Callable[[str], None]:
    """Put runs and a cache on the disk, then make it read-only or full."""
    for name in ("stopped", "other", "at-work"):
        run = make_run(name)
        with closing(e.EventWriter(run.events_path)) as log:
            log.write(e.RunStarted, 1.7e9, pid=1, device="cpu", resumed_step=0)
            log.write(e.Stopped, 1.7e9, step=1, epoch=1)
    acquire(run.lock_path)
    with writing(disk / "cache" / "0-1.pixels", "here", 1000) as writer:
        writer.add(bytes(2000), [None, None])
        writer.finish()

    def make(kind: str) -> None:
        if kind == "read-only":
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            return
        with (disk / "filler").open("wb", buffering=0) as filler:
            for block in (2**20, 1):
                with suppress(OSError):
                    while filler.write(bytes(block)) == block:
                        pass

    return make


@pytest.mark.parametrize("kind", ["read-only", "full"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_home_that_cannot_be_written_is_one_line(
    vixtui, spoil, disk: Path, pictures: Path, tmp_path: Path, command: str, kind: str
) -> None:
    from weights_corpus import weights

    words, *expected = COMMANDS[command]
    code, line = expected[kind == "full"]
    (tmp_path / "m.safetensors").write_bytes(weights())
    places = {
        "pictures": pictures,
        "picture": next(pictures.rglob("*.png")),
        "weights": tmp_path / "m.safetensors",
    }
    spoil(kind)
    before = content(disk)
    result = vixtui(*(word.format(**places) for word in words))
    assert result.code == code, result.err
    *_, last = result.err.splitlines() or [""]
    assert re.match(line, last), result.err
    assert result.err.count("error: ") == (code != 0)
    if code == 6:
        assert before.items() <= content(disk).items()


def test_a_home_inside_a_file_is_one_line(vixtui, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    place = ("--home", str(tmp_path / "file" / "home"))
    result = vixtui(*place, "train", str(pictures), "--preset", "vit:tiny", "--epochs", "1")
    assert result.code == 6
    assert "error: not writable" in result.err.splitlines()[-1]
    assert (tmp_path / "file").read_text() == "mine"


def test_of_two_that_resume_one_run_at_once_one_is_told(make_run) -> None:
    run = make_run()

    def lose() -> subprocess.Popen[bytes]:
        acquire(run.lock_path)  # in the moment between looking and starting
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(2)"])

    view = choose_view(run.id, json=True)
    with pytest.raises(UsageError, match=r"another process works on this run \(a-run\): watch it"):
        follow(run, view, start=lose, stop_on_interrupt=True)
    assert run.alive()


def test_a_stale_lock_is_no_obstacle(vixtui, make_run) -> None:
    run = make_run()
    taking = "import sys, pathlib, vixtui.runs.lock as l; l.acquire(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", taking, run.lock_path], check=True)
    assert run.lock_path.exists()
    assert vixtui("runs", "resume", run.id).code == 0
    assert not run.lock_path.exists()
