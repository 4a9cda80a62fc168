"""The wheel is whole: it works outside the checkout, with nothing but its dependencies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel alone; lend it the tested environment's other packages."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", wheel]
    subprocess.run(list(map(str, install)), check=True)
    shown = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    lent = Path(shown.stdout.strip()) / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin" / "vixtui"


def run(program: Path, *arguments: str, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_wheel_holds_presets_assets_and_figures(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "vixtui/_presets/hybrid-vin-rope.toml" in names
    assert "vixtui/_assets/digits.safetensors" in names
    assert "vixtui/memory/figures.tsv" in names
    assert "vixtui/planning/measured.toml" in names
    assert "vixtui/tui/app.tcss" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_recommend_and_predict_from_another_folder(program: Path, tmp_path: Path) -> None:
    where = subprocess.run(
        [str(program.with_name("python")), "-c", "import vixtui; print(vixtui.__file__)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(where.stdout.strip()).is_relative_to(program.parents[1])
    listed = json.loads(run(program, "recommend", "--budget", "4GB", "--json", folder=tmp_path))
    assert listed
    run(program, "train", "digits", "--epochs", "1", folder=tmp_path)
    picture = ROOT / "assets" / "samples" / "digit-3.png"
    answer = run(program, "predict", str(picture), "--json", folder=tmp_path)
    prediction = json.loads(answer)["predictions"][0]
    assert sum(guess["probability"] for guess in prediction["top"]) <= 1
