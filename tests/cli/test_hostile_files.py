"""Files that do not come, as from a lost network: one line instead of a hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from held_back import held_back

SOON = "import vixtui.data.silence as silence; silence._SECONDS = 1\n"


@pytest.mark.parametrize("command", [("check",), ("train", "--preset", "vit:tiny"), ("recommend",)])
def test_a_file_that_never_comes_is_one_line_and_no_hang(
    pictures: Path, program: str, command: tuple[str, ...]
) -> None:
    words = [*command, "--data"] if command == ("recommend",) else [*command]
    with held_back(pictures / "train" / "cat" / "3.png"):
        done = subprocess.run(
            [sys.executable, "-c", SOON + program, *words, str(pictures)],
            capture_output=True,
            text=True,
        )
    assert done.returncode == 3
    assert done.stdout == ""
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: not read within 1 seconds (")
    assert line.endswith("train/cat/3.png): if it is on a network, copy it to this machine")
    assert done.stderr.count("error: ") == 1


def test_a_file_that_comes_late_is_waited_for(pictures: Path, program: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", program, "check", str(pictures)], stdout=subprocess.PIPE, text=True
    ) as checking:
        with held_back(pictures / "train" / "cat" / "3.png"), pytest.raises(Exception, match="2"):
            checking.wait(2)
        out, _ = checking.communicate()
    assert checking.returncode == 0
    assert "nothing to complain about" in out
