"""Lets the tests of this folder import its helpers, and builds the no-op CUDA libraries once."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import noop_cuda

if find_spec("torch") is None:
    collect_ignore = ["test_trace_cuda.py"]


@pytest.fixture(scope="session")
def cuda(tmp_path_factory: pytest.TempPathFactory) -> noop_cuda.NoopCuda:
    """Build the libraries with which torch's CUDA code runs without a GPU, or skip."""
    if reason := noop_cuda.missing():
        pytest.skip(reason)
    return noop_cuda.build(tmp_path_factory.mktemp("noop_cuda"))
