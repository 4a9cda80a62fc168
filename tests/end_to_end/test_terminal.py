"""The installed program in a real terminal: three keys to a trained model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vixtui.runs.directory import list_runs

WAIT_SECONDS = 240.0
PROGRAM = Path(sys.executable).with_name("vixtui")

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="needs tmux")


class Terminal:
    """A program in a tmux window of its own server."""

    def __init__(self, socket: Path, home: Path) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", "/dev/null"]
        environment = os.environ | {"VIXTUI_HOME": str(home), "TERM": "xterm-256color"}
        size = ["-x", "100", "-y", "30"]
        command = f"{PROGRAM}; echo left with $?; sleep 600"
        subprocess.run(
            [*self._tmux, "new-session", "-d", *size, command], env=environment, check=True
        )

    def press(self, *keys: str) -> None:
        subprocess.run([*self._tmux, "send-keys", *keys], check=True)

    def text(self) -> str:
        shown = subprocess.run(
            [*self._tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True
        )
        return shown.stdout

    def wait(self, reached: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + WAIT_SECONDS
        while not reached(text := self.text()):
            assert time.monotonic() < deadline, text
            time.sleep(0.1)
        return text

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False)


@pytest.fixture
def terminal(tmp_path: Path, home: Path) -> Iterator[Terminal]:
    opened = Terminal(tmp_path / "tmux", home)
    yield opened
    opened.close()


def test_three_keys_to_a_trained_model(terminal: Terminal) -> None:
    terminal.wait(lambda text: "RAM" in text and "tiny" in text)
    terminal.press("Enter")
    terminal.wait(lambda text: "right in the test" in text)
    terminal.press("Enter")
    terminal.wait(lambda text: "Per class" in text)
    terminal.press("q")
    terminal.wait(lambda text: "left with 0" in text)
    run = list_runs()[0]
    assert run.state() == "done"
    assert run.model_path.is_file()
