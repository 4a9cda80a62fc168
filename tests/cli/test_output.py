"""Tables and JSON on stdout."""

from __future__ import annotations

import io
import json
import re
import sys

import pytest

from vixtui.cli import output


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _table_on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> str:
    terminal = _Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", terminal)
    output.print_table(
        ["preset", "weights", "why"],
        [["hybrid-vin:tiny", "264 k", "the quick brown fox"], ["[red]", "1", "a\x1b[31mb"]],
        numeric=("weights",),
        whole=("preset",),
    )
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue())


@pytest.mark.parametrize("width", range(20, 80, 3))
def test_no_word_of_a_table_is_lost_at_any_width(monkeypatch, width):
    shown = _table_on_a_terminal(monkeypatch, width)
    for word in ("hybrid-vin:tiny", "264 k", "the", "quick", "brown", "fox", "[red]"):
        assert word in shown


def test_a_table_fits_a_terminal_of_80_columns(monkeypatch):
    shown = _table_on_a_terminal(monkeypatch, 80)
    assert "──" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_table_shows_control_characters_as_text(monkeypatch):
    assert "a\\x1b[31mb" in _table_on_a_terminal(monkeypatch, 80)


def test_off_a_terminal_a_table_is_aligned_text(capsys):
    output.print_table(["name", "n"], [["a", "10"], ["long", "2"]], numeric=("n",))
    assert capsys.readouterr().out == "name   n\na     10\nlong   2\n"


def test_json_has_a_version_no_nan_and_only_ascii(capsys):
    output.print_json({"x": float("nan"), "name": "é\x1b"})
    out = capsys.readouterr().out
    assert json.loads(out) == {"schema_version": 1, "x": None, "name": "é\x1b"}
    assert out.isascii()
    assert "\x1b" not in out
