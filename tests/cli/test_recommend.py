"""What fits, on the command line."""

from __future__ import annotations

import json


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


def test_every_figure_has_its_source(vixtui):
    machine = json.loads(vixtui("probe", "--json").out)
    assert machine["ram_free"]["source"]
    assert "source" in vixtui("probe").out


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
