"""One look at this machine."""

from __future__ import annotations

from vixtui.hardware.host import cpu_name, disk_free, host_memory, usable_cores
from vixtui.hardware.machine import Machine
from vixtui.hardware.nvml import list_gpus
from vixtui.paths import home


def probe() -> Machine:
    """Return what this machine has and what of it is free now. Never raises for a lack of it."""
    ram_total, ram_free = host_memory()
    gpus, notes = list_gpus()
    return Machine(
        cpu=cpu_name(),
        cores=usable_cores(),
        ram_total=ram_total,
        ram_free=ram_free,
        disk_free=disk_free(home()),
        gpus=gpus,
        notes=notes,
    )
