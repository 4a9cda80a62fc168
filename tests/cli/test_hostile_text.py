"""Names and texts from strangers reach no terminal: the bytes that real commands send there."""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyte
import pytest
from fake_engine import evaluation
from weights_corpus import described

from vixtui.runs import events as e
from vixtui.runs.config import write_config
from vixtui.runs.directory import RunDirectory

# OSC 52, CSI, C1, bidi, markup, a line break, bytes that are no UTF-8; and something harmless.
MARK = "aGk"
NAME = f"\x1b]52;c;{MARK}=\x07\x1b[31337z\x9b31337z\u202e[red]new\nline\udc9b31337z"
TEXT = f"{NAME}[/x]"
WAIT_SECONDS = 60.0


def harmless(text: str) -> bool:
    """Tell whether the mark was shown, and nothing else that stands in `NAME` obeyed."""
    for sign in ("\x1b]52", "\x1b[31337z", "\x07", "\u202e", "new\r\nline", "new\nline"):
        assert sign not in text, ascii(text)
    assert not any("\x80" <= char <= "\x9f" for char in text), ascii(text)
    return MARK in text


@pytest.fixture
def folder(drawn: Path, tmp_path: Path) -> Path:
    """Pictures in hostile folders, some of them unusable."""
    root = Path(shutil.copytree(drawn, tmp_path / NAME))
    for part in ("train", "val", "test"):
        (root / part / "cat").rename(root / part / NAME)
    (root / "train" / NAME / f"{NAME}.png").write_text("text")
    (root / "train" / NAME / f"{'x' * 251}.png").write_text("text")
    shutil.copy(root / "train" / "dog" / "1.png", root / f"{NAME}.png")
    return root


@pytest.fixture
def run(make_run: Callable[..., RunDirectory], folder: Path) -> RunDirectory:
    """A finished run whose name, classes, settings, events and results are hostile."""
    run = make_run(NAME, classes=(TEXT, "dog", "b"))
    config = run.config()
    data = replace(config.data, source=str(folder), fingerprint=TEXT)
    plan = replace(config.plan, device=TEXT, basis=TEXT)
    write_config(run.config_path, replace(config, data=data, plan=plan, preset=TEXT, created=TEXT))
    log = e.EventWriter(run.events_path)
    log.write(e.RunStarted, 1.7e9, pid=1, device=TEXT, resumed_step=0)
    log.write(e.Warned, 1.7e9, message=TEXT)
    log.write(
        e.Finished, 1.7e9, reason=TEXT, best_epoch=1, best_top1=0.8, seconds=1.0,
        peak_memory_bytes=1,
    )  # fmt: skip
    log.close()
    results = evaluation((TEXT, "dog", "b")) | {"source": TEXT, "split": TEXT, "model": TEXT}
    run.evaluation_path.write_text(json.dumps(results))
    run.model_path.write_bytes(described(title=TEXT, classes=[TEXT, "dog"]))
    return run


COMMANDS: dict[str, tuple[tuple[str, ...], int]] = {
    "check": (("check", "{folder}"), 0),
    "check strictly": (("check", "{folder}", "--strict"), 3),
    "check as CSV": (("check", "{folder}", "--csv"), 0),
    "check as JSON": (("check", "{folder}", "--json"), 0),
    "train": (("train", "{folder}", "--preset", "vit:tiny", "--epochs", "1"), 0),
    "train on nothing": (("train", "{folder}/no"), 2),
    "resume": (("runs", "resume", "{run}"), 2),
    "remove": (("runs", "rm", "{run}", "--yes"), 0),
    "attach": (("attach", "{run}"), 2),
    "list runs": (("runs", "list"), 0),
    "show a run": (("runs", "show", "{run}"), 0),
    "compare runs": (("runs", "compare", "{run}", "other"), 0),
    "no such run": (("runs", "show", "no{name}"), 2),
    "rename": (("runs", "rename", "{run}", "no{name}"), 2),
    "stop": (("runs", "stop", "{run}"), 2),
    "evaluate": (("evaluate", "{run}"), 0),
    "predict": (("predict", "{folder}", "--model", "{run}"), 3),
    "predict as CSV": (("predict", "{folder}", "--model", "{run}", "--csv"), 3),
    "predict as JSON": (("predict", "{folder}", "--model", "{run}", "--json"), 3),
    "predict by nothing": (("predict", "{folder}", "--model", "{folder}"), 4),
    "predict nothing": (("predict", "{folder}/no", "--model", "{run}"), 2),
    "hostile weights": (("predict", "{folder}", "--model", "{weights}"), 4),
    "no such preset": (("presets", "show", "{name}"), 2),
    "no such option": (("train", "--{name}"), 2),
    "no such command": (("{name}",), 2),
    "no such amount": (("recommend", "--budget", "{name}"), 2),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_obeys_a_name(
    on_a_terminal: Callable[..., bytes],
    make_run: Callable[..., RunDirectory],
    run: RunDirectory,
    folder: Path,
    tmp_path: Path,
    command: str,
) -> None:
    make_run("other")
    weights = tmp_path / f"{NAME}.safetensors"
    weights.write_bytes(described(title=TEXT, schema_version=TEXT))
    places = {"folder": folder, "run": run.id, "name": NAME, "weights": weights}
    arguments, code = COMMANDS[command]
    shown = on_a_terminal(*(part.format(**places) for part in arguments), code=code)
    assert harmless(shown.decode())  # which fails for bytes that are no UTF-8


class Screens:
    """The screens in a terminal of their own; keeps all that they send, which must be UTF-8."""

    def __init__(self, program: str, folder: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        self._process = subprocess.Popen(
            [sys.executable, "-c", program],
            cwd=folder,
            env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self._screen = pyte.Screen(160, 40)
        self._stream = pyte.ByteStream(self._screen)
        # A piece that was read may end inside a character.
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self.sent = ""

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def wait(self, words: str) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while words not in (text := "\n".join(self._screen.display)):
            assert time.monotonic() < deadline, text
            if select.select([self._master], [], [], 0.1)[0]:
                chunk = os.read(self._master, 65536)
                self.sent += self._decoder.decode(chunk)
                self._stream.feed(chunk)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._master)


@pytest.fixture
def screens(program: str, run: RunDirectory, folder: Path) -> Iterator[Screens]:
    opened = Screens(program, folder)
    yield opened
    opened.close()


def test_no_screen_obeys_a_name(screens: Screens) -> None:
    for keys, words in (
        ("", "RAM"),
        ("5", "1 in "),
        ("\r", "taken for"),
        ("2", "Done."),
        ("l", "warning: "),
        ("4", "Folders"),
        (4 * "\x1b[B" + "\r", "80.0 %"),
    ):
        screens.press(keys)
        screens.wait(words)
    shapes_of_the_pointer = r"\x1b]22;\w+\x07"  # set by the screens themselves
    assert harmless(re.sub(shapes_of_the_pointer, "", screens.sent))
