"""The shipped memory figures against live traces, and traces against real steps."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.profiler import ProfilerActivity, profile

from vixtui.memory.cost import step_cost
from vixtui.memory.execution import Execution
from vixtui.memory.figures import read_figures
from vixtui.memory.trace import count_parameters, trace_config, trace_step
from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import build
from vixtui.presets import preset


def config_of(name: str, side: int, channels: int = 3) -> ModelConfig:
    return preset(name).model_config(
        image_height=side, image_width=side, in_channels=channels, num_classes=10
    )


def real_peak_bytes(config: ModelConfig, batch: int) -> int:
    """Run for real what a trace runs on fake tensors; return the most allocated at once."""
    side = config.image_height
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        model = build(config).train()
        parameters = list(model.parameters())
        averages = [parameter.detach().clone() for parameter in parameters]
        optimizer = torch.optim.AdamW(parameters, fused=True)
        for parameter in parameters:
            parameter.grad = torch.zeros_like(parameter)
        optimizer.step()
        optimizer.zero_grad()
        images = torch.zeros(batch, config.in_channels, side, side)
        labels = torch.zeros(batch, dtype=torch.long)
        F.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()
        torch._foreach_lerp_(averages, [p.detach() for p in parameters], 0.01)
        with torch.no_grad():
            model.eval()(torch.zeros(4 * batch, config.in_channels, side, side))
    events = recorded.profiler.kineto_results.events()
    changes = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    live = peak = 0
    for _, change in changes:
        live += change
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize("name", ["vit:tiny", "hybrid-vin:tiny", "vip:tiny", "hybrid-fnet:tiny"])
def test_a_trace_tells_what_a_real_step_allocates(name: str) -> None:
    config = config_of(name, 32)
    traced = trace_config(config, 16).peak_bytes
    assert traced == pytest.approx(real_peak_bytes(config, 16), rel=0.06)


def test_a_trace_allocates_nothing_and_counts_operations() -> None:
    # 4 TB of weights: only on fake tensors.
    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(3, 10**6), nn.Linear(10**6, 10**6))

    traced = trace_step(make, batch=2, channels=3, height=1, width=1)
    assert traced.parameters == 4 * 10**6 + 10**12 + 10**6
    assert traced.peak_bytes > 16 * traced.parameters
    # Forward, gradient of the weights, gradient of the input: 2 operations a multiplication.
    assert traced.work.flops == 2 * (2 * 2 * 3 * 10**6 + 3 * 2 * 10**12)


def test_operations_of_a_convolution_are_counted_by_its_groups() -> None:
    def make() -> nn.Module:
        first, second = nn.Conv2d(8, 8, 1, groups=8, bias=False), nn.Conv2d(8, 8, 3, groups=8)
        return nn.Sequential(first, second, nn.AdaptiveAvgPool2d(1), nn.Flatten())

    work = trace_step(make, batch=2, channels=8, height=10, width=10).work
    first, second = 2 * 8 * 10 * 10, 2 * 8 * 8 * 8 * 9  # products forward
    assert work.flops == 2 * (2 * first + 3 * second)
    # One without taps is a product.
    assert work.convolution_flops == 2 * 3 * second


def test_work_is_told_apart_by_kind() -> None:
    plain, attentive = (
        trace_config(config_of(name, 32), 4).work for name in ("fnet:tiny", "vit:tiny")
    )
    assert plain.attention_flops == plain.convolution_flops == attentive.convolution_flops == 0
    # Two products forward and five backward, of 64 tokens, width 128, in two blocks.
    assert attentive.attention_flops == 4 * 2 * 7 * 2 * 64 * 64 * 128
    assert 0 < attentive.function_bytes < attentive.moved_bytes


@pytest.mark.parametrize(
    ("name", "side", "channels", "batch", "tolerance"),
    [
        ("vit:tiny", 32, 3, 64, 0.01),  # a traced size: only drift can differ
        ("hybrid-vin:tiny", 32, 3, 64, 0.01),
        ("hybrid-fnet:small", 64, 3, 8, 0.01),
        ("vin:small", 28, 3, 16, 0.03),  # between traced sizes
        ("hybrid-vin:tiny", 8, 1, 64, 0.03),  # grey
        ("mixer:small", 40, 3, 32, 0.03),
        ("vil:paper", 20, 3, 4, 0.03),
    ],
)
def test_shipped_figures_match_a_live_trace(
    name: str, side: int, channels: int, batch: int, tolerance: float
) -> None:
    config = config_of(name, side, channels)
    figures = read_figures().presets[name]
    shipped = step_cost(figures, config, Execution("cpu"), micro_batch=batch, batch_size=batch)
    live = trace_config(config, batch)
    advice = "the models changed: python -m vixtui.memory.trace --write"
    assert shipped.parameters == live.parameters == count_parameters(config), advice
    assert shipped.peak_bytes == pytest.approx(live.peak_bytes, rel=tolerance), advice
    assert shipped.flops == pytest.approx(live.work.flops, rel=2 * tolerance), advice
