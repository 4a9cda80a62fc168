"""Which room may load what, seen in a fresh process: only that proves a late import late."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "torchvision", "numpy"}
LIGHT_MODULES = (
    "vixtui.presets",
    "vixtui.runs.process",
    "vixtui.runs.weights",
    "vixtui.models.config",
    "vixtui.hardware.probe",
    "vixtui.hardware.accelerators",
    "vixtui.cli.diagnosis",
    "vixtui.planning.recommend",
    "vixtui.planning.start",
    "vixtui.data.sources",
    "vixtui.tui.app",
)
PROGRAM = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


@pytest.mark.parametrize("module", LIGHT_MODULES)
def test_light_rooms_never_load_torch_or_numpy(module: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(json.loads(done.stdout))
