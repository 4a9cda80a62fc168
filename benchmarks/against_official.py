"""Ours beside the official classes: 1,024 tokens, the configuration of the paper, with targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import measure
import official
import torch
from torch import Tensor

from vixtui.models.config import ModelConfig
from vixtui.models.mixers.heads import split_heads
from vixtui.models.positions import rotate_, rotations
from vixtui.models.vision_xformer import build

SIDE = 32
BATCHES = (4, 8)
TURNS = 7
ROTATION_TURNS = 60
HEADING = (
    f"{'':26} {'MB a sample':>15} {'of official':>11} {'target':>7}  {'met':4}"
    f" {'time of official':>18} {'target':>7}  {'met':4}"
)

_VIT = ModelConfig(
    token_mixer="softmax",
    embedding="linear",
    positions="learned",
    pooling="class",
    image_height=SIDE,
    image_width=SIDE,
    in_channels=measure.CHANNELS,
    num_classes=measure.CLASSES,
    patch_size=1,
    embed_dim=official.EMBED_DIM,
    depth=official.DEPTH,
    num_heads=official.HEADS,
    mlp_ratio=official.HIDDEN / official.EMBED_DIM,
    landmarks=official.LANDMARKS,
    projection_rank=official.PROJECTION_RANK,
    share_kv=True,
    one_kv_head=True,
    random_features=official.RANDOM_FEATURES,
)
_VIN = replace(_VIT, token_mixer="nystromformer")
_VIP = replace(_VIT, token_mixer="performer")
_VIL = replace(_VIT, token_mixer="linformer")
_FNET = replace(_VIT, token_mixer="fourier")


@dataclass(frozen=True, slots=True)
class Case:
    """One of our models and the most it may take, as parts of what the official class takes."""

    what: str
    config: ModelConfig
    recompute: str = "none"
    memory: float | None = None
    time: float | None = None


CASES = {
    "vin": (
        Case("vin", _VIN, memory=0.50, time=0.80),
        Case("vin, block recompute", _VIN, "block", memory=0.16),
    ),
    "vip": (
        Case("vip", _VIP, memory=0.45, time=0.85),
        Case("vip, fast mode", _VIP, "fast", time=0.70),
        Case("vip, block recompute", _VIP, "block", memory=0.20),
    ),
    "vil": (
        Case("vil", _VIL, memory=0.83, time=0.85),
        Case("vil, block recompute", _VIL, "block", memory=0.30),
    ),
    "fnet": (
        Case("fnet", _FNET, memory=0.89, time=0.70),
        Case("fnet, no class token", replace(_FNET, pooling="mean"), time=0.45),
        Case("fnet, block recompute", _FNET, "block", memory=0.46),
    ),
    "vit": (
        Case("vit", _VIT, memory=0.22, time=0.45),
        Case("vit, block recompute", _VIT, "block", memory=0.075),
    ),
}
ROTATION = Case("rope, q and k", replace(_VIT, pooling="mean", positions="rotary"), "", 0.4, 0.25)
NAMES = (*CASES, "rope")


def lines(names: tuple[str, ...]) -> Iterator[str]:
    """Measure the named rows and tell, line by line.

    Args:
        names: some of `NAMES`.
    """
    yield HEADING
    for name in names:
        if name == "rope":
            yield from _rotation_lines()
        else:
            yield from _model_lines(name)


def _model_lines(name: str) -> Iterator[str]:
    cases = CASES[name]
    makers = [
        lambda batch: measure.training_step(official.build_official(name, SIDE), batch, SIDE),
        *(_maker(case) for case in cases),
    ]
    yield from _compared(cases, makers, TURNS)


def _maker(case: Case) -> Callable[[int], measure.Work]:
    return lambda batch: measure.training_step(
        build(case.config, recompute=case.recompute), batch, SIDE
    )


def _rotation_lines() -> Iterator[str]:
    their_table = official.rotation_table(SIDE * SIDE)
    our_table = rotations(ROTATION.config.stages[0])

    def theirs(projected: Tensor) -> Tensor:
        q, k = (split_heads(part, official.HEADS) for part in projected.chunk(2, -1))
        return official.rotate_both(q, k, their_table)

    def ours(projected: Tensor) -> tuple[Tensor, ...]:
        return (rotate_(projected, our_table),)  # heads are split afterwards, without a copy

    makers = [lambda batch: _rotation(theirs, batch), lambda batch: _rotation(ours, batch)]
    yield from _compared((ROTATION,), makers, ROTATION_TURNS)
    results = 4 * 2 * 2 * official.EMBED_DIM * SIDE * SIDE  # twice q and k of 4 bytes
    yield f"  of these {results / 1e6:.2f} MB each rotated q and k, and the gradients behind them"


def _rotation(turn: Callable[[Tensor], tuple[Tensor, ...]], batch: int) -> measure.Work:
    """Return forward and backward of the rotation alone; a copy stands for the projection."""
    made = torch.randn(batch, SIDE * SIDE, 2 * official.EMBED_DIM, requires_grad=True)
    gradients = [torch.randn(output.shape) for output in turn(made.clone())]

    def work() -> None:
        torch.autograd.backward(turn(made.clone()), gradients)
        made.grad = None

    return work


def _compared(
    cases: tuple[Case, ...], makers: list[Callable[[int], measure.Work]], turns: int
) -> Iterator[str]:
    their_bytes, *our_bytes = (measure.sample_bytes(maker, BATCHES) for maker in makers)
    their_seconds, *our_seconds = measure.interleaved_seconds(
        [maker(BATCHES[0]) for maker in makers], turns
    )
    for case, taken, seconds in zip(cases, our_bytes, our_seconds, strict=True):
        memory = taken / their_bytes
        least, median = measure.time_ratio(seconds, their_seconds)
        yield (
            f"{case.what:26} {f'{taken / 1e6:.2f} / {their_bytes / 1e6:.2f}':>15} {memory:11.3f}"
            f" {measure.verdict(memory, case.memory)} {f'{least:.2f} (median {median:.2f})':>18}"
            f" {measure.verdict(least, case.time)}".rstrip()
        )
