"""Every variant in the paper's size beside naive and fused attention, by number of tokens.

Naive attention is that of `vit-pytorch`, fused attention our `vit`. The paper claims up to seven
times less GPU memory than naive attention; fused attention came later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import measure
import official
from torch import nn

from vixtui.models.config import ModelConfig
from vixtui.models.vision_xformer import build
from vixtui.presets import all_presets, preset, variants

SIDES = (16, 32, 64)
# Variants measured at every number of tokens; all others at 1,024 only.
MAIN = ("vit", "vin", "vip", "vil", "fnet", "fnet2d", "mixer")
OTHERS_SIDE = 32
NAIVE, FUSED = "naive vit", "vit"
RECOMPUTE = ("none", "block")
TOKENS_A_STEP = 4096
TURNS = 3
CLAIM = 7  # times less memory
GRADIENT_BYTES, ADAMW_BYTES = 4, 16  # a weight: its gradient alone; with itself and two moments
HEADING = (
    f"{'':24} {'recompute':9} {'MB':>8} {'of naive':>9} {'of fused':>9}"
    f" {'ms':>10} {'of naive':>9} {'of fused':>9}"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What one more picture takes in a training step.

    Args:
        weights_bound: the gradients of the weights outweigh the pictures of a whole batch, so
            that memory a picture is not measured.
    """

    bytes: float
    seconds: float
    parameters: int
    weights_bound: bool


Table = dict[tuple[str, str], Figures]  # by variant and recompute


def shipped_variants() -> tuple[str, ...]:
    """Return the variants that come in the paper's size, those of `MAIN` first."""
    shipped = [name for name in variants() if f"{name}:paper" in all_presets()]
    main = [name for name in MAIN if name in shipped]
    return (*main, *(name for name in shipped if name not in main))


def paper_config(variant: str, side: int) -> ModelConfig:
    """Return a variant for side × side tokens, a pixel each, with the numbers of 1,024 tokens.

    Landmarks, at most an eighth of the tokens, and rank are the same for any number of tokens: only
    then is the cost linear.

    Raises:
        ValueError: when the variant cannot have so many tokens.
    """
    config = preset(f"{variant}:paper").model_config(
        image_height=OTHERS_SIDE,
        image_width=OTHERS_SIDE,
        in_channels=measure.CHANNELS,
        num_classes=measure.CLASSES,
    )
    stage = config.stages[0]
    return replace(
        config,
        image_height=side,
        image_width=side,
        patch_size=1,
        landmarks=min(stage.landmarks, side * side // 8),
        projection_rank=stage.projection_rank,
    )


def model(variant: str, recompute: str, side: int) -> nn.Module:
    """Return a new model, ours or the naive ViT."""
    if variant == NAIVE:
        return official.build_official("vit", side)
    return build(paper_config(variant, side), recompute=recompute)


def measure_table(side: int, names: Sequence[str]) -> Table:
    """Measure variants, with and without recomputation, at side × side tokens."""
    keys = [(NAIVE, "none"), *((name, recompute) for name in names for recompute in RECOMPUTE)]
    batch = max(1, TOKENS_A_STEP // side**2)
    steps = [measure.training_step(model(*key, side), batch, side) for key in keys]
    seconds = measure.interleaved_seconds(steps, TURNS)
    del steps
    return {
        key: _figures(key, side, min(taken) / batch)
        for key, taken in zip(keys, seconds, strict=True)
    }


def _figures(key: tuple[str, str], side: int, seconds: float) -> Figures:
    make = partial(model, *key, side)
    small = max(1, TOKENS_A_STEP // side**2 // 2)
    if key[0].endswith("mixer"):  # its many weights' gradients must not be the peak
        small *= 4
    taken = measure.sample_bytes(
        lambda batch: measure.training_step(make(), batch, side), (small, 2 * small)
    )
    parameters = sum(parameter.numel() for parameter in make().parameters())
    return Figures(
        bytes=taken,
        seconds=seconds,
        parameters=parameters,
        weights_bound=GRADIENT_BYTES * parameters > taken * 2 * small,
    )


def lines(report: Callable[[int, Table], None]) -> Iterator[str]:
    """Measure and tell, line by line; hand every finished table to `report`."""
    for side in SIDES:
        names = [name for name in shipped_variants() if name in MAIN or side == OTHERS_SIDE]
        table = measure_table(side, names)
        yield f"{side * side:,} tokens"
        yield HEADING
        yield from _rows(table)
        yield ""
        report(side * side, table)


def _rows(table: Table) -> Iterator[str]:
    naive, fused = table[NAIVE, "none"], table[FUSED, "none"]
    for (name, recompute), figures in table.items():
        memory = (
            f"{'weights':>8} {'':9} {'':9}"
            if figures.weights_bound
            else f"{figures.bytes / 1e6:8.1f} {figures.bytes / naive.bytes:9.3f}"
            f" {figures.bytes / fused.bytes:9.2f}"
        )
        yield (
            f"{name:24} {recompute:9} {memory} {1e3 * figures.seconds:10.1f}"
            f" {figures.seconds / naive.seconds:9.3f} {figures.seconds / fused.seconds:9.2f}"
        )


def conclusions(tables: dict[int, Table]) -> Iterator[str]:
    """Say in sentences what the tables, by number of tokens, show."""
    yield from _memory_conclusions(tables)
    yield from _time_conclusions(tables)
    for tokens, table in tables.items():
        for (name, recompute), figures in table.items():
            if figures.weights_bound and recompute == "none":
                yield (
                    f"{name} at {tokens:,} tokens has {figures.parameters / 1e6:.0f} M weights, "
                    f"{ADAMW_BYTES * figures.parameters / 1e9:.1f} GB with gradients and AdamW: "
                    "these, not the pictures, are its memory."
                )


def _memory_conclusions(tables: dict[int, Table]) -> Iterator[str]:
    for tokens, table in tables.items():
        naive, fused = table[NAIVE, "none"].bytes, table[FUSED, "none"].bytes
        known = {key: figures.bytes for key, figures in table.items() if not figures.weights_bound}
        mixers = [
            name
            for name in MAIN
            if name != FUSED and all((name, recompute) in known for recompute in RECOMPUTE)
        ]
        frugal = [name for name in mixers if known[name, "none"] < fused]
        least, best = min((known[name, "none"], name) for name in mixers)
        claimed = [name for name in mixers if naive >= CLAIM * known[name, "none"]]
        share = (naive - fused) / (naive - least)
        yield (
            f"At {tokens:,} tokens fused attention alone takes {naive / fused:.1f} times less "
            f"memory than naive attention, the most frugal mixer ({best}) "
            f"{naive / least:.1f} times less: fused attention makes {100 * share:.0f} % of that "
            f"saving. Less than fused attention: {_listed(frugal)}; {CLAIM} times less than "
            f"naive: {_listed(claimed)}."
        )
        claimed = [name for name in (FUSED, *mixers) if naive >= CLAIM * known[name, "block"]]
        even = [name for name in mixers if known[name, "block"] < known[FUSED, "block"]]
        less = [name for name in mixers if known[name, "block"] < fused]
        yield (
            f"At {tokens:,} tokens with recomputed blocks, less than fused attention without: "
            f"{_listed(less)}; less than fused attention with: {_listed(even)}; {CLAIM} times less "
            f"than naive: {_listed(claimed)}."
        )


def _time_conclusions(tables: dict[int, Table]) -> Iterator[str]:
    for name in MAIN:
        if name == FUSED or any((name, "none") not in table for table in tables.values()):
            continue
        ratios = {
            tokens: table[name, "none"].seconds / table[FUSED, "none"].seconds
            for tokens, table in tables.items()
        }
        yield (
            f"{name} against fused attention, in time: {_crossing(ratios)} "
            f"({', '.join(f'{ratio:.2f} at {tokens:,}' for tokens, ratio in ratios.items())})."
        )


def _crossing(ratios: dict[int, float]) -> str:
    """Say from how many tokens on ratios stay below 1, by a straight line between logarithms."""
    points = list(ratios.items())
    if points[-1][1] >= 1:
        return "slower at the most tokens measured"
    above = [index for index, (_, ratio) in enumerate(points) if ratio >= 1]
    if not above:
        return f"faster from {points[0][0]:,} tokens on or fewer"
    (low, slow), (high, fast) = points[above[-1] : above[-1] + 2]
    share = math.log(slow) / math.log(slow / fast)
    return f"faster from about {round(low * (high / low) ** share, -1):,.0f} tokens on"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
