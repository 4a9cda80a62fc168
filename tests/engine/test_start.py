"""What an engine that trains loads: torch's compiler, 150 MB and two seconds, never."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from small_runs import make_run

TRAINING = """
import json, sys
from vixtui.engine.__main__ import main
sys.argv = ["vixtui.engine", "train", sys.argv[1]]
code = main()
print(json.dumps([code, "torch._dynamo" in sys.modules]))
"""
OUTLINES = """
import json, sys
import torch
from profiled_step import config_of
from vixtui.models.vision_xformer import build
from vixtui.presets import all_presets
for name in all_presets():
    if name.endswith(":tiny"):
        config = config_of(name, 32)
        with torch.device("meta"):
            outline = build(config)
        described, real = (
            [(part, tensor.shape, tensor.dtype)
             for part, tensor in [*model.named_parameters(), *model.named_buffers()]]
            for model in (outline, build(config))
        )
        assert described == real, name
print(json.dumps(["all alike", "torch._dynamo" in sys.modules]))
"""


def said_by(program: str, *arguments: str) -> list[object]:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    found: list[object] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_training_never_loads_the_compiler() -> None:
    run = make_run(preset_name="cct:tiny", recompute="block", epochs=1)
    assert said_by(TRAINING, str(run.path)) == [0, False]


def test_names_and_shapes_of_any_model_are_known_without_the_compiler() -> None:
    assert said_by(OUTLINES) == ["all alike", False]
