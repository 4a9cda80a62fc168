"""The shipped memory figures against live traces, and traces against real steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from profiled_step import config_of, real_peak_bytes
from torch import nn

from vixtui.memory import generate
from vixtui.memory.cost import step_cost
from vixtui.memory.execution import Execution, StepPrecision
from vixtui.memory.figures import read_figures
from vixtui.memory.linear import NOTHING
from vixtui.memory.tape import forget_operations
from vixtui.memory.trace import count_parameters, trace_config, trace_step
from vixtui.models.config import Recompute

CPU = Execution("cpu")


@pytest.mark.parametrize(
    ("name", "precision", "recompute"),
    [
        ("vit:tiny", "fp32", "none"),
        ("hybrid-vin:tiny", "fp32", "none"),
        ("hybrid-vin:tiny", "bf16", "block"),
        ("vip:tiny", "fp32", "mlp"),
        ("vip:tiny", "bf16", "fast"),
        ("hybrid-fnet:tiny", "fp32", "none"),
        ("mixer:tiny", "bf16", "none"),
    ],
)
def test_a_trace_tells_what_a_real_step_allocates(
    name: str, precision: StepPrecision, recompute: Recompute
) -> None:
    config, execution = config_of(name, 32), Execution("cpu", precision, recompute)
    (traced,) = trace_config(config, execution).script().peaks([16])
    assert traced == pytest.approx(real_peak_bytes(config, 16, execution), rel=0.05)


def test_a_trace_allocates_nothing_and_counts_operations() -> None:
    # 30 GB of weights: only on tensors without memory.
    with torch.device("meta"):
        many = nn.Sequential(
            nn.Flatten(), nn.Linear(3, 5000), *(nn.Linear(5000, 5000) for _ in range(300))
        )
    traced = trace_step(many, CPU, channels=3, height=1, width=1)
    assert traced.parameters == 4 * 5000 + 300 * (5000**2 + 5000)
    (peak,) = traced.script().peaks([2])
    assert 20 * traced.parameters <= peak < 24 * traced.parameters
    # Forward, gradient of the weights, gradient of the input: 2 operations a multiplication.
    augmenting = 2 * 2 * 3 + 2 * 3 * 3  # mean grey of a pixel, then its colours
    expected = 2 * 2 * 3 * 5000 + 3 * 2 * 300 * 5000**2
    assert traced.work.flops.each == pytest.approx(expected, abs=2 * augmenting)


def test_operations_of_a_convolution_are_counted_by_its_groups() -> None:
    with torch.device("meta"):
        one, two = nn.Conv2d(3, 3, 1, groups=3, bias=False), nn.Conv2d(3, 3, 3, groups=3)
        model = nn.Sequential(one, two, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    work = trace_step(model, CPU, channels=3, height=10, width=10).work
    second = 2 * 3 * 8 * 8 * 9  # forward; one without taps is a product
    assert work.convolution_flops.each == 3 * second


def test_work_is_told_apart_by_kind() -> None:
    plain, attentive = (
        trace_config(config_of(name, 32), CPU).work for name in ("fnet:tiny", "vit:tiny")
    )
    assert plain.attention_flops == plain.convolution_flops == NOTHING
    assert attentive.convolution_flops == NOTHING
    # Two products forward and five backward, of 64 tokens, width 128, in two blocks.
    assert attentive.attention_flops.each == 2 * 7 * 2 * 64 * 64 * 128
    assert 0 < attentive.function_bytes.each < attentive.moved_bytes.each


def test_a_trace_leaves_torch_as_it_was() -> None:
    clear = torch.clear_autocast_cache
    trace_config(config_of("vit:tiny", 32), Execution("cuda", "bf16", "block"))
    assert torch.clear_autocast_cache is clear
    assert not torch.is_autocast_enabled("cpu")


def test_a_traced_step_is_the_same_again() -> None:
    config, execution = config_of("cvn:tiny", 32), Execution("cuda", "bf16", "mlp")
    first = trace_config(config, execution)
    assert trace_config(config, execution).script() == first.script()
    forget_operations()
    assert trace_config(config, execution).script() == first.script()


def test_tracing_one_preset_anew_leaves_the_lines_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = generate.PATH.read_text(encoding="utf-8")
    figures = tmp_path / "figures.tsv"
    figures.write_text(shipped, encoding="utf-8")
    monkeypatch.setattr(generate, "PATH", figures)
    monkeypatch.setattr(generate, "_PARTS", tmp_path)
    done = generate.parts_folder(generate.sources_digest())
    done.mkdir()
    for backend in ("cpu", "cuda"):
        (done / f"vit-tiny-{backend}.tsv").write_text(f"vit:tiny\t{backend} fp32 none\t[]\n")
    assert generate.main(["--write", "vit:tiny"]) == 0
    found, before = figures.read_text(encoding="utf-8"), shipped.splitlines()
    assert [line for line in found.splitlines() if line.startswith("vit:tiny\t")] == [
        "vit:tiny\tcuda fp32 none\t[]", "vit:tiny\tcpu fp32 none\t[]"
    ]  # fmt: skip
    rest = [line for line in before if not line.startswith("vit:tiny\t")]
    assert [line for line in found.splitlines() if not line.startswith("vit:tiny\t")] == rest


def test_an_unknown_preset_is_not_traced(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--write", "vit:huge"]) == 2
    assert "usage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "side", "channels", "batch", "tolerance"),
    [
        ("vit:tiny", 32, 3, 64, 0.01),  # a traced size: only drift can differ
        ("hybrid-vin:tiny", 32, 3, 64, 0.01),
        ("fnet:small", 32, 3, 64, 0.01),
        ("hybrid-fnet:small", 64, 3, 8, 0.01),
        ("vin:small", 28, 3, 16, 0.03),  # between traced sizes
        ("hybrid-vin:tiny", 8, 1, 64, 0.03),  # grey
        ("mixer:small", 40, 3, 32, 0.03),
        ("vil-rope:small", 160, 3, 64, 0.03),  # patches of 16 pixels
        ("fnet:tiny", 240, 3, 1, 0.03),
        ("vil:paper", 20, 3, 4, 0.03),
    ],
)
def test_shipped_figures_match_a_live_trace(
    name: str, side: int, channels: int, batch: int, tolerance: float
) -> None:
    config = config_of(name, side, channels)
    figures = read_figures().presets[name]
    for way in (CPU, Execution("cuda", "bf16", "mlp")):
        live = trace_config(config, way)
        shipped = step_cost(figures, config, way, micro_batch=batch, batch_size=batch)
        (peak,) = live.script().peaks([batch])
        advice = "the models changed: python -m vixtui.memory.generate --write"
        assert shipped.parameters == live.parameters == count_parameters(config), advice
        assert shipped.peak_bytes == pytest.approx(peak, rel=tolerance), advice
        flops = live.work.flops.each * batch
        assert shipped.flops == pytest.approx(flops, rel=2 * tolerance), advice
