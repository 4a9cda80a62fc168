"""What fits, on the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vixtui.cli.options import IMAGE_SIZE
from vixtui.cli.recommend import print_candidates
from vixtui.data.sources import MAX_IMAGE_SIZE, MIN_IMAGE_SIZE
from vixtui.hardware.probe import probe
from vixtui.planning.recommend import recommend
from vixtui.planning.types import Budget, Task


def test_table_has_the_best_first(vixtui):
    table = vixtui("recommend", "--budget", "4GB").out.splitlines()
    best = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)["candidates"][0]
    assert table[1].startswith(best["preset"])
    assert best["fits"]


def test_stdout_is_pure_json(vixtui):
    found = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)
    assert found["schema_version"] == 1
    assert found["budget"]["bytes"] <= 4 * 10**9
    assert all(candidate["peak_bytes"] > 0 for candidate in found["candidates"])


def test_nothing_fits_exits_5_and_names_the_budget_needed(vixtui):
    result = vixtui("recommend", "--budget", "1MB")
    assert result.code == 5
    assert result.out == ""
    needed = result.err.partition("needs --budget ")[2].split(";")[0]
    assert vixtui("recommend", "--budget", needed).code == 0


def test_pictures_can_be_described(vixtui):
    arguments = ("--image-size", "64", "--classes", "5", "--images", "300", "--json")
    task = json.loads(vixtui("recommend", *arguments).out)["task"]
    assert (task["image_height"], task["num_classes"], task["images"]) == (64, 5, 300)


def test_time_tells_the_epochs(vixtui):
    heading = vixtui("recommend", "--time", "2m").out.splitlines()[0]
    assert "epochs" in heading.split()


def test_all_shows_at_least_as_many(vixtui):
    few = json.loads(vixtui("recommend", "--json").out)["candidates"]
    every = json.loads(vixtui("recommend", "--all", "--json").out)["candidates"]
    assert len(every) > len(few)


@pytest.mark.parametrize("size", ["7", "513", "600"])
@pytest.mark.parametrize("command", [("recommend",), ("train",), ("presets", "show", "vit")])
def test_the_size_of_pictures_has_limits(vixtui, command, size):
    result = vixtui(*command, "--image-size", size)
    assert (result.code, result.out) == (2, "")
    assert "--image-size" in result.err


def test_the_limits_are_those_of_the_data():
    assert (IMAGE_SIZE.min, IMAGE_SIZE.max) == (MIN_IMAGE_SIZE, MAX_IMAGE_SIZE)


def test_pictures_that_no_preset_takes_are_one_line(vixtui, monkeypatch):
    monkeypatch.setattr("vixtui.planning.recommend.recommend", lambda *_, **__: [])
    result = vixtui("recommend")
    assert (result.code, result.out) == (2, "")
    assert "no preset can take pictures of this size" in result.err


def test_a_row_takes_at_most_two_of_80_columns_wide_lines(make_terminal):
    task = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000)
    budget = Budget(device="cpu", bytes=4 * 10**9, source="said")
    ranked = recommend(task, budget, probe(), seconds=1000)[:10]
    shown = make_terminal(80)
    print_candidates(
        [replace(entry, reason="2.2 points less, 1.4 × as fast") for entry in ranked], 1000
    )
    lines = shown().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 2 + 2 * len(ranked)


def test_a_preset_is_shown_with_what_it_needs(vixtui):
    found = json.loads(vixtui("presets", "show", "hybrid-vin", "--image-size", "64", "--json").out)
    assert found["name"] == "hybrid-vin:tiny"
    assert found["model"]["image_height"] == 64
    assert found["peak_bytes"] > 0


def test_every_preset_is_listed(vixtui):
    from vixtui.presets import variants

    names = [
        entry["name"] for entry in json.loads(vixtui("presets", "list", "--json").out)["presets"]
    ]
    assert names == list(variants())
