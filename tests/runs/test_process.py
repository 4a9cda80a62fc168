"""Starting the engine and asking it, with a few lines of Python in its place."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vixtui.errors import (
    DataError,
    DiskError,
    DoesNotFitError,
    UsageError,
    VixtuiError,
    WeightsError,
)
from vixtui.runs import process
from vixtui.runs.control import send
from vixtui.runs.directory import RunDirectory
from vixtui.runs.process import Engine, start_training

MakeRun = Callable[[str], RunDirectory]
ECHO = """
import json, sys
for line in sys.stdin:
    question = json.loads(line)
    for done in (1, 2):
        print(json.dumps({"type": "progress", "done": done}), flush=True)
    print(json.dumps({"type": "result", **question}), flush=True)
"""


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let a piece of Python be the engine."""

    def choose(code: str) -> None:
        monkeypatch.setattr(process, "_command", lambda *rest: [sys.executable, "-c", code, *rest])

    return choose


def say(*lines: str) -> str:
    """Return an engine that answers each question with these lines."""
    return f"import sys\nfor line in sys.stdin:\n    print({chr(10).join(lines)!r}, flush=True)"


def test_an_engine_counts_gpus_by_pci_bus_as_nvml_does(
    play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    answer = "json.dumps({'type': 'result', 'order': os.environ['CUDA_DEVICE_ORDER']})"
    play(f"import json, os\ninput()\nprint({answer})")
    with Engine() as engine:
        assert engine.ask("predict") == {"order": "PCI_BUS_ID"}


def test_questions_are_answered_in_turn_with_progress(play: Callable[[str], None]) -> None:
    play(ECHO)
    seen: list[dict[str, Any]] = []
    hostile = os.fsdecode(b"caf\xe9\n\x1b.png")
    with Engine() as engine:
        for number in range(2):
            answer = engine.ask("predict", on_progress=seen.append, paths=[hostile], top=number)
            assert answer == {"ask": "predict", "paths": [hostile], "top": number}
        assert engine.running
    assert seen == [{"done": 1}, {"done": 2}] * 2
    assert not engine.running


def test_progress_nobody_asked_for_is_passed_over(play: Callable[[str], None]) -> None:
    play(ECHO)
    with Engine() as engine:
        assert engine.ask("download", name="x")["name"] == "x"


@pytest.mark.parametrize(
    ("exit_code", "kind"),
    [
        (1, VixtuiError),
        (2, UsageError),
        (3, DataError),
        (4, WeightsError),
        (5, DoesNotFitError),
        (6, DiskError),
        (77, VixtuiError),
    ],
)
def test_an_error_arrives_as_what_it_was(
    play: Callable[[str], None], exit_code: int, kind: type[VixtuiError]
) -> None:
    play(
        say(
            f'{{"type": "error", "what": "w\\u001b", "where": "here", "remedy": "do", '
            f'"exit_code": {exit_code}}}'
        )
    )
    with Engine() as engine:
        with pytest.raises(VixtuiError) as caught:
            engine.ask("predict")
        assert type(caught.value) is kind
        assert caught.value.message == "w\\x1b (here): do"
        assert engine.running


@pytest.mark.parametrize(
    "code",
    [
        "",
        "import sys; sys.exit(3)",
        "import sys; sys.stdin.readline(); sys.exit(3)",
        "import sys; sys.stdin.close(); sys.exit(3)",
    ],
)
def test_a_dead_engine_is_one_line_and_can_be_closed(
    play: Callable[[str], None], code: str
) -> None:
    play(code)
    engine = Engine()
    if "readline" not in code:
        engine._process.wait()
    for _ in range(2):
        with pytest.raises(VixtuiError, match="ended unexpectedly with code"):
            engine.ask("predict", paths=["x" * 100_000])
    engine.close()
    assert not engine.running


def test_the_death_is_the_error_that_leaves_a_with_block(play: Callable[[str], None]) -> None:
    play("")
    engine = Engine()
    engine._process.wait()
    with pytest.raises(VixtuiError, match="ended unexpectedly"), engine:
        engine.ask("predict")


@pytest.mark.parametrize(
    "line",
    [
        "Segmentation fault",
        "[]",
        "{}",
        '{"type": "error"}',
        '{"type": "error", "what": "w", "where": "", "remedy": "", "exit_code": []}',
        "[" * 100_000,
        "\x1b[2J",
    ],
    ids=lambda line: line[:20],
)
def test_garbage_on_the_pipe_ends_the_engine(play: Callable[[str], None], line: str) -> None:
    play(say(line))
    with Engine() as engine:
        with pytest.raises(VixtuiError, match="not understood") as caught:
            engine.ask("predict")
        assert "\x1b" not in caught.value.message
        assert not engine.running, "its next words could be the rest of this answer"


def test_an_engine_that_says_no_more_is_not_waited_for(
    play: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_LEAVE_SECONDS", 0.1)
    play("import os, time; os.close(1); time.sleep(60)")
    with Engine() as engine, pytest.raises(VixtuiError, match="code -9"):
        engine.ask("predict")


def test_kill_wakes_whoever_waits(play: Callable[[str], None]) -> None:
    play(
        "import sys, time\n"
        'for line in sys.stdin:\n    print(\'{"type": "progress"}\', flush=True)\n'
        "    time.sleep(600)"
    )
    with Engine() as engine:
        started = time.monotonic()
        with pytest.raises(VixtuiError, match="code -9"):
            engine.ask("predict", on_progress=lambda _: engine.kill())
        assert time.monotonic() - started < 300


def test_what_the_engine_says_aside_goes_to_the_log(
    play: Callable[[str], None], tmp_path: Path
) -> None:
    play("import sys; print('aside', file=sys.stderr)\n" + say('{"type": "result"}'))
    with Engine(tmp_path / "log.txt") as engine:
        assert engine.ask("predict") == {}
    assert (tmp_path / "log.txt").read_text() == "aside\n"


def test_training_starts_by_itself_quietly(
    play: Callable[[str], None], make_run: MakeRun, capfd: pytest.CaptureFixture[str]
) -> None:
    play(
        "import os, sys\n"
        "print(sys.argv[1:], os.environ['OMP_WAIT_POLICY'], sys.stdin.read() == '')\n"
        "print(os.getsid(0) == os.getpid() if os.name == 'posix' else True, file=sys.stderr)"
    )
    run = make_run("a-run")
    run.log_path.write_text("of the first start\n")
    send(run.control_path, "stop")
    assert start_training(run).wait() == 0
    said = ["of the first start", f"['train', '{run.path}'] PASSIVE True", "True"]
    assert run.log_path.read_text().splitlines() == said
    assert capfd.readouterr() == ("", "")
    assert not run.control_path.exists(), "the stop was meant for the engine before"


def test_a_log_that_cannot_be_written_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"log\.txt"):
        start_training(RunDirectory(tmp_path / "gone"))
