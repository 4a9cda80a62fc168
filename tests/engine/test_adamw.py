"""The optimizer against torch's own."""

from __future__ import annotations

import torch
from profiled_step import config_of
from torch import nn

from vixtui.engine.adamw import AdamW
from vixtui.models.vision_xformer import build

STEPS = 4


def model_and_twin() -> tuple[nn.Module, nn.Module]:
    config = config_of("vin:paper", 32)
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(build(config))
    return models[0], models[1]


def draw_gradients(model: nn.Module, seed: int) -> None:
    torch.manual_seed(seed)
    for index, parameter in enumerate(model.parameters()):
        # One has none: it must stay as it is.
        parameter.grad = torch.randn_like(parameter) if index != 2 else None


def test_weights_are_those_of_torchs_adamw_bit_for_bit() -> None:
    model, twin = model_and_twin()
    optimizer = AdamW(model, weight_decay=0.1)
    plain = ("bias", "norm.weight", "positions", "class_token", "residual")
    groups: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for name, parameter in twin.named_parameters():
        groups[name.endswith(plain)].append(parameter)
    assert all(groups)
    reference = torch.optim.AdamW(
        [{"params": groups[0], "weight_decay": 0.1}, {"params": groups[1], "weight_decay": 0.0}],
        fused=True,
    )
    for step in range(STEPS):
        for other in (model, twin):
            draw_gradients(other, step)
        optimizer.step(lr=0.01 / (step + 1))
        for group in reference.param_groups:
            group["lr"] = 0.01 / (step + 1)
        reference.step()
    for mine, its in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_what_is_saved_goes_on_as_if_nothing_had_been_and_forgetting_begins_anew() -> None:
    model, twin = model_and_twin()
    optimizer, other = AdamW(model, 0.1), AdamW(twin, 0.1)
    draw_gradients(model, 0)
    optimizer.step(0.01)
    twin.load_state_dict(model.state_dict())
    other.load({name: value.clone() for name, value in optimizer.tensors()})
    for one, its in ((model, optimizer), (twin, other)):
        draw_gradients(one, 1)
        its.step(0.01)
    for mine, its_own in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine, its_own)
    optimizer.forget()
    assert not any(value.any() for _, value in optimizer.tensors())
