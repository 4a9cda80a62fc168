"""However often a run is killed, stopped, or loses its newest files, its weights are the same."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise

import lives
import pytest
from hypothesis import settings
from small_runs import make_run, of

from vixtui.runs.directory import RunDirectory
from vixtui.runs.events import Finished, MemoryRanOut, RunStarted, Warned

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="lives are forks")
# `make soak` asks for more examples of everything.
LONG = settings.default.max_examples >= 10_000
# A busy machine is no hang.
WAIT_SECONDS = 3600.0 if LONG else 600.0
KILLS = 20
SOME = {"epochs": 3, "ema": 0.95, "micro_batch": 24, "batch_size": 64, "mixup": 0.5}
EVERYTHING = SOME | {
    "epochs": 6, "cutmix": 0.5, "fewest_mixed_epochs": 2, "redraw_features": 5,
    "preset_name": "vip:tiny", "patience": 3,
}  # fmt: skip


def live_through(
    run: RunDirectory, planned: Sequence[str], *, state_seconds: float = 5.0
) -> list[str]:
    """Go through lives to the end; return what was told of each."""
    with run.log_path.open("wb") as log:
        done = subprocess.run(
            [sys.executable, lives.__file__, str(run.path), str(state_seconds), *planned],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=WAIT_SECONDS,
        )
    told = done.stdout.splitlines()
    assert told[-1] == "ended 0", (told, run.log_path.read_text())
    return told


def same_results(one: RunDirectory, other: RunDirectory) -> bool:
    evaluations = [json.loads(run.evaluation_path.read_text()) for run in (one, other)]
    ends = [of(run, Finished)[-1] for run in (one, other)]
    return (
        one.model_path.read_bytes() == other.model_path.read_bytes()
        and evaluations[0]["confusion"] == evaluations[1]["confusion"]
        and (ends[0].reason, ends[0].best_epoch) == (ends[1].reason, ends[1].best_epoch)
    )


def test_no_death_changes_a_bit() -> None:
    whole, mortal = (make_run(run_id=name, **SOME) for name in ("whole", "mortal"))
    live_through(whole, ())
    planned = (
        "cut:update:1", "kill:step:40", "term:update:8", "kill:rename:7", "hup:update:9",
        "kill:validation:4", "cut:average:30", "cut:step:1", "stop:update:6",
    )  # fmt: skip
    told = live_through(mortal, planned)
    assert [line for line in told if " at " in line] == [
        "{} at {}".format(*life.split(":")) for life in planned
    ]
    ends = [line for line in told if line.startswith("ended")]
    killed = [life.startswith(("kill", "cut")) for life in planned]
    assert ends == [*("ended -9" if dead else "ended 0" for dead in killed), "ended 0"]
    assert same_results(mortal, whole)
    assert len(of(mortal, RunStarted)) == len(planned) + 1
    assert any("damaged: state.safetensors" in event.message for event in of(mortal, Warned))
    assert not list(mortal.path.glob(".*.safetensors.*"))


def test_after_the_kernel_ended_it_for_lack_of_memory_it_goes_on_in_less() -> None:
    planned, mortal = (
        make_run(run_id=f"of-{size}", epochs=1, micro_batch=size) for size in (16, 64)
    )
    live_through(planned, ())
    live_through(mortal, ["oom:update:1"] * 2)
    assert ways(mortal) == [(32, "none"), (16, "none")]
    assert same_results(mortal, planned)


def ways(run: RunDirectory) -> list[tuple[int, str]]:
    return [(event.micro_batch, event.recompute) for event in of(run, MemoryRanOut)]


@pytest.mark.skipif(not LONG, reason="part of make soak")
@pytest.mark.parametrize(
    "options",
    [
        EVERYTHING,
        {"epochs": 12, "preset_name": "hybrid-vin-rope:tiny"},
        {"epochs": 60, "preset_name": "fnet:tiny", "patience": 2, "ema": 0.9},
        {"epochs": 8, "preset_name": "levit:tiny", "trivial": 0.5, "micro_batch": 16},
    ],
    ids=["everything", "plain", "early stopping", "light"],
)
@pytest.mark.parametrize("act", ["kill", "cut"])
def test_twenty_deaths_at_random_moments_change_no_bit(options: dict, act: str) -> None:
    whole, mortal = (make_run(run_id=name, **options) for name in ("whole", "mortal"))
    told = live_through(whole, (), state_seconds=0)
    (places,) = (int(line.split()[1]) for line in told if line.startswith("places"))
    chance = random.Random(f"{act}{options}")
    moments = sorted(chance.sample(range(1, places), KILLS))
    counts = [later - earlier for earlier, later in pairwise([0, *moments])]
    told = live_through(mortal, [f"{act}:any:{count}" for count in counts], state_seconds=0)
    assert sum(" at " in line for line in told) == KILLS
    assert same_results(mortal, whole)
