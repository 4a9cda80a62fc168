"""What stands in for a GPU driver's library and for a torch that is built for some GPU."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
HIDING = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ZE_AFFINITY_MASK")


def build_driver(folder: Path) -> Path:
    """Compile ``libnvidia-ml.so.1`` into a folder and return that."""
    compiler = shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs gcc on Linux to build the stand-in driver library")
    library = folder / "libnvidia-ml.so.1"
    source = HERE / "fake_nvml.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return folder


def no_driver(folder: Path) -> Path:
    """Put an empty file where the library should be: that counts on every machine."""
    (folder / "libnvidia-ml.so.1").touch()
    return folder


def make_torch(
    folder: Path, *, cuda: str | None = None, hip: str | None = None, xpu: str | None = None
) -> Path:
    """Write a package ``torch`` into a folder and return that."""
    package = folder / "torch"
    package.mkdir()
    shutil.copyfile(HERE / "fake_torch.py", package / "__init__.py")
    lines = (f"__version__ = '2.99.0'\ncuda: str | None = {cuda!r}\n", f"hip = {hip!r}\n")
    (package / "version.py").write_text("".join((*lines, f"xpu = {xpu!r}\n")))
    return folder


def environment(driver: Path, torch: Path | None = None, **settings: str) -> dict[str, str]:
    """Return the environment of a process that sees the stand-ins, and no real GPU."""
    kept = {name: value for name, value in os.environ.items() if name not in HIDING}
    path = [str(torch)] if torch is not None else []
    path += filter(None, [os.environ.get("PYTHONPATH")])
    stand_ins = {"LD_LIBRARY_PATH": str(driver), "PYTHONPATH": os.pathsep.join(path)}
    return kept | stand_ins | settings


def told(answers: dict[str, object]) -> str:
    """Return what FAKE_NVML holds for answers by key."""
    return "\n".join(f"{key}={value}" for key, value in answers.items())
