"""Lets the tests of this folder import its helpers, and builds the no-op CUDA libraries once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import noop_cuda


@pytest.fixture(scope="session")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> noop_cuda.NoopCuda:
    """Build the libraries with which torch's CUDA code runs without a GPU, or skip."""
    if reason := noop_cuda.missing():
        pytest.skip(reason)
    return noop_cuda.build(tmp_path_factory.mktemp("noop_cuda"))
