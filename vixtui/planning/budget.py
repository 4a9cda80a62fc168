"""How much memory a run may use, and on which device."""

from __future__ import annotations

from vixtui.errors import UsageError
from vixtui.hardware.machine import Figure, Gpu, Machine
from vixtui.planning.types import Budget
from vixtui.text import format_bytes, format_seconds
from vixtui.units import parse_bytes

# What is left to others when nobody says how much to use.
_CPU_SHARE = 0.8
GPU_SHARE = 0.9
# With less than this free, somebody else works on the GPU: the CPU is the better choice.
_LEAST_FREE_GPU_BYTES = 2**30
# A figure older than this is no longer called one of now.
_NOW_SECONDS = 10.0


def resolve_budget(machine: Machine, text: str | None = None, device: str | None = None) -> Budget:
    """Return the memory that a run may use.

    Args:
        machine: what is free now.
        text: an amount (``4GB``) or a share of what is free now on the device (``50%``); without
            it, 80 % of free RAM or 90 % of a GPU's free memory.
        device: ``cpu``, ``cuda``, ``cuda:<index>``, ``cuda:<uuid>``, a GPU's UUID, ``mps``,
            ``rocm`` or ``xpu``, the last two also with an index; without it, the NVIDIA GPU with
            the most free memory, or the CPU.

    Raises:
        UsageError: for an unknown device or an unreadable amount.
    """
    gpu = _choose_gpu(machine, device)
    free = machine.ram_free if gpu is None else gpu.free
    name = "cpu" if gpu is None else gpu.device
    share = _CPU_SHARE if gpu is None or gpu.shared else GPU_SHARE
    return budget_of(name, text, whole=free.bytes, share=share, memory=_describe(free))


def budget_of(device: str, text: str | None, *, whole: int, share: float, memory: str) -> Budget:
    """Return the budget that `text` names, or without one a share of the whole.

    Args:
        device: where it is used.
        text: an amount, or a percentage of `whole`.
        whole: bytes there are.
        share: of them, if `text` is None.
        memory: these bytes in words, with their source.

    Raises:
        UsageError: for an unreadable amount.
    """
    if text is None:
        source = f"{100 * share:.0f} % of {memory}"
        return Budget(device=device, bytes=int(share * whole), source=source)
    wanted = parse_bytes(text, whole=whole)
    relation = "more than" if wanted > whole else "of"
    return Budget(device=device, bytes=wanted, source=f"{text} given, {relation} {memory}")


def age_text(figure: Figure) -> str:
    """Return when a figure was read: ``now``, ``3:20 ago``."""
    age = figure.age_seconds
    return "now" if age < _NOW_SECONDS else f"{format_seconds(age)} ago"


def _describe(free: Figure) -> str:
    return f"{format_bytes(free.bytes)} free {age_text(free)} by {free.source}"


def _choose_gpu(machine: Machine, device: str | None) -> Gpu | None:
    """Return the GPU that `device` means, None for the CPU.

    Of its own accord only NVIDIA's is chosen: the others may lack what a model needs.
    """
    if device == "cpu":
        return None
    if device is None:
        roomy = [gpu for gpu in machine.gpus if gpu.free.bytes >= _LEAST_FREE_GPU_BYTES]
        meant = [gpu for gpu in roomy if gpu.backend == "cuda"]
        return max(meant, key=_free_bytes, default=None)
    meant = [gpu for gpu in machine.gpus if device in gpu.names]
    if not meant:
        known = " or ".join(["cpu", *(_short_name(gpu) for gpu in machine.gpus)])
        raise UsageError(f"no such device: {device}", where="--device", remedy=f"use {known}")
    return max(meant, key=_free_bytes)


def _free_bytes(gpu: Gpu) -> int:
    return gpu.free.bytes


def _short_name(gpu: Gpu) -> str:
    return gpu.device if gpu.backend == "mps" else f"{gpu.backend}:{gpu.number}"
