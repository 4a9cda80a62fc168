"""Lets the tests of this folder import `stand_ins`; builds the driver's library once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stand_ins import build_driver


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a library that answers as FAKE_NVML tells it to."""
    return build_driver(tmp_path_factory.mktemp("driver"))
