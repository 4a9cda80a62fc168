"""What the fuzzer starts from is read, with or without a fuzzer."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import readers


@pytest.mark.parametrize("name", readers.READERS)
def test_every_seed_is_understood_or_refused_in_one_line(name: str) -> None:
    read = readers.READERS[name]()
    seeds = readers.SEEDS[name]()
    assert len(seeds) > 1
    assert all(len(seed) <= readers.LONGEST_INPUT for seed in seeds[:-1])
    for seed in seeds:
        read(seed)


def test_a_bug_is_not_taken_for_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("a bug")

    monkeypatch.setattr("vixtui.units.parse_bytes", fail)
    with pytest.raises(ValueError, match="a bug"):
        readers.READERS["budgets"]()(b"4GB")


def test_without_the_fuzzer_it_says_so_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["readers.py"])
    monkeypatch.setattr(readers, "find_spec", lambda _: None)
    assert readers.main() == 0
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    assert "atheris" in said.out
    assert said.err == ""
