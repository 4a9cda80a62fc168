"""The GPUs of Apple, AMD and Intel: only torch knows them, so a torch process is asked.

That takes seconds. Whether it is worth them is decided from files: is there such a GPU, and was
the installed torch built for it?
"""

from __future__ import annotations

import ast
import json
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_args

from vixtui.hardware.machine import Backend, Figure, Gpu
from vixtui.text import safe

_ASK = (sys.executable, "-m", "vixtui.engine", "devices")
_PATIENCE_SECONDS = 60
_PCI_VENDORS = {"0x1002": "AMD", "0x10de": "NVIDIA", "0x8086": "Intel"}


class TorchUnusableError(Exception):
    """The torch process has no answer; the text says why."""


@dataclass(frozen=True, slots=True)
class TorchBuild:
    """Which torch is installed and what for: versions of CUDA, ROCm (HIP) and SYCL, or None."""

    version: str
    cuda: str | None = None
    hip: str | None = None
    xpu: str | None = None

    def drives(self, vendor: str) -> bool:
        """Tell whether it was built for the GPUs of a vendor; Apple's are in every build there."""
        return vendor == "Apple" or (self.hip if vendor == "AMD" else self.xpu) is not None


def list_accelerators(
    ram_total: Figure, ram_free: Figure, *, asked: bool, root: Path = Path("/")
) -> tuple[tuple[Gpu, ...], tuple[str, ...]]:
    """Return the GPUs that are not NVIDIA's, and one note a thing that went wrong. Never raises.

    Args:
        ram_total: the system's memory, which is also that of integrated GPUs.
        ram_free: what of it is free now.
        asked: whether to start torch even where no such GPU is plausible.
        root: what stands for ``/``; tests give a folder of their own.
    """
    vendors = graphics_vendors(root)
    suspects = {"AMD", "Intel"} if vendors is None else vendors - {"NVIDIA"}
    build = read_torch_build() if suspects else None
    driven = {vendor for vendor in suspects if build is not None and build.drives(vendor)}
    notes = [
        f"{vendor} graphics are not used: the installed torch is not built for them"
        for vendor in sorted(suspects - driven)
        if vendors is not None
    ]
    if not asked and not driven:
        return (), tuple(notes)
    try:
        answer = ask_torch()
    except TorchUnusableError as error:
        return (), (*notes, f"torch cannot be asked about GPUs: {error}")
    gpus = []
    for entry in answer["devices"]:
        try:
            gpus.append(_gpu(entry, ram_total, ram_free))
        except (KeyError, TypeError, ValueError) as error:
            notes.append(f"a GPU is left out: {safe(str(entry.get('error', error)), 100)}")
    if not gpus:
        notes.append("torch finds no GPU of Apple, AMD or Intel")
    notes += [f"{gpu.name} is used when asked for: --device {gpu.device}" for gpu in gpus]
    return tuple(gpus), tuple(notes)


def ask_torch() -> dict[str, Any]:
    """Return what ``vixtui.engine.devices`` says; takes seconds.

    Raises:
        TorchUnusableError: when it says nothing that can be understood.
    """
    try:
        done = subprocess.run(
            _ASK, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE_SECONDS
        )
        if done.returncode == 0:
            answer = json.loads(done.stdout.splitlines()[-1])
            if all(isinstance(entry, dict) for entry in answer["devices"]):
                return dict(answer)
    except subprocess.TimeoutExpired:
        raise TorchUnusableError(f"no answer within {_PATIENCE_SECONDS} s") from None
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise TorchUnusableError(safe(str(error), 200)) from error
    said = done.stderr.decode(errors="replace").strip().splitlines() or ["without a word"]
    raise TorchUnusableError(f"it ended with code {done.returncode}: {safe(said[-1], 200)}")


def graphics_vendors(root: Path = Path("/")) -> set[str] | None:
    """Return who made this machine's GPUs as far as files tell, or None where they never do.

    Virtual displays and management controllers are nobody's.
    """
    if sys.platform == "darwin":
        return {"Apple"} if platform.machine() == "arm64" else set()
    if sys.platform == "win32" or (root / "dev/dxg").exists():  # the latter is WSL
        return None
    return {_PCI_VENDORS[code] for code in _pci_vendors(root) if code in _PCI_VENDORS}


def read_torch_build() -> TorchBuild | None:
    """Return which torch is installed, without importing it; None without one."""
    try:
        spec = find_spec("torch")
        folders = spec.submodule_search_locations if spec is not None else None
        text = (Path((folders or [])[0]) / "version.py").read_text(encoding="utf-8")
        found = {}
        for name, value in re.findall(r"^(\w+)\b[^=\n]*=\s*(.+)$", text, re.MULTILINE):
            if name in ("__version__", "cuda", "hip", "xpu"):
                found[name] = ast.literal_eval(value)
    except (OSError, ValueError, LookupError, SyntaxError, ImportError):
        return None
    version = safe(str(found.pop("__version__", "unknown")), 60)
    return TorchBuild(version, **{name: value and str(value) for name, value in found.items()})


def _pci_vendors(root: Path) -> Iterator[str]:
    for path in root.glob("sys/class/drm/card*/device/vendor"):
        try:
            yield path.read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            continue


def _gpu(entry: dict[str, Any], ram_total: Figure, ram_free: Figure) -> Gpu:
    """Return the GPU that an answer describes; shared memory is never more than the system's.

    Raises:
        KeyError, TypeError, ValueError: when it describes none.
    """
    backend, source, read_at = entry["backend"], safe(entry["source"], 60), float(entry["read_at"])
    if backend not in get_args(Backend):
        raise ValueError(f"unknown backend: {backend}")
    total = Figure(_amount(entry["total"]), source, read_at)
    free = ram_free if entry["free"] is None else Figure(_amount(entry["free"]), source, read_at)
    if entry["shared"]:
        total = min(total, ram_total, key=lambda figure: figure.bytes)
        free = min(free, ram_free, key=lambda figure: figure.bytes)
        total, free = total.shared(), free.shared()
    return Gpu(
        index=_amount(entry["index"]),
        uuid="",
        name=safe(str(entry["name"]), 60),
        total=total,
        free=free,
        backend=backend,
        shared=bool(entry["shared"]),
    )


def _amount(value: object) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"not an amount: {value}")
    return value
