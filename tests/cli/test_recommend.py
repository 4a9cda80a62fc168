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
from vixtui.planning.types import Budget, Question, Task
from vixtui.runs.directory import list_runs
from vixtui.runs.events import EventWriter, MemoryRanOut


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


def test_nothing_fits_names_the_pictures_that_would(vixtui):
    described = ("recommend", "--budget", "620MB", "--images", "300", "--image-size")
    result = vixtui(*described, "512")
    assert result.code == 5
    size = result.err.partition("with --image-size ")[2].split(",")[0]
    assert vixtui(*described, size).code == 0


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        ((), "vixtui train"),
        (("--data", "shapes", "--image-size", "16"), "vixtui train shapes --image-size 16"),
        (("--budget", "4GB", "--time", "30m"), "vixtui train --budget 4GB --time 30m"),
    ],
)
def test_the_next_command_asks_for_the_same(vixtui, asked, command):
    assert vixtui("recommend", *asked).err.splitlines()[-1] == f"train the best: {command}"


def test_pictures_that_are_only_described_cannot_be_trained_on(vixtui):
    assert "vixtui train" not in vixtui("recommend", "--image-size", "64").err


def test_pictures_can_be_described(vixtui):
    arguments = ("--image-size", "64", "--channels", "1", "--classes", "5", "--images", "300")
    task = json.loads(vixtui("recommend", *arguments, "--json").out)["task"]
    assert task == {
        "image_height": 64,
        "image_width": 64,
        "in_channels": 1,
        "num_classes": 5,
        "images": 300,
    }


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("--channels", "2"), "--channels"),
        (("--data", "digits", "--channels", "1"), "--channels"),
        (("--for", "vitt"), "--for"),
        (("--for", "vit:tiny", "--time", "2m"), "--time"),
        (("--for", "vit:tiny", "--all"), "--all"),
        (("--simulate", "a fast one"), "--simulate"),
        (("--simulate", "4GB", "--device", "cpu"), "--device"),
    ],
)
def test_questions_at_odds_with_themselves_are_one_line(vixtui, arguments, named):
    result = vixtui("recommend", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert f"({named}" in result.err or f", {named})" in result.err


def test_what_a_preset_needs_agrees_with_the_recommendation(vixtui):
    described = ("--image-size", "96", "--budget", "665MB", "--json")
    found = json.loads(vixtui("recommend", "--all", *described).out)["candidates"]
    plan = next(entry for entry in found if entry["preset"] == "vin:tiny")
    answer = json.loads(vixtui("recommend", "--for", "vin", *described).out)
    assert answer["preset"] == "vin:tiny"
    way = [
        need
        for need in answer["needs"]
        if (need["precision"], need["recompute"]) == ("fp32", plan["recompute"])
    ]
    assert [need["micro_batch"] for need in way] == [1, 2, 4, 8, 16, 32, 64]
    fits = [need["micro_batch"] for need in way if need["fits"]]
    assert fits[-1] <= plan["micro_batch"] < 2 * fits[-1] <= 64
    assert {need["precision"] for need in answer["needs"]} == {"fp32", "bf16"}
    assert {need["recompute"] for need in answer["needs"]} == {"none", "mlp", "block"}


def test_what_a_preset_needs_is_told_also_if_it_is_too_much(vixtui):
    result = vixtui("recommend", "--for", "vit", "--budget", "1MB")
    assert result.code == 0
    assert all(line.endswith("no") for line in result.out.splitlines()[1:])
    needed = result.err.partition("it fits with --budget ")[2].strip()
    enough = vixtui("recommend", "--for", "vit", "--budget", needed).out.splitlines()[1:]
    assert not all(line.endswith("no") for line in enough)


def test_a_simulation_is_marked_on_every_line(vixtui):
    for arguments in ((), ("--for", "vit:tiny"), ("--for", "vit:tiny", "--budget", "1MB")):
        result = vixtui("recommend", "--simulate", "RTX 3050 4GB", *arguments)
        assert result.code == 0
        assert all(line.startswith("simulated") for line in result.out.splitlines()[1:])
        assert all(line.startswith("simulated: ") for line in result.err.splitlines())
        assert "90 % of 4.00 GB nominal" in result.err or "1MB given" in result.err


def test_a_simulation_is_marked_in_json(vixtui):
    arguments = ("recommend", "--simulate", "mygpu:6GiB:20", "--budget", "50%", "--json")
    ranking = json.loads(vixtui(*arguments).out)
    assert ranking["simulated"] == {"name": "mygpu", "bytes": 6 * 2**30, "multiprocessors": 20}
    assert ranking["budget"]["bytes"] == 3 * 2**30
    assert all(candidate["simulated"] for candidate in ranking["candidates"])
    needs = json.loads(vixtui(*arguments, "--for", "vit").out)["needs"]
    assert all(need["simulated"] for need in needs)
    here = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)
    assert here["simulated"] is None
    assert not any(candidate["simulated"] for candidate in here["candidates"])


def test_a_simulation_does_not_look_at_this_machine(vixtui, monkeypatch):
    def fail(device=None):
        raise AssertionError("probed")

    monkeypatch.setattr("vixtui.hardware.probe.probe", fail)
    assert vixtui("recommend", "--simulate", "RTX 3060").code == 0


def test_nothing_fits_a_simulated_gpu_either(vixtui):
    result = vixtui("recommend", "--simulate", "toy 100MB")
    assert result.code == 5
    assert "(simulated, " in result.err


def test_the_plain_vit_is_always_shown(vixtui):
    found = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)["candidates"]
    assert any(entry["preset"].startswith("vit:") for entry in found)


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
    monkeypatch.setattr("vixtui.planning.recommend.consider_all", lambda *_: [])
    result = vixtui("recommend")
    assert (result.code, result.out) == (2, "")
    assert "no preset can take pictures of this size" in result.err


def test_a_row_takes_at_most_two_of_80_columns_wide_lines(make_terminal):
    task = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000)
    budget = Budget(device="cpu", bytes=4 * 10**9, source="said")
    ranked = recommend(Question(task=task, budget=budget, seconds=1000), probe())[:10]
    shown = make_terminal(80)
    print_candidates(
        [replace(entry, reason="2.2 points less, 1.4 × as fast") for entry in ranked], 1000
    )
    lines = shown().splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 2 + 2 * len(ranked)


def test_the_mark_of_a_simulation_survives_a_narrow_terminal(make_terminal):
    task = Task(image_height=32, image_width=32, in_channels=3, num_classes=10, images=2000)
    budget = Budget(device="cpu", bytes=4 * 10**9, source="said")
    ranked = recommend(Question(task=task, budget=budget), probe())[:10]
    shown = make_terminal(80)
    print_candidates(ranked, 1000, simulated=True)
    assert shown().count("simulated") == len(ranked)


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


def test_a_run_that_ran_out_of_memory_is_named_until_the_budget_grows(vixtui):
    quick = ("train", "digits", "--preset", "vit:tiny", "--epochs", "1", "--budget")
    assert vixtui(*quick, "4GB", "--name", "a").code == 0
    log = EventWriter(list_runs()[0].events_path)
    log.write(MemoryRanOut, 0.0, step=0, micro_batch=8, recompute="none")
    log.close()

    def plan(budget):
        arguments = ("recommend", "--data", "digits", "--all", "--budget", budget, "--json")
        found = json.loads(vixtui(*arguments).out)["candidates"]
        return next(entry for entry in found if entry["preset"] == "vit:tiny")

    assert (plan("4GB")["micro_batch"], plan("4GB")["passes"]) == (8, 8)
    assert plan("4GB")["remembered"] == "memory ran out in run a"
    assert (plan("5GB")["micro_batch"], plan("5GB")["remembered"]) == (64, "")
    assert "vit:tiny: memory ran out in run a" in vixtui("recommend", "--budget", "4GB").err
    assert vixtui("runs", "rm", "a", "--yes").code == 0
    assert plan("4GB")["micro_batch"] == 8
    result = vixtui(*quick, "4GB", "--name", "b")
    assert "64 pictures in 8 passes" in result.err
    assert "memory ran out in run a" in result.err


def test_measured_peaks_correct_what_is_predicted(vixtui):
    before = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)["candidates"][0]
    assert vixtui("train", "digits", "--preset", "vit:tiny", "--epochs", "1").code == 0
    after = json.loads(vixtui("recommend", "--budget", "4GB", "--json").out)["candidates"][0]
    assert after["uncorrected_bytes"] == before["uncorrected_bytes"] == before["peak_bytes"]
    assert after["peak_bytes"] == round(0.8 * before["peak_bytes"])  # the least it is taken for
    assert "corrected by 1 run on this machine" in after["peak_basis"]
    said = vixtui("recommend", "--budget", "4GB").err
    assert "corrected by 1 run on this machine, × 0.80" in said


def test_a_plan_can_be_asked_for_a_time(vixtui):
    arguments = ("recommend", "--image-size", "224", "--budget", "4GB", "--all", "--json")
    found = json.loads(vixtui(*arguments, "--time", "30m").out)["candidates"]
    slow = [entry["reason"].startswith("too slow for 30:00") for entry in found if entry["fits"]]
    assert slow == sorted(slow)
    assert 0 < sum(slow) < len(slow)
    assert all(3 * entry["seconds_per_epoch"] <= 1800 for entry in found[: slow.index(True)])
    assert all(entry["reason"] for entry in found)
