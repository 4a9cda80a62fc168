"""What Tab offers."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def _complete(program: str, line: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ
        | {
            "_VIXTUI_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
        capture_output=True,
        check=True,
        text=True,
    )
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vixtui rec", "recommend"),
        ("vixtui runs sh", "show"),
        ("vixtui runs show a-r", "a-run"),
        ("vixtui train --preset hybrid-vin", "hybrid-vin-rope"),
        ("vixtui train --preset hybrid-vin:", "hybrid-vin:tiny"),
        ("vixtui train sh", "shapes"),
        ("vixtui predict x.png --model la", "last"),
    ],
)
def test_tab_offers(make_run, program, line, offered):
    make_run("a-run")
    assert offered in _complete(program, line)


def test_a_hostile_run_name_is_not_offered(make_run):
    from vixtui.cli.complete import complete_run

    run = make_run("a-run")
    run.path.rename(run.path.with_name("a\x1b]0;x\x07"))
    assert complete_run("") == ["last"]
