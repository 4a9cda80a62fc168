"""How much memory a run may use, and on which device."""

from __future__ import annotations

from vixtui.errors import UsageError
from vixtui.hardware.machine import Figure, Gpu, Machine
from vixtui.planning.types import Budget
from vixtui.text import format_bytes
from vixtui.units import parse_bytes

# What is left to others when nobody says how much to use.
_CPU_SHARE = 0.8
_GPU_SHARE = 0.9
# With less than this free, somebody else works on the GPU: the CPU is the better choice.
_LEAST_FREE_GPU_BYTES = 2**30


def resolve_budget(machine: Machine, text: str | None = None, device: str | None = None) -> Budget:
    """Return the memory that a run may use.

    Args:
        machine: what is free now.
        text: an amount (``4GB``) or a share of what is free now on the device (``50%``); without
            it, 80 % of free RAM or 90 % of a GPU's free memory.
        device: ``cpu``, ``cuda``, ``cuda:<index>``, ``cuda:<uuid>`` or a GPU's UUID; without it,
            the GPU with the most free memory, or the CPU.

    Raises:
        UsageError: for an unknown device or an unreadable amount.
    """
    gpu = _choose_gpu(machine, device)
    free = machine.ram_free if gpu is None else gpu.free
    name = "cpu" if gpu is None else gpu.device
    if text is None:
        share = _CPU_SHARE if gpu is None else _GPU_SHARE
        source = f"{100 * share:.0f} % of {_describe(free)}"
        return Budget(device=name, bytes=int(share * free.bytes), source=source)
    wanted = parse_bytes(text, whole=free.bytes)
    relation = "more than" if wanted > free.bytes else "of"
    return Budget(device=name, bytes=wanted, source=f"{text} given, {relation} {_describe(free)}")


def _describe(free: Figure) -> str:
    return f"{format_bytes(free.bytes)} free now ({free.source})"


def _choose_gpu(machine: Machine, device: str | None) -> Gpu | None:
    """Return the GPU that `device` means, None for the CPU."""
    roomiest = max(machine.gpus, key=lambda gpu: gpu.free.bytes, default=None)
    if device is None:
        usable = roomiest is not None and roomiest.free.bytes >= _LEAST_FREE_GPU_BYTES
        return roomiest if usable else None
    if device == "cpu":
        return None
    if device == "cuda" and roomiest is not None:
        return roomiest
    wanted = device.removeprefix("cuda:")
    for gpu in machine.gpus:
        if wanted in (gpu.uuid, str(gpu.index)):
            return gpu
    known = " or ".join(["cpu", *(f"cuda:{gpu.index}" for gpu in machine.gpus)])
    raise UsageError(f"no such device: {device}", where="--device", remedy=f"use {known}")
