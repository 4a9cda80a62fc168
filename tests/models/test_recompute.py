"""What is computed again, against torch's own way of doing so."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vixtui.models.mlp import Mlp
from vixtui.models.recompute import recomputed


def branch(dropout: float) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.LayerNorm(8), Mlp(8, 2, dropout), nn.Dropout(dropout))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_are_those_of_torchs_checkpoints(dropout: float, precision: str) -> None:
    module, x = branch(dropout), torch.randn(3, 5, 8, requires_grad=True)

    def step(again: bool) -> list[Tensor]:
        torch.manual_seed(1)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            y = (
                recomputed(module, 2 * x, draws=dropout > 0)
                if again
                else checkpoint(module, 2 * x, use_reentrant=False)
            )
        after = torch.rand(3)
        inputs = [x, *module.parameters()]
        for tensor in inputs:
            tensor.grad = None
        y.float().square().sum().backward()
        gradients = [tensor.grad for tensor in inputs if tensor.grad is not None]
        assert len(gradients) == len(inputs)
        return [y.detach(), after, torch.rand(3), *gradients]

    for own, torchs in zip(step(True), step(False), strict=True):
        assert torch.equal(own, torchs)


def test_nothing_but_the_input_is_kept_until_it_is_needed() -> None:
    hidden: list[weakref.ref[Tensor]] = []

    def function(x: Tensor) -> Tensor:
        exponential = x.exp()  # whose gradient needs it
        hidden.append(weakref.ref(exponential))
        return exponential.sin()

    x = torch.randn(4, requires_grad=True)
    y = function(x)
    assert hidden.pop()() is not None
    y = recomputed(function, x, draws=False)
    assert hidden[0]() is None
    y.sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad, x.detach().exp().cos() * x.detach().exp())
    assert len(hidden) == 2  # once more, however much of it was needed
    assert hidden[1]() is None


def test_an_input_changed_in_place_is_noticed() -> None:
    x = torch.randn(4, requires_grad=True)
    inner = 1 * x
    y = recomputed(lambda value: value.exp().sin(), inner, draws=False)
    with torch.no_grad():
        inner += 1
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_a_second_computation_that_keeps_less_is_noticed() -> None:
    x, calls = torch.randn(4, requires_grad=True), iter((True, False))
    y = recomputed(lambda value: value.exp().sin() if next(calls) else value + 1, x, draws=False)
    with pytest.raises(RuntimeError, match="kept less"):
        y.sum().backward()


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    x = torch.randn(4, requires_grad=True)
    y = recomputed(lambda value: torch.stack((value.exp(), value.sin())), x, draws=False)
    for _ in range(2):
        x.grad = None
        y[1].sum().backward(retain_graph=True)
        assert torch.equal(x.grad, x.detach().cos())
