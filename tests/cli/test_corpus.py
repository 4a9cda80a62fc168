"""Every bad and odd input that is known: one line, and the documented exit code."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from corpus import CORPUS


@pytest.mark.parametrize("name", CORPUS)
def test_every_item_has_its_line_and_exit_code(
    vixtui, make_run, drawn: Path, tmp_path: Path, name: str
) -> None:
    item = CORPUS[name]
    shutil.copytree(drawn, tmp_path / "pictures")
    make_run("run")
    item.make(tmp_path)

    result = vixtui(*(word.format(tmp_path) for word in item.command))

    lines = [re.sub(" +", " ", line) for line in (result.out + result.err).splitlines()]
    assert any(re.match(item.line, line) for line in lines), lines
    assert result.code == item.code
    assert result.err.count("\n") == (item.code != 0)
    assert result.err.startswith("error: ") == (item.code != 0)
    assert "".join(lines).isprintable()
