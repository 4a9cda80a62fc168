"""Every command explains itself, fast enough not to need torch for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

COMMANDS = [
    (),
    ("probe",), ("bench",), ("recommend",), ("check",), ("train",), ("attach",), ("evaluate",),
    ("predict",), ("doctor",),
    ("version",),
    ("runs",), ("runs", "list"), ("runs", "show"), ("runs", "compare"), ("runs", "resume"),
    ("runs", "stop"), ("runs", "rename"), ("runs", "rm"),
    ("presets",), ("presets", "list"), ("presets", "show"),
    ("cache",), ("cache", "list"), ("cache", "clear"),
]  # fmt: skip
HEAVY = ("torch", "torchvision", "numpy", "textual", "PIL")
WITHOUT_TORCH = [
    ("--help",),
    ("train", "--help"),
    ("--version",),
    ("version",),
    ("probe",),
    ("recommend", "--budget", "4GB"),
    ("runs", "list"),
    ("cache", "list"),
    ("cache", "clear"),
    ("presets", "list"),
    ("presets", "show", "hybrid-vin:tiny"),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_has_an_example(vixtui, command):
    result = vixtui(*command, "--help")
    assert result.code == 0
    assert "Example: vixtui " + " ".join(command) in " ".join(result.out.split())


def test_no_command_is_forgotten_here():
    from typer.main import get_command

    from vixtui.cli.app import app

    names = {()}
    for name, command in get_command(app).commands.items():
        names |= {(name,), *((name, inner) for inner in getattr(command, "commands", {}))}
    assert names == set(COMMANDS)


def test_the_list_of_commands_is_cut_nowhere(vixtui):
    assert "..." not in vixtui("--help").out.partition("Commands:")[2]


@pytest.mark.parametrize("command", COMMANDS[1:], ids=" ".join)
def test_every_command_but_a_group_speaks_json(vixtui, command):
    if command not in (("runs",), ("presets",), ("cache",)):
        assert "--json" in vixtui(*command, "--help").out


@pytest.mark.parametrize("arguments", WITHOUT_TORCH, ids=" ".join)
def test_commands_never_import_torch(arguments):
    code = (
        "import json, sys\n"
        "from vixtui.__main__ import main\n"
        "code = main()\n"
        "print('\\n' + json.dumps([code, sorted(sys.modules)]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, env=os.environ, check=True
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    assert not {name.partition(".")[0] for name in modules} & set(HEAVY)


def test_bare_without_a_terminal_prints_the_recommendation(vixtui):
    result = vixtui()
    assert result.code == 0
    assert result.out.startswith("preset ")
