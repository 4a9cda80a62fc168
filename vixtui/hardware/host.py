"""The host's memory, cores and disk, as far as this process may use them."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

import psutil

from vixtui.hardware.cgroup import cpu_quota, memory_limits
from vixtui.hardware.machine import Figure
from vixtui.text import safe


def host_memory(root: Path = Path("/")) -> tuple[Figure, Figure]:
    """Return total and free memory: the host's, or less where a control group limits us.

    Free is the smallest of what the host has available and, for each limit,
    limit - usage + inactive page cache.

    Args:
        root: what stands for ``/`` when control groups are looked up.
    """
    host = psutil.virtual_memory()
    total, free = Figure(host.total, "psutil"), Figure(host.available, "psutil")
    for entry in memory_limits(root):
        if entry.limit.bytes < total.bytes:
            total = entry.limit
        if entry.free_bytes < free.bytes:
            free = Figure(entry.free_bytes, f"{entry.limit.source} less usage")
    return total, free


def usable_cores(root: Path = Path("/")) -> int:
    """Return the number of cores this process may use, at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows
        cores = os.cpu_count() or 1
    quota = cpu_quota(root)
    return max(1, cores if quota is None else min(cores, int(quota)))


def cpu_name(root: Path = Path("/")) -> str:
    """Return the processor's name for people."""
    try:
        lines = (root / "proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    parts = (line.partition(":") for line in lines)
    entries = {key.strip(): value.strip() for key, _, value in parts}
    name = entries.get("model name") or entries.get("Model") or platform.processor()
    return safe(name or platform.machine() or "unknown processor", 80)


def disk_free(folder: Path) -> Figure:
    """Return what is free on the disk that `folder` is, or will be, on."""
    existing = next((path for path in (folder, *folder.parents) if path.exists()), Path("."))
    try:
        return Figure(shutil.disk_usage(existing).free, "file system")
    except OSError as error:
        return Figure(0, f"unknown: {safe(error.strerror or str(error), 60)}")
