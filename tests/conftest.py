"""Common to all tests: a home of its own for each, shared helpers, no torch where there is none."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Tests run side by side: one thread each, and no spinning at barriers.
os.environ |= {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}

sys.path.insert(0, str(Path(__file__).parent))
# A deadline would measure the machine; fixtures that examples share are meant.
settings.register_profile(
    "normal",
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.register_profile("soak", settings.get_profile("normal"), max_examples=10_000)
settings.load_profile("normal")

if find_spec("torch") is None:
    collect_ignore = ["models", "engine", "data_tensors", "end_to_end", "packaging"]
    # Rooms below commands and screens, and most of the screens, are tested once, beside torch.
    collect_ignore += ["data", "fuzz", "hardware", "memory", "planning", "runs"]
    collect_ignore += ["tui/test_tabs.py", "tui/test_terminals.py"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Point the program at an empty home and return it."""
    folder = tmp_path / "home"
    monkeypatch.setenv("VIXTUI_HOME", str(folder))
    for name in ("NO_COLOR", "VIXTUI_HOME_OPTION"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The pictures that this process has decoded so far."""
    from vixtui.data import store, tensors

    seen: list[Any] = []
    load = tensors.load_picture

    def noted(data: Any, item: Any) -> object:
        seen.append(item)
        return load(data, item)

    for module in (store, tensors):
        monkeypatch.setattr(module, "load_picture", noted)
    return seen
