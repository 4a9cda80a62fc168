"""What there is to know about an installation and its machine: one function a section.

Every section is labelled facts, as text. Nothing here imports torch.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from pathlib import Path

from vixtui import __version__
from vixtui.cli.version import installed_version
from vixtui.text import format_bytes, format_seconds, safe

_PACKAGES = (
    "torch", "torchvision", "safetensors", "pillow", "textual", "typer", "rich",
    "psutil", "nvidia-ml-py",
)  # fmt: skip
_TERMINAL_VARIABLES = (
    "TERM", "COLORTERM", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "LANG", "LC_ALL", "NO_COLOR",
    "VIXTUI_ASCII",
)  # fmt: skip
_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
    "HSA_OVERRIDE_GFX_VERSION", "ONEAPI_DEVICE_SELECTOR", "ZE_AFFINITY_MASK",
    "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_ENABLE_MPS_FALLBACK",
    "OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT",
)  # fmt: skip
_PATH_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "PYTHONPATH")
_CONTAINER_MARKS = ("/.dockerenv", "/run/.containerenv")
_NOT_SET = "not set"


def versions() -> dict[str, str]:
    """Return what is installed, as its metadata and files tell."""
    from vixtui.hardware.accelerators import read_torch_build

    facts = {
        "vixtui": __version__,
        "python": f"{platform.python_version()} ({platform.python_implementation()})",
        **{package: installed_version(package) or "not installed" for package in _PACKAGES},
    }
    if (build := read_torch_build()) is not None:
        built_for = {"CUDA": build.cuda, "ROCm": build.hip, "SYCL": build.xpu}
        names = [f"{name} {number}" for name, number in built_for.items() if number]
        facts["torch is built for"] = ", ".join(names) or "the CPU"
    if (deprecated := installed_version("pynvml")) is not None:
        facts["pynvml"] = f"{deprecated}, deprecated: may hide the module of nvidia-ml-py"
    return facts


def system() -> dict[str, str]:
    """Return the operating system and the processor."""
    from vixtui.hardware.host import cpu_name, usable_cores

    cpu, cores = cpu_name(), usable_cores()
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "C library": " ".join(platform.libc_ver()).strip() or "unknown",
        "marked as a container": _yes(any(Path(mark).exists() for mark in _CONTAINER_MARKS)),
        "processor": cpu,
        "cores": f"{cores} of {os.cpu_count()}",
        "speed": _speed(cpu, cores),
    }


def _speed(cpu: str, cores: int) -> str:
    """Return what ``vixtui bench`` measured, and when."""
    from vixtui.cli.bench import speed_of, way_of
    from vixtui.hardware.calibration import read_calibration

    calibration = read_calibration(cpu, cores)
    if calibration is None:
        return "not measured: vixtui bench does it"
    ways = "; ".join(f"{way_of(rates)}: {speed_of(rates)}" for rates in calibration.rates)
    return safe(f"{ways}, measured {calibration.date} with torch {calibration.torch}")


def terminal() -> dict[str, str]:
    """Return what is known of the terminal."""
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    terminals = [name for name, stream in streams.items() if stream is not None and stream.isatty()]
    size = shutil.get_terminal_size((0, 0))
    return {
        "is one": ", ".join(terminals) or "no stream",
        "size": f"{size.columns} × {size.lines}" if size.columns else "unknown",
        "encoding": getattr(sys.__stdout__, "encoding", None) or "unknown",
        "over SSH": _yes("SSH_CONNECTION" in os.environ),
        "inside tmux": _yes("TMUX" in os.environ),
        "inside screen": _yes("STY" in os.environ),
        **{name: _variable(name) for name in _TERMINAL_VARIABLES},
    }


def environment() -> dict[str, str]:
    """Return the variables that change what torch finds and does; of paths, only that they do."""
    values = {name: _variable(name) for name in _VARIABLES if name in os.environ}
    return {**values, **{name: "set" for name in _PATH_VARIABLES if name in os.environ}}


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def _variable(name: str) -> str:
    return safe(os.environ[name], 200) if name in os.environ else _NOT_SET


def limits() -> dict[str, str]:
    """Return memory and disk, and everything that allows this process less than there is."""
    from vixtui.hardware.cgroup import cpu_quota, memory_limits
    from vixtui.hardware.host import disk_free, host_memory
    from vixtui.paths import HOME_VARIABLE, home

    total, free = host_memory()
    disk = disk_free(home())
    facts = {
        "RAM, total": f"{format_bytes(total.bytes)} ({total.source})",
        "RAM, free": f"{format_bytes(free.bytes)} ({free.source})",
        "disk, free": f"{format_bytes(disk.bytes)} ({disk.source})",
        "home": f"${HOME_VARIABLE}" if HOME_VARIABLE in os.environ else "default",
    }
    for number, entry in enumerate(memory_limits(), 1):
        amounts = f"{format_bytes(entry.limit.bytes)}, {format_bytes(entry.free_bytes)} free"
        facts[f"memory limit {number}"] = f"{amounts} ({entry.limit.source})"
    quota = cpu_quota()
    facts["processor quota"] = "none" if quota is None else f"{quota:g} cores"
    return {**facts, **_resource_limits()}


def _resource_limits() -> dict[str, str]:
    try:
        import resource
    except ImportError:  # Windows
        return {}
    space, _ = resource.getrlimit(resource.RLIMIT_AS)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    return {
        "address space": "unlimited" if space == unlimited else format_bytes(space),
        "open files": "unlimited" if files == unlimited else f"{files:,}",
    }


def gpus() -> dict[str, str]:
    """Return each GPU that can be used, however it was found, and why others cannot."""
    from vixtui.hardware.probe import probe

    machine, facts = probe(), {}
    for gpu in machine.gpus:
        free = f"{format_bytes(gpu.free.bytes)} of {format_bytes(gpu.total.bytes)} free"
        others = "unknown" if gpu.processes is None else str(len(gpu.processes))
        facts[f"{gpu.backend} {gpu.number}"] = (
            f"{gpu.name}, {free} ({gpu.free.source}), other processes: {others}"
        )
    return {**facts, **{f"note {number}": note for number, note in enumerate(machine.notes, 1)}}


def tried() -> dict[str, str]:
    """Return each way of looking for GPUs, and how it went."""
    from vixtui.hardware.accelerators import graphics_vendors
    from vixtui.hardware.nvml import DriverUnusableError, driver_versions

    try:
        nvml = ", ".join(f"{name} {number}" for name, number in driver_versions().items())
    except DriverUnusableError as error:
        nvml = str(error)
    vendors = graphics_vendors()
    return {
        "NVML": nvml or "no versions",
        "graphics, by files": "not told"
        if vendors is None
        else ", ".join(sorted(vendors)) or "none",
        "torch process": _ask_torch(),
    }


def _ask_torch() -> str:
    from vixtui.hardware.accelerators import TorchUnusableError, ask_torch

    started = time.monotonic()
    try:
        answer = ask_torch()
    except TorchUnusableError as error:
        return str(error)
    seconds = format_seconds(time.monotonic() - started)
    names = [str(entry.get("name", entry.get("error"))) for entry in answer["devices"]]
    return safe(
        f"{answer.get('torch')} answered in {seconds}; NVIDIA GPUs: {answer.get('cuda_gpus')}; "
        f"others: {', '.join(names) or 'none'}"
    )
