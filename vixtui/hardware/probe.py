"""One look at this machine."""

from __future__ import annotations

from vixtui.hardware.host import cpu_name, disk_free, host_memory, usable_cores
from vixtui.hardware.machine import Machine
from vixtui.hardware.nvml import list_gpus
from vixtui.paths import home

_KNOWN_TO_TORCH_ALONE = ("rocm", "mps", "xpu")


def probe(device: str | None = None) -> Machine:
    """Return what this machine has and what of it is free now. Never raises for a lack of it.

    Args:
        device: what is wanted of it, as ``--device`` says it. GPUs of Apple, AMD and Intel are
            looked for if one of them is wanted, and without an NVIDIA GPU also if any GPU will do
            (``cuda``) or everything is of interest (None): that may take seconds.
    """
    ram_total, ram_free = host_memory()
    gpus, notes = list_gpus(ram_total, ram_free)
    family = "" if device is None else device.partition(":")[0]
    asked = family in _KNOWN_TO_TORCH_ALONE
    if asked or (not gpus and family in ("", "cuda")):
        from vixtui.hardware.accelerators import list_accelerators

        others, remarks = list_accelerators(ram_total, ram_free, asked=asked)
        gpus, notes = gpus + others, notes + remarks
    return Machine(
        cpu=cpu_name(),
        cores=usable_cores(),
        ram_total=ram_total,
        ram_free=ram_free,
        disk_free=disk_free(home()),
        gpus=gpus,
        notes=notes,
    )
