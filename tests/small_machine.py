"""A machine that is not probed: two cores, 10 GB of free memory, no GPU."""

from __future__ import annotations

from vixtui.hardware.machine import Figure, Machine

GB = 10**9
MACHINE = Machine(
    cpu="Test",
    cores=2,
    ram_total=Figure(16 * GB, "psutil"),
    ram_free=Figure(10 * GB, "psutil"),
    disk_free=Figure(100 * GB, "file system"),
    gpus=(),
    notes=(),
)
