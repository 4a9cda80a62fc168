"""What goes wrong is one line on stderr, an exit code, and nothing on stdout."""

from __future__ import annotations

import pytest

from vixtui.errors import DiskError


@pytest.mark.parametrize(
    "arguments",
    [
        ("trian",),
        ("train", "--epochs", "many"),
        ("train", "--epochs", "0"),
        ("train", "--precision", "fp8"),
        ("train", "--epochs", "3", "--time", "2m"),
        ("train", "--time", "soon"),
        ("train", "--preset", "hybrid-van"),
        ("train", "no/such/folder"),
        ("recommend", "--budget", "lots"),
        ("recommend", "--wrong"),
        ("recommend", "--data", "digits", "--classes", "3"),
        ("presets", "show", "vat:tiny"),
        ("presets", "show"),
        ("runs", "show", "nothing"),
        ("runs", "stop", "nothing"),
        ("attach",),
        ("evaluate", "nothing"),
        ("predict",),
        ("predict", "a.png", "--json", "--csv"),
        ("check",),
        ("check", "no/such/folder"),
        ("check", __file__),
        ("check", "digits"),
        ("check", "cifar10"),
        ("check", ".", "--json", "--csv"),
    ],
    ids=" ".join,
)
def test_wrong_use_is_one_line_and_exits_2(vixtui, arguments):
    result = vixtui(*arguments)
    assert result.code == 2
    assert result.out == ""
    assert result.err.startswith("error: ")
    assert result.err.count("\n") == 1


def test_bug_prints_one_line_and_saves_the_traceback(vixtui, monkeypatch, tmp_path):
    def fail(facts) -> None:
        raise RuntimeError("wrong\n\x1b[31mcolour")

    monkeypatch.setattr("vixtui.cli.output.print_facts", fail)
    result = vixtui("version")
    assert result.code == 1
    assert result.err.count("\n") == 1
    assert "\x1b" not in result.err
    [saved] = (tmp_path / "home").glob("crash-*.txt")
    assert str(saved) in result.err
    assert "Traceback" in saved.read_text()


def test_each_kind_of_error_has_its_exit_code(vixtui, monkeypatch):
    def fail(facts) -> None:
        raise DiskError("the disk is full", where="/here", remedy="free some space")

    monkeypatch.setattr("vixtui.cli.output.print_facts", fail)
    result = vixtui("version")
    assert (result.code, result.err) == (6, "error: the disk is full (/here): free some space\n")


def test_ctrl_c_exits_130(vixtui, monkeypatch):
    def interrupt(facts) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vixtui.cli.output.print_facts", interrupt)
    assert vixtui("version").code == 130


def test_a_reader_that_leaves_ends_the_program_quietly(start):
    process = start("presets", "list")
    process.stdout.close()
    assert process.wait() == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_home_is_chosen_for_one_call(vixtui, tmp_path):
    result = vixtui("--home", str(tmp_path / "elsewhere"), "runs", "show", "x")
    assert "elsewhere" in result.err
