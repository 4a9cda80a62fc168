"""Errors are one safe line, and each kind has an exit code for good."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vixtui import errors
from vixtui.errors import BY_EXIT_CODE, ExitCode, UsageError, VixtuiError


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (UsageError("no such file"), "no such file"),
        (UsageError("no such file", where=Path("/x")), "no such file (/x)"),
        (UsageError("no such file", remedy="look again"), "no such file: look again"),
        (UsageError("no", where="--top", remedy="look"), "no (--top): look"),
        (UsageError("no", where=0), "no (0)"),
    ],
)
def test_the_line_says_what_where_and_what_to_do(error: VixtuiError, line: str) -> None:
    assert error.message == str(error) == line


@given(*[st.text(st.characters(exclude_categories=()))] * 3)
def test_nothing_from_outside_reaches_the_terminal_raw(what: str, where: str, remedy: str) -> None:
    message = VixtuiError(what, where=where, remedy=remedy).message
    message.encode("utf-8")
    assert len(message.splitlines()) <= 1
    assert not {"\x1b", "\x9b", "\u202e", "\x07"} & set(message)
    assert len(message) < 1000


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("VixtuiError", 1),
        ("UsageError", 2),
        ("DataError", 3),
        ("WeightsError", 4),
        ("DoesNotFitError", 5),
        ("DiskError", 6),
    ],
)
def test_exit_codes_are_stable(name: str, code: int) -> None:
    kind = getattr(errors, name)
    assert kind.exit_code == code
    assert BY_EXIT_CODE.get(code, VixtuiError) is kind
    assert (ExitCode.OK, ExitCode.INTERRUPTED) == (0, 130)
