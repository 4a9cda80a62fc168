"""Tables and JSON on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from vixtui.cli import output


def _table_on_a_terminal(make_terminal, width: int, **more: object) -> str:
    shown = make_terminal(width)
    output.print_table(
        ["preset", "weights", "why"],
        [["hybrid-vin:tiny", "264 k", "the quick brown fox"], ["[red]", "1", "a\x1b[31mb"]],
        numeric=("weights",),
        whole=("preset",),
        **more,  # type: ignore[arg-type]
    )
    return shown()


@pytest.mark.parametrize("width", range(20, 80, 3))
def test_no_word_of_a_table_is_lost_at_any_width(make_terminal, width):
    shown = _table_on_a_terminal(make_terminal, width)
    for word in ("hybrid-vin:tiny", "264 k", "the", "quick", "brown", "fox", "[red]"):
        assert word in shown


def test_a_table_fits_a_terminal_of_80_columns(make_terminal):
    shown = _table_on_a_terminal(make_terminal, 80)
    assert "──" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_table_shows_control_characters_as_text(make_terminal):
    assert "a\\x1b[31mb" in _table_on_a_terminal(make_terminal, 80)


def test_a_narrow_terminal_does_without_optional_columns(make_terminal):
    assert "weights" in _table_on_a_terminal(make_terminal, 80, optional=("weights",))
    shown = _table_on_a_terminal(make_terminal, 40, optional=("weights",))
    assert "weights" not in shown
    assert "the quick brown fox" in shown


def test_off_a_terminal_a_table_is_aligned_text(capsys):
    output.print_table(["name", "n"], [["a", "10"], ["long", "2"]], numeric=("n",))
    assert capsys.readouterr().out == "name   n\na     10\nlong   2\n"


def test_csv_has_every_sign_that_starts_a_formula_escaped(capsys):
    output.print_csv([["=1", "+1", "-1", "@x", "＝1"], ["x", "a=1", 'say "hi", you', "\n=1", "é"]])
    assert capsys.readouterr().out == (
        '\'=1,\'+1,\'-1,\'@x,\'＝1\nx,a=1,"say ""hi"", you",\\n=1,é\n'
    )


def test_json_has_a_version_no_nan_and_only_ascii(capsys):
    output.print_json({"x": float("nan"), "name": "é\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"schema_version": 1, "x": None, "name": "é\x1b"}
    assert out.isascii()
    assert "\x1b" not in out


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a full device")
def test_a_full_disk_that_stdout_goes_to_is_one_line_and_no_bug(home):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vixtui", "presets", "list", "--json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode == 6
    assert done.stderr == (
        "error: cannot write: No space left on device (standard output): free some space\n"
    )
    assert not list(home.glob("crash-*"))
