"""A stand-in for torch: as much as is asked about GPUs, answered as FAKE_TORCH (JSON) tells.

``gpus``: a list of what each has; ``apple``: what Metal says; ``error``: why it cannot be imported;
``mark``: a file that shows that it was.
"""

import json
import os
from pathlib import Path
from types import SimpleNamespace

from torch import version

_told = json.loads(os.environ.get("FAKE_TORCH", "{}"))
__version__ = version.__version__
if "mark" in _told:
    Path(_told["mark"]).touch()
if "error" in _told:
    raise ImportError(_told["error"])


def _properties(index):
    return SimpleNamespace(**_told["gpus"][index])


def _mem_get_info(index):
    gpu = _told["gpus"][index]
    if "free" not in gpu:
        raise RuntimeError("HIP error: invalid argument\nmore about it")
    return gpu["free"], gpu["total_memory"]


def _driver(built):
    return SimpleNamespace(
        device_count=lambda: len(_told.get("gpus", [])) if built else 0,
        get_device_properties=_properties,
        mem_get_info=_mem_get_info,
    )


cuda = _driver(version.hip or version.cuda)
xpu = _driver(version.xpu)
mps = SimpleNamespace(
    recommended_max_memory=lambda: _told["apple"]["total"],
    driver_allocated_memory=lambda: _told["apple"]["allocated"],
)
backends = SimpleNamespace(
    mps=SimpleNamespace(
        is_available=lambda: "apple" in _told, get_name=lambda: _told["apple"]["name"]
    )
)
