from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import astuple, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vixtui.memory.cost import StepCost, step_cost
from vixtui.memory.engine import cpu_bytes, gpu_bytes
from vixtui.memory.execution import Backend, Execution
from vixtui.memory.figures import (
    BATCHES,
    UNIT_BYTES,
    PresetFigures,
    StepFigures,
    Steps,
    curve,
    encode_head,
    encode_preset,
    model_options,
    read_figures,
    stale_presets,
)
from vixtui.memory.grid import LARGEST_SIDE, traced_sizes
from vixtui.models.config import ModelConfig
from vixtui.presets import all_presets, preset

MIB = 2**20
NOTHING = (1, 0, 2, 0)
presets = st.sampled_from(sorted(all_presets()))
sides = st.integers(8, 224)


def model(
    name: str, side: int = 32, *, channels: int = 3, classes: int = 10, width: int | None = None
) -> ModelConfig:
    return preset(name).model_config(
        image_height=side, image_width=width or side, in_channels=channels, num_classes=classes
    )


def cost(config: ModelConfig, name: str, *, batch: int = 64, micro: int | None = None) -> StepCost:
    figures = read_figures().presets[name]
    return step_cost(
        figures, config, Execution("cpu"), micro_batch=micro or batch, batch_size=batch
    )


def test_every_preset_has_figures_for_its_present_options() -> None:
    figures = read_figures()
    stale = stale_presets(figures, figures.sources)
    assert not stale, "run: python -m vixtui.memory.generate --write"
    assert figures.presets.keys() == all_presets().keys()


@pytest.mark.parametrize("name", sorted(all_presets()))
def test_traced_sizes_enclose_every_patch_size_a_picture_can_lead_to(name: str) -> None:
    traced = {size.patch for size in traced_sizes(preset(name))}
    for side in (8, 13, 28, 32, 64, 100, 224, 256, 300, LARGEST_SIDE):
        try:
            patch = model(name, side).patch_size
        except ValueError:  # too many tokens for this preset
            continue
        assert min(traced) <= patch <= max(traced)


@pytest.mark.parametrize("name", sorted(all_presets()))
def test_figures_are_of_the_sizes_that_a_preset_is_to_be_traced_for(name: str) -> None:
    wanted = [(size.patch, size.tokens_per_side**2) for size in traced_sizes(preset(name))]
    for steps in read_figures().presets[name].executions.values():
        assert [(step.patch_size, step.tokens) for step in steps] == wanted


def figures_of(patch: int, tokens: int, parameters: int, **more: Any) -> StepFigures:
    given = {
        "flops_per_image": 1,
        "moved_line": (0, 1),
        "peaks": (NOTHING, NOTHING),
        "part_peaks": (NOTHING, NOTHING),
    }
    others = {
        "convolution_flops_per_image": 0, "attention_flops_per_image": 0, "update_moved_bytes": 0,
        "function_bytes_per_image": 0, "kernels": 1, "update_kernels": 0,
    }  # fmt: skip
    return StepFigures(
        patch_size=patch,
        tokens=tokens,
        parameters=parameters,
        grey_parameters=parameters,
        **{**others, **given, **more},
    )


def test_a_parabola_through_three_token_counts_is_met_everywhere() -> None:
    def figures(patch: int, tokens: int) -> StepFigures:
        return figures_of(patch, tokens, 1000 + 3 * tokens + 2 * tokens**2 + 5 * patch**2)

    steps = tuple(figures(patch, tokens) for patch in (1, 16) for tokens in (64, 144, 225))
    config, execution = model("vit:small", 40), Execution("cpu")
    assert (config.patch_size, config.num_tokens) == (4, 100)
    known = PresetFigures.traced({}, 512, {execution: steps})
    found = step_cost(known, config, execution, micro_batch=1, batch_size=1)
    assert found.parameters == 1000 + 3 * 100 + 2 * 100**2 + 5 * 4**2


def test_what_depends_on_tokens_alone_is_told_by_another_patch_size() -> None:
    def figures(patch: int, tokens: int) -> StepFigures:
        taken = 50 * tokens + 3 * tokens * patch**2 + 900 * (tokens % 2)
        return figures_of(patch, tokens, 0, peaks=((1, taken, 2, taken), NOTHING))

    steps = tuple(
        figures(patch, tokens)
        for patch, counts in ((4, (64, 81, 100, 256)), (8, (64, 256)))
        for tokens in counts
    )
    config, execution = model("vit:small", 72), Execution("cpu")
    assert (config.patch_size, config.num_tokens) == (8, 81)
    known = PresetFigures.traced({}, 512, {execution: steps})
    found = step_cost(known, config, execution, micro_batch=1, batch_size=1)
    assert found.peak_bytes == UNIT_BYTES * (50 * 81 + 3 * 81 * 8**2 + 900)


def test_what_the_last_patches_have_beyond_the_edge_takes_no_memory() -> None:
    def figures(patch: int, tokens: int) -> StepFigures:
        taken = 50 * tokens + 3 * tokens * patch**2
        return figures_of(patch, tokens, 10, peaks=((1, taken, 2, taken), NOTHING))

    steps = tuple(figures(patch, tokens) for patch in (4, 8) for tokens in (64, 225))
    config, execution = model("cct:small", 68), Execution("cpu")
    assert (config.patch_size, config.num_tokens) == (8, 81)
    known = PresetFigures.traced({}, 512, {execution: steps})
    found = step_cost(known, config, execution, micro_batch=1, batch_size=1)
    assert found.peak_bytes == UNIT_BYTES * (50 * 81 + 3 * 68**2)


def test_pictures_that_are_padded_are_there_twice_and_once_more_in_patches() -> None:
    steps = tuple(
        figures_of(patch, tokens, 0, peaks=(NOTHING, NOTHING))
        for patch in (4, 8)
        for tokens in (64, 225)
    )
    config, execution = model("vit:small", 68), Execution("cpu")
    assert (config.patch_size, config.num_tokens, config.embed_dim) == (8, 81, 192)
    known = PresetFigures.traced({}, 512, {execution: steps})
    found = step_cost(known, config, execution, micro_batch=2, batch_size=2)
    assert found.peak_bytes == 2 * 4 * (3 * (68**2 + 2 * 72**2) + 81 * 192)


def test_budgets_that_were_not_searched_for_have_a_little_more() -> None:
    line = (1, 1000, 2, 2000)
    steps = tuple(
        figures_of(4, tokens, 0, peaks=(line, NOTHING), part_peaks=(line, NOTHING), extra=(7, 7, 7))
        for tokens in (64, 100, 225)
    )
    execution = Execution("cuda")
    known = PresetFigures.traced({}, 512, {execution: steps})

    def extra(side: int, micro_batch: int, batch: int) -> float:
        cost = step_cost(
            known, model("cct:small", side), execution, micro_batch=micro_batch, batch_size=batch
        )
        return (cost.budget_bytes - cost.peak_bytes) / cost.peak_bytes

    searched = extra(40, 8, 8)
    assert searched == pytest.approx(7 / 8000, rel=0.01)
    for other in (extra(36, 8, 8), extra(40, 16, 16), extra(40, 8, 16)):
        assert other > searched + 0.02


def test_memory_of_any_batch_lies_on_the_highest_of_few_lines() -> None:
    def taken(batch: int) -> int:
        return UNIT_BYTES * (max(1000, 100 * batch) if batch > 1 else 3000)

    found = curve([taken(batch) for batch in BATCHES])
    assert len(found) == 2 * 4  # one picture, two, where the lines meet, and the end
    step = figures_of(4, 64, 10, peaks=(found, NOTHING), part_peaks=(NOTHING, found))
    for batch in (1, 2, 9, 10, 11, 100, 5000):
        for accumulate in (False, True):
            assert step.peak_bytes(batch, accumulate=accumulate) == pytest.approx(taken(batch))


@given(st.lists(st.integers(1, 10**9), min_size=len(BATCHES), max_size=len(BATCHES)))
def test_curves_tell_every_traced_batch(sizes: list[int]) -> None:
    step = figures_of(4, 64, 10, peaks=(curve(sizes), NOTHING))
    for batch, size in zip(BATCHES, sizes, strict=True):
        # Rounded up to a unit, of which a curve tells all but 0.05 %.
        assert abs(step.peak_bytes(batch) - size) <= UNIT_BYTES + 0.0005 * (size + UNIT_BYTES)


def test_budgets_between_traced_batches_lie_on_a_line() -> None:
    line = (1, 107, 2, 207)
    step = figures_of(4, 64, 10, peaks=(line, NOTHING), extra=(20, 20, 140))
    few, low, between, high, many = (step.extra_bytes(batch) for batch in (1, 8, 68, 128, 1024))
    assert (few, low, between, high) == tuple(UNIT_BYTES * size for size in (20, 20, 80, 140))
    # Beyond, it is the same share of what is allocated.
    assert many / step.peak_bytes(1024) == pytest.approx(high / step.peak_bytes(128))


@pytest.mark.parametrize("name", sorted(all_presets()))
def test_every_way_to_compute_a_preset_was_traced(name: str) -> None:
    known = read_figures().presets[name].executions
    levels = {"none", "mlp", "block"}
    if preset(name).options["token_mixer"] == "performer":
        levels |= {"fast"}
    assert {(way.backend, way.precision, way.recompute) for way in known} == set(
        itertools.product(("cpu", "cuda"), ("fp32", "bf16"), levels)
    )


@pytest.mark.parametrize("name", ["vit:base", "hybrid-vin-rope:base"])
def test_precision_and_recomputing_change_what_a_step_takes(name: str) -> None:
    config, figures = model(name), read_figures().presets[name]

    def at(*execution: Any) -> StepCost:
        return step_cost(figures, config, Execution(*execution), micro_batch=64, batch_size=64)

    for backend in ("cpu", "cuda"):
        precise, half = at(backend), at(backend, "bf16")
        block = at(backend, "fp32", "block")
        for one in (half, block):
            for field in ("peak_bytes", "budget_bytes", "moved_bytes", "kernels"):
                assert getattr(one, field) != getattr(precise, field)
        assert block.peak_bytes < at(backend, "fp32", "mlp").peak_bytes < precise.peak_bytes
        assert block.flops > precise.flops
    assert at("cuda", "bf16").peak_bytes < at("cuda").peak_bytes
    assert at("cuda").budget_bytes > at("cuda").peak_bytes
    assert at("cpu").budget_bytes >= at("cpu").peak_bytes


@settings(max_examples=60, deadline=None)
@given(presets, sides, st.sampled_from([1, 3]), st.integers(2, 500))
def test_all_figures_are_positive_and_memory_holds_the_weights(
    name: str, side: int, channels: int, classes: int
) -> None:
    try:
        found = cost(model(name, side, channels=channels, classes=classes), name, batch=1)
    except ValueError:  # pictures too large for this preset
        return
    assert found.parameters > 0
    assert found.flops > 0
    assert found.peak_bytes >= 20 * found.parameters


@settings(max_examples=60, deadline=None)
@given(presets, sides)
def test_memory_grows_with_the_micro_batch(name: str, side: int) -> None:
    try:
        costs = [cost(model(name, side), name, batch=256, micro=2**power) for power in range(8)]
    except ValueError:  # pictures too large for this preset
        return
    peaks = [entry.peak_bytes for entry in costs]
    # Beyond the largest traced size lines are prolonged, which may err in the fourth digit.
    assert all(later > 0.999 * earlier for earlier, later in itertools.pairwise(peaks))


def test_grey_pictures_and_more_classes_change_the_weights() -> None:
    colour = cost(model("vit:small"), "vit:small")
    grey = cost(model("vit:small", channels=1), "vit:small")
    many = cost(model("vit:small", classes=110), "vit:small")
    config = model("vit:small")
    assert colour.parameters - grey.parameters == 2 * config.patch_size**2 * config.embed_dim
    assert many.parameters - colour.parameters == 100 * (config.embed_dim + 1)
    assert grey.peak_bytes < colour.peak_bytes < many.peak_bytes


def test_gradients_are_kept_while_they_accumulate() -> None:
    config = model("vit:base")
    whole = cost(config, "vit:base", batch=8)
    parts = cost(config, "vit:base", batch=64, micro=8)
    kept = (parts.peak_bytes - whole.peak_bytes) / (4 * parts.parameters)
    assert 0.8 < kept <= 1
    assert parts.flops == 8 * whole.flops
    assert parts.kernels < 8 * whole.kernels  # one update instead of eight


def test_pictures_beyond_the_traced_ones_have_no_figures() -> None:
    with pytest.raises(ValueError, match="up to 512 pixels a side"):
        cost(model("vit:tiny", 513), "vit:tiny")


def test_oblong_pictures_count_by_their_tokens() -> None:
    square, oblong = model("vit:tiny", 32), model("vit:tiny", 32, width=64)
    assert oblong.num_tokens == 2 * square.num_tokens
    assert 1.5 < cost(oblong, "vit:tiny").flops / cost(square, "vit:tiny").flops < 3


def test_engine_needs_more_than_the_step() -> None:
    step = StepCost(
        parameters=10**6,
        peak_bytes=300 * MIB,
        budget_bytes=300 * MIB,
        flops=1,
        moved_bytes=1,
        kernels=1,
    )
    alone = cpu_bytes(step, "fp32", images=0, batch_size=0, image_bytes=0)
    assert alone > 300 * MIB + 500 * MIB
    with_batches = cpu_bytes(step, "fp32", images=0, batch_size=8, image_bytes=MIB // 8)
    assert with_batches - alone >= 2 * MIB  # this one and the next
    assert gpu_bytes(step) > 300 * MIB + 512 * MIB


def test_pictures_of_a_small_cache_stay_mapped_those_of_a_large_one_do_not() -> None:
    step = StepCost(
        parameters=1, peak_bytes=MIB, budget_bytes=MIB, flops=1, moved_bytes=1, kernels=1
    )

    def besides_paths(images: int) -> int:
        whole = cpu_bytes(step, "fp32", images=images, batch_size=0, image_bytes=3 * 32 * 32)
        return whole - cpu_bytes(step, "fp32", images=images, batch_size=0, image_bytes=0)

    assert besides_paths(1_000) == 1_000 * 3 * 32 * 32
    assert besides_paths(100_000) == 0


def test_holes_of_the_heap_count_on_the_cpu() -> None:
    step = StepCost(
        parameters=1,
        peak_bytes=100 * MIB,
        budget_bytes=100 * MIB,
        flops=1,
        moved_bytes=1,
        kernels=1,
    )
    whole, holed = (
        cpu_bytes(
            replace(step, budget_bytes=size * MIB), "fp32", images=0, batch_size=0, image_bytes=0
        )
        for size in (100, 130)
    )
    assert holed - whole == 30 * MIB


def test_a_folder_larger_than_memory_needs_no_more_memory_than_a_small_one() -> None:
    step = StepCost(
        parameters=1, peak_bytes=MIB, budget_bytes=MIB, flops=1, moved_bytes=1, kernels=1
    )
    small, large = (
        cpu_bytes(step, "fp32", images=n, batch_size=64, image_bytes=3 * 64 * 64)
        for n in (1_000, 100_000)
    )
    assert large - small < 100_000 * 3 * 64 * 64 / 10


def as_lists(steps: Steps) -> list[list[Any]]:
    found: list[list[Any]] = json.loads(json.dumps([astuple(step) for step in steps]))
    return found


def test_file_is_read_back_as_written(tmp_path: Path) -> None:
    step = figures_of(4, 64, 100, peaks=((1, 2, 3, 4, 5, 6), (1, 7, 2, 8)), extra=(1, 2))
    other = figures_of(8, 64, 200)
    larger = replace(step, parameters=300)
    ways = {Execution("cpu"): (step, other), Execution("cuda", "bf16", "block"): (larger, other)}
    entry = PresetFigures.traced(model_options(preset("vit:tiny")), 512, ways)
    path = tmp_path / "figures.tsv"
    path.write_text(encode_head("2.14.1", "abc") + encode_preset("vit:tiny", entry))
    found = read_figures(path)
    assert (found.torch, found.sources, list(found.presets)) == ("2.14.1", "abc", ["vit:tiny"])
    known = found.presets["vit:tiny"]
    assert (known.options, known.sizes) == (entry.options, ((4, 64, True), (8, 64, False)))
    read = known.executions
    assert list(read) == list(ways)
    for way, steps in ways.items():
        assert as_lists(read[way]) == as_lists(steps)


def test_executions_of_other_sizes_are_refused() -> None:
    small, large = figures_of(4, 64, 100), figures_of(8, 64, 100)
    with pytest.raises(ValueError, match="same sizes"):
        PresetFigures.traced(
            {}, 512, {Execution("cpu"): (small, large), Execution("cuda"): (large, small)}
        )


def test_a_way_that_differs_for_performers_alone_is_known_for_all() -> None:
    step = figures_of(4, 64, 100)
    known = PresetFigures.traced({}, 512, {Execution("cpu"): (step,)})
    assert known.steps(Execution("cpu", "fp32", "fast")) == (step,)
    with pytest.raises(KeyError):
        known.steps(Execution("cuda"))


def test_file_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "figures.tsv"
    path.write_text(json.dumps({"schema_version": 0}))
    with pytest.raises(ValueError, match="schema"):
        read_figures(path)


def test_reading_figures_never_imports_torch() -> None:
    code = (
        "import sys; from vixtui.memory.figures import read_figures; read_figures(); "
        "print({'torch', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("name", ["hybrid-vin-rope:small", "cvn:tiny", "cvn:small", "ccn:small"])
@pytest.mark.parametrize("backend", ["cpu", "cuda"])
def test_nothing_takes_less_than_nothing_with_more_tokens_than_were_traced(
    name: str, backend: Backend
) -> None:
    wide = model(name, 28, width=64, classes=2)
    cost = step_cost(
        read_figures().presets[name], wide, Execution(backend), micro_batch=1, batch_size=1
    )
    assert min(cost.flops, cost.moved_bytes, cost.kernels, cost.convolution_flops) > 0
