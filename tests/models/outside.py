"""Packages of others as references, run with our weights.

They are the `references` extra; without one of them its tests are skipped.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from vixtui.models.mixers import performer


def package(name: str) -> ModuleType:
    """Return a module of another package, or skip the test."""
    return pytest.importorskip(name, exc_type=ImportError)


def run_with(module: nn.Module, weights: dict[str, Tensor], *inputs: Tensor) -> Tensor:
    """Run a module with every one of its weights replaced by what is computed from ours."""
    module.double()
    tensors = dict(module.named_buffers()) | weights
    return torch.func.functional_call(module, tensors, inputs, strict=True)


def without_epsilon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take ε from the features of every Performer: it is relative to a maximum, of a picture's
    head here, of all pictures and heads in the official code, which besides differentiates it.

    The official code calls torch.qr, which torch no longer has; it is given what replaced it.
    """
    for name in ("performer_pytorch.performer_pytorch", "vision_xformer.vision_performer"):
        module = package(name)
        monkeypatch.setattr(module, "softmax_kernel", partial(module.softmax_kernel, eps=0.0))
    monkeypatch.setattr(performer, "_EPSILON", 0.0)
    monkeypatch.setattr(torch, "qr", lambda matrix, some: torch.linalg.qr(matrix), raising=False)
