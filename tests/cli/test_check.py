"""``vixtui check``: each bad file has its line and its exit code."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from picture_corpus import ODD, UNUSABLE
from pseudo_terminal import run_on_a_terminal

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX file system")


def test_without_strict_unusable_files_are_named_and_no_error(vixtui, pictures):
    for number, (name, content, _) in enumerate(UNUSABLE.values()):
        (pictures / "train" / "cat" / f"{number}{name}").write_bytes(content())

    result = vixtui("check", str(pictures))
    assert (result.code, result.err) == (0, "")
    rows = [line for line in result.out.splitlines() if line.startswith(("unusable", "format"))]
    assert len(rows) == len(UNUSABLE)
    assert f"{len(UNUSABLE)} problems: " in result.out
    assert "72 of them usable" in result.out

    result = vixtui("check", str(pictures), "--strict")
    assert result.code == 3
    assert re.fullmatch(
        rf"error: {len(UNUSABLE)} problems: .* \({re.escape(str(pictures))}\).*\n", result.err
    )


RESOURCES = """
import sys, time
from pathlib import Path
from vixtui.data.examine import examine
from vixtui.errors import DataError
seconds = {}
for path in Path(sys.argv[1]).iterdir():
    started = time.process_time()
    try:
        examine(path, height=32, width=32)
    except DataError:
        pass
    seconds[path.name] = time.process_time() - started
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(max(seconds.values()), 1000 * int(peak.split()[1]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory otherwise")
def test_no_file_takes_much_time_or_memory(tmp_path):
    for number, (name, content, *_) in enumerate((*UNUSABLE.values(), *ODD.values())):
        (tmp_path / f"{number}{name}").write_bytes(content())
    done = subprocess.run(
        [sys.executable, "-c", RESOURCES, tmp_path], capture_output=True, text=True, check=True
    )
    seconds, peak = map(float, done.stdout.split())
    assert seconds < 1
    assert peak < 200_000_000


@posix
def test_files_and_folders_without_permission_are_named(pictures):
    (pictures / "train" / "cat" / "0.png").chmod(0)
    (pictures / "train" / "dog" / "more").mkdir(mode=0)
    command = [sys.executable, "-m", "vixtui", "check", str(pictures)]
    if os.geteuid() == 0:  # who may read all, unless that is given up
        if not shutil.which("setpriv"):
            pytest.skip("root reads all")
        command[:0] = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"]

    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "train/cat/0.png" in done.stdout
    assert "train/dog/more" in done.stdout
    assert done.stdout.count("Permission denied") == 2
    assert "71 of them usable" in done.stdout


HOSTILE = [
    "a b", "😀", "\u202egnp", "-rf", "new\nline", "[red]x", "[b]\\[", "\x1b]52;c;aGk=\x07",
    "\x9b31m", "=1+1", "@x", "%s{0}", "x" * 251, "caf\udce9", "e\u0301",
]  # fmt: skip


@posix
@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
@pytest.mark.parametrize("form", [(), ("--csv",), ("--json",)], ids=" ".join)
def test_any_name_is_shown_without_harm(vixtui, tmp_path, pictures, name, form):
    root = tmp_path / name
    shutil.copytree(pictures / "train", root)
    (root / name[:200]).mkdir()
    (root / "cat" / f"{name}.png").write_text("text")
    (root / "dog" / f"{name}.png").write_bytes((root / "cat" / "3.png").read_bytes())

    result = vixtui("check", str(root), *form, "--strict")
    assert result.code == 3
    for shown in (result.out, result.err):
        assert "".join(shown.splitlines()).isprintable()
        assert "\u202e" not in shown
    assert "unusable" in result.out
    assert "two classes" in result.out
    if form == ("--csv",):
        for cells in csv.reader(io.StringIO(result.out)):
            assert not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    if form == ("--json",):
        paths = [entry["path"] for entry in json.loads(result.out)["findings"]]
        assert f"cat/{name}.png" in paths


def test_every_unusable_file_is_listed_and_a_few_of_the_rest(vixtui, pictures):
    for number in range(30):
        (pictures / "train" / "cat" / f"bad{number}.jpg").write_text("text")
        (pictures / "train" / "cat" / f"note{number}.txt").touch()

    shown = vixtui("check", str(pictures)).out
    assert sum(line.startswith("unusable") for line in shown.splitlines()) == 30
    assert sum(line.startswith("ignored") for line in shown.splitlines()) == 11
    assert "… and 20 more" in shown
    assert "30 problems: 30 unusable" in shown
    assert "30 remarks: 30 ignored" in shown
    table = vixtui("check", str(pictures), "--csv")
    assert "30 problems: 30 unusable\n30 remarks: 30 ignored\n" in table.err
    rows = list(csv.DictReader(io.StringIO(table.out)))
    assert len(rows) == 60
    assert {(row["finding"], row["problem"]) for row in rows} == {
        ("unusable", "1"),
        ("ignored", "0"),
    }


def test_json_counts_everything(vixtui, pictures):
    (pictures / "train" / "cat" / "0.png").write_text("text")
    (pictures / "val" / "dog" / "1.png").write_bytes(b"")

    answer = json.loads(vixtui("check", str(pictures), "--json").out)
    assert (answer["pictures"], answer["usable"], answer["problems"]) == (72, 70, 2)
    assert answer["classes"] == [
        {"name": "cat", "train": 11, "validation": 12, "test": 12},
        {"name": "dog", "train": 12, "validation": 11, "test": 12},
    ]
    assert answer["counts"] == {"unusable": 2}
    assert answer["findings"][0] == {
        "kind": "unusable", "path": "train/cat/0.png", "reason": "not a picture but text",
        "same_as": "", "problem": True,
    }  # fmt: skip


def test_a_terminal_shows_the_table_and_a_bar(pictures):
    pytest.importorskip("pty")
    (pictures / "train" / "cat" / "\x1b[31m.png").write_text("text")
    code, shown = run_on_a_terminal(
        [sys.executable, "-m", "vixtui", "check", str(pictures)],
        os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    )
    assert code == 0
    assert b"checking" in shown
    assert b"73/73" in shown
    assert b"\\x1b[31m.png" in shown
    assert b"\x1b[31m.png" not in shown


def test_nothing_is_written_to_the_folder(vixtui, pictures):
    def state() -> list[tuple[str, int, int]]:
        return sorted((str(p), p.stat().st_mtime_ns, p.stat().st_size) for p in pictures.rglob("*"))

    (pictures / "train" / "cat" / "bad.jpg").write_text("text")
    before = state()
    for form in ((), ("--json",), ("--csv",), ("--strict",)):
        vixtui("check", str(pictures), *form)
    assert state() == before


def test_the_answer_does_not_depend_on_the_file_system(vixtui, pictures, monkeypatch):
    (pictures / "train" / "cat" / "bad.jpg").write_text("text")
    shutil.copy(pictures / "train" / "cat" / "3.png", pictures / "train" / "dog" / "3c.png")
    if sys.platform != "win32":
        for name in ("x.jpg", "y.jpg", "z.jpg"):
            (pictures / "train" / "cat" / name).symlink_to("nowhere")
    first = vixtui("check", str(pictures), "--json").out
    listing = os.scandir

    class Reversed:
        def __init__(self, path: str) -> None:
            with listing(path) as entries:
                self._entries = sorted(entries, key=lambda entry: entry.name, reverse=True)

        def __enter__(self):
            return iter(self._entries)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", Reversed)
    assert vixtui("check", str(pictures), "--json").out == first


def test_checking_never_imports_torch_or_numpy(pictures):
    code = (
        "import sys\nfrom vixtui.cli.app import run\nrun(sys.argv[1:])\n"
        "print([m for m in ('torch', 'torchvision', 'numpy', 'textual') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", str(pictures)], capture_output=True, check=True
    )
    assert done.stdout.splitlines()[-1] == b"[]"


def test_strict_training_stops_before_a_run_is_made(vixtui, pictures, home):
    (pictures / "test" / "cat" / "bad.jpg").write_text("text")
    quick = ("train", str(pictures), "--preset", "vit:tiny", "--epochs", "3")

    result = vixtui(*quick, "--strict")
    assert result.code == 3
    assert "unusable: test/cat/bad.jpg: not a picture but text" in result.err
    assert result.err.splitlines()[-1].startswith("error: 1 problem: 1 unusable")
    assert not (home / "runs").exists()

    assert vixtui(*quick).code == 0
    (pictures / "test" / "cat" / "bad.jpg").unlink()
    assert vixtui(*quick, "--strict").code == 0
    assert vixtui("train", "digits", *quick[2:], "--strict").code == 0
