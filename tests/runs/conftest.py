"""A small run for the tests of this room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from vixtui.models.config import ModelConfig
from vixtui.runs.config import DataConfig, Plan, Recipe, RunConfig
from vixtui.runs.directory import RunDirectory, create_run


@pytest.fixture(scope="session")
def config() -> RunConfig:
    """The decision of a run on digits."""
    return RunConfig(
        id="a-run",
        created="2026-11-22T07:04:00+0000",
        vixtui="0",
        preset="vit:tiny",
        seed=0,
        model=ModelConfig(
            token_mixer="softmax", embedding="linear", positions="learned",
            image_height=8, image_width=8, in_channels=1, num_classes=3,
            patch_size=2, embed_dim=8, depth=1, num_heads=1,
        ),
        data=DataConfig(
            source="digits", classes=("a", "b", "c"), image_height=8, image_width=8,
            in_channels=1, fingerprint="f", train=100, validation=20, test=30,
        ),
        recipe=Recipe(epochs=3),
        plan=Plan(
            device="cpu", micro_batch=64, budget_bytes=10**9, predicted_peak_bytes=3 * 10**8,
            basis="a guess",
        ),
    )  # fmt: skip


@pytest.fixture
def make_run(config: RunConfig) -> Callable[[str], RunDirectory]:
    """Make the directory of a run that has not started."""
    return lambda name: create_run(replace(config, id=name), b"{}")
