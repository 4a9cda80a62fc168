"""The program in this process or in one of its own, always with a fake engine."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from vixtui.models.config import ModelConfig
from vixtui.runs import process
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.directory import RunDirectory, create_run

sys.path.insert(0, str(Path(__file__).parent))
FAKE_ENGINE = Path(__file__).with_name("fake_engine.py")
START = (
    "import sys, vixtui.runs.process as process\n"
    f"process._command = lambda *rest: [sys.executable, {str(FAKE_ENGINE)!r}, *rest]\n"
    "from vixtui.__main__ import main\n"
    "sys.exit(main())"
)


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        process, "_command", lambda *rest: [sys.executable, str(FAKE_ENGINE), *rest]
    )


@pytest.fixture
def vixtui(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run the program in this process."""
    from vixtui.__main__ import main

    def call(*arguments: str) -> Result:
        monkeypatch.setattr(sys, "argv", ["vixtui", *arguments])
        capsys.readouterr()
        try:
            code = main()
        except SystemExit as leave:
            code = int(leave.code or 0)
        out, err = capsys.readouterr()
        return Result(code, out, err)

    return call


@pytest.fixture
def start() -> Callable[..., subprocess.Popen[bytes]]:
    """Start the program as a process, its output in pipes."""

    def popen(*arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    return popen


@pytest.fixture
def on_a_terminal() -> Callable[..., bytes]:
    """Run the program on a terminal, to the end; what comes back are the bytes it sends there."""
    pytest.importorskip("pty")
    from pseudo_terminal import run_on_a_terminal

    def run(*arguments: str, code: int = 0) -> bytes:
        ended, shown = run_on_a_terminal(
            [sys.executable, "-c", START, *arguments],
            os.environ | {"TERM": "xterm-256color", "COLUMNS": "120"},
            keyboard=True,
        )
        assert ended == code, shown
        return shown

    return run


@pytest.fixture
def make_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Callable[[], str]]:
    """Make stdout a terminal of a width; what comes back reads it without colours."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def make(width: int) -> Callable[[], str]:
        terminal = Terminal()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setattr(sys, "stdout", terminal)
        return lambda: re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())

    return make


@pytest.fixture
def program() -> str:
    """The program as the text of a ``python -c``."""
    return START


@pytest.fixture
def make_run() -> Callable[..., RunDirectory]:
    """Make the directory of a run that has not started."""

    def make(
        name: str = "a-run", *, lr: float = 1e-3, classes: tuple[str, ...] = ("a", "b", "c")
    ) -> RunDirectory:
        model = ModelConfig(
            token_mixer="softmax", embedding="linear", positions="learned",
            image_height=8, image_width=8, in_channels=1, num_classes=len(classes),
            patch_size=2, embed_dim=8, depth=1, num_heads=1,
        )  # fmt: skip
        data = DataConfig(
            source="digits", classes=classes, image_height=8, image_width=8, in_channels=1,
            fingerprint="f", train=100, validation=20, test=30,
        )  # fmt: skip
        plan = Plan(
            device="cpu", micro_batch=64, budget_bytes=10**9, predicted_peak_bytes=3 * 10**8,
            basis="a guess",
        )  # fmt: skip
        config = RunConfig(
            id=name, created="2026-11-22T07:04:00", vixtui="0", preset="vit:tiny", seed=0,
            model=model, data=data, recipe=Recipe(epochs=3, lr=lr), plan=plan,
        )  # fmt: skip
        return create_run(config, b'{"train":[],"validation":[],"test":[]}')

    return make


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve different pictures, split into train, val and test."""
    from picture_corpus import draw

    root = tmp_path_factory.mktemp("drawn")
    for shade, part in enumerate(("train", "val", "test")):
        for colour, name in enumerate(("cat", "dog")):
            (root / part / name).mkdir(parents=True)
            for number in range(12):
                image = draw(10 * number, 50 * shade, 90 * colour)
                image.save(root / part / name / f"{number}.png")
    return root


@pytest.fixture
def pictures(tmp_path: Path, drawn: Path) -> Path:
    """A copy of `drawn` for one test to spoil."""
    return Path(shutil.copytree(drawn, tmp_path / "pictures"))
