"""Promises of a training run: exact resume, honest selection, no lost work."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from PIL import Image
from small_runs import WAIT_SECONDS, make_run, wait_for

from vixtui.data.split import Split
from vixtui.engine.learner import Learner
from vixtui.engine.weights import load_weights
from vixtui.runs import control
from vixtui.runs.directory import RunDirectory, list_runs
from vixtui.runs.events import (
    Checkpointed,
    DataChecked,
    Event,
    Failed,
    Finished,
    ModelBuilt,
    RunStarted,
    StepDone,
    Stopped,
    Tested,
    Validated,
    Warned,
    read_events,
)
from vixtui.runs.process import start_training
from vixtui.runs.weights import Preprocessing, read_card, read_header


def finish(run: RunDirectory) -> list[Event]:
    code = start_training(run).wait(WAIT_SECONDS)
    assert code == 0, run.log_path.read_text()
    return list(read_events(run.events_path))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of(events: list[Event], kind: type[Event]) -> list[Event]:
    return [event for event in events if isinstance(event, kind)]


def test_a_run_tells_its_story_in_order_and_leaves_a_model() -> None:
    run = make_run()
    events = finish(run)
    kinds = [type(event) for event in events]
    for earlier, later in (
        (RunStarted, DataChecked),
        (DataChecked, ModelBuilt),
        (ModelBuilt, StepDone),
        (Validated, Tested),
        (Tested, Finished),
    ):
        assert kinds.index(earlier) < kinds.index(later)
    assert [event.seq for event in events] == list(range(len(events)))
    evaluation = json.loads(run.evaluation_path.read_text())
    assert sum(map(sum, evaluation["confusion"])) == evaluation["images"] > 0
    card = read_card(run.model_path)
    assert card.metrics["test"]["top1"] == evaluation["top1"]
    assert events[-1].energy_basis
    assert not run.lock_path.exists()


def test_resume_after_kill_is_bit_identical() -> None:
    options = {
        "epochs": 4, "ema": 0.95, "preset_name": "hybrid-vip-rope:tiny", "redraw_features": 3,
        "mixup": 0.2, "cutmix": 0.5, "fewest_mixed_epochs": 2, "balance": "sampling",
    }  # fmt: skip
    whole, killed = make_run(run_id="whole", **options), make_run(run_id="killed", **options)
    finish(whole)
    process = start_training(killed)
    wait_for(killed, StepDone, 3)
    control.send(killed.control_path, "save")
    wait_for(killed, Checkpointed, 2)
    saved = of(list(read_events(killed.events_path)), Checkpointed)[1]
    wait_for(killed, StepDone, 6)
    process.kill()
    process.wait()
    assert killed.state() == "lost"
    events = finish(killed)
    again = of(events, RunStarted)[1]
    assert again.resumed_step >= saved.step > 0
    assert digest(killed.model_path) == digest(whole.model_path)
    first, second = (json.loads(run.evaluation_path.read_text()) for run in (whole, killed))
    assert first["top1"] == second["top1"]
    assert first["confusion"] == second["confusion"]


@pytest.mark.parametrize("way", ["control", "SIGTERM", "SIGINT"])
def test_stop_saves_and_resume_goes_on_exactly(way: str) -> None:
    whole, stopped = make_run(run_id="whole", epochs=5), make_run(run_id="stopped", epochs=5)
    finish(whole)
    process = start_training(stopped)
    wait_for(stopped, StepDone, 2)
    if way == "control":
        control.send(stopped.control_path, "stop")
    else:
        process.send_signal(getattr(signal, way))
    assert process.wait(WAIT_SECONDS) == 0
    assert stopped.state() == "stopped"
    last = of(list(read_events(stopped.events_path)), Stopped)[-1]
    assert last.step > 0
    events = finish(stopped)
    assert of(events, RunStarted)[-1].resumed_step == last.step
    assert digest(stopped.model_path) == digest(whole.model_path)


def test_pause_waits_and_resume_goes_on() -> None:
    run = make_run(epochs=5)
    process = start_training(run)
    wait_for(run, StepDone, 2)
    control.send(run.control_path, "pause")
    deadline = time.monotonic() + WAIT_SECONDS
    while run.progress().phase != "paused":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    steps = len(run.progress().steps)
    time.sleep(0.5)
    assert len(run.progress().steps) == steps
    control.send(run.control_path, "resume")
    assert process.wait(WAIT_SECONDS) == 0
    assert run.state() == "done"


def test_accumulation_learns_like_one_large_batch() -> None:
    losses = []
    for micro_batch in (64, 16):
        run = make_run(
            run_id=f"micro-{micro_batch}",
            micro_batch=micro_batch,
            epochs=1,
            color_jitter=0.0,
            erase=0.0,
            crop=0.0,
        )
        losses.append(of(finish(run), Validated)[-1].loss)
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_pictures_decoded_as_they_are_needed_teach_the_same() -> None:
    options = {"micro_batch": 24, "cutmix": 0.5, "epochs": 1}
    cached, streamed = (
        make_run(run_id=str(cache), cache=cache, **options) for cache in (True, False)
    )
    finish(cached)
    finish(streamed)
    assert digest(streamed.model_path) == digest(cached.model_path)


def test_a_picture_that_vanishes_is_named_and_the_run_goes_on_when_it_is_back(
    tmp_path: Path,
) -> None:
    for shade, name in enumerate(("cat", "dog")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(20):
            image = Image.linear_gradient("L").rotate(9 * number).resize((16, 16))
            image.point(lambda value, s=shade: value // (1 + s)).save(
                tmp_path / "pictures" / name / f"{number}.png"
            )
    options = {"cache": False, "epochs": 40, "batch_size": 8}
    whole, broken = (
        make_run(str(tmp_path / "pictures"), run_id=name, **options) for name in ("whole", "broken")
    )
    finish(whole)
    process = start_training(broken)
    wait_for(broken, StepDone)
    (tmp_path / "pictures" / "cat").rename(tmp_path / "away")
    assert process.wait(WAIT_SECONDS) == 3
    [failed] = of(list(read_events(broken.events_path)), Failed)
    assert "a picture has changed since the run started" in failed.message
    assert "put it back and resume" in failed.message
    (tmp_path / "away").rename(tmp_path / "pictures" / "cat")
    events = finish(broken)
    assert of(events, RunStarted)[-1].resumed_step > 0
    assert digest(broken.model_path) == digest(whole.model_path)


@pytest.mark.parametrize("level", ["mlp", "block"])
def test_recomputation_learns_the_same_weights(level: str) -> None:
    options = {"preset_name": "levin:tiny", "epochs": 1}
    plain = make_run(run_id="plain", **options)
    frugal = make_run(run_id="frugal", recompute=level, **options)
    finish(plain)
    finish(frugal)
    assert digest(frugal.model_path) == digest(plain.model_path)


def test_redrawn_features_are_those_of_the_saved_weights() -> None:
    options = {"preset_name": "vip:tiny", "epochs": 1}
    kept = make_run(run_id="kept", **options)
    redrawn = make_run(run_id="redrawn", redraw_features=10, **options)
    for run in (kept, redrawn):
        finish(run)
    first, second = (load_weights(run.model_path)[0].state_dict() for run in (kept, redrawn))
    projections = [key for key in first if key.endswith("projection")]
    assert len(projections) == 2
    assert all(not torch.equal(first[key], second[key]) for key in projections)


def test_a_run_of_too_few_epochs_learns_from_whole_pictures() -> None:
    options = {"epochs": 1, "erase": 0.0}
    few = make_run(run_id="few", cutmix=0.9, fewest_mixed_epochs=2, **options)
    enough = make_run(run_id="enough", cutmix=0.9, fewest_mixed_epochs=1, **options)
    plain = make_run(run_id="plain", cutmix=0.0, **options)
    for run in (few, enough, plain):
        finish(run)
    assert digest(few.model_path) == digest(plain.model_path) != digest(enough.model_path)


def test_a_stop_sent_while_the_engine_starts_is_obeyed() -> None:
    run = make_run(epochs=200)
    process = start_training(run)
    wait_for(run, RunStarted)
    control.send(run.control_path, "stop")
    assert process.wait(WAIT_SECONDS) == 0
    assert run.state() == "stopped"
    assert finish_quickly(run) == 0


def finish_quickly(run: RunDirectory) -> int:
    """Resume and stop again at once; return the exit code."""
    process = start_training(run)
    control.send(run.control_path, "stop")
    return process.wait(WAIT_SECONDS)


def test_time_limit_ends_on_time_with_the_schedule_done() -> None:
    for seconds in (12.0, 60.0, 240.0):  # as a busy machine needs to get ready
        events = finish(make_run(run_id=f"of-{seconds:g}", epochs=None, seconds=seconds))
        if not any("getting ready" in event.message for event in of(events, Warned)):
            break
    finished, steps = of(events, Finished)[0], of(events, StepDone)
    learning = events[events.index(of(events, ModelBuilt)[0]) :]
    longest_silence = max(later.t - earlier.t for earlier, later in pairwise(learning))
    assert finished.reason == "time"
    assert finished.seconds == pytest.approx(seconds, abs=0.5 + 2 * longest_silence)
    trained = of(events, Validated)[-1].t - of(events, RunStarted)[0].t
    assert trained < finished.seconds
    highest = max(step.lr for step in steps)
    assert steps[0].lr < 0.9 * highest  # getting ready is no part of the schedule
    state = json.loads(read_header(list_runs()[-1].state_path)[0]["vixtui-state"])
    assert state["expected_epochs"] > 0
    assert steps[-1].lr < 0.05 * highest


def test_a_run_whose_time_is_over_before_it_begins_does_one_whole_update_and_says_so() -> None:
    run = make_run(epochs=None, seconds=10.0, ema=0.0)
    engine = start_training(run, counted_from=time.monotonic() - 1000)
    assert engine.wait(WAIT_SECONDS) == 0, run.log_path.read_text()
    events = list(read_events(run.events_path))
    (finished,), (validated,) = of(events, Finished), of(events, Validated)
    assert finished.reason == "time"
    assert validated.step == 1
    assert finished.seconds > 1000
    assert any(
        "of 10 s: nothing is left, one update" in event.message for event in of(events, Warned)
    )
    before = Learner(run.config(), Preprocessing(mean=(0.5,), std=(0.3,)), torch.device("cpu"))
    kept = load_weights(run.model_path)[0].state_dict()
    moved = [
        (kept[name] - value).abs().max()
        for name, value in before.model.state_dict().items()
        if ".embedding." not in name  # which began with other filters
    ]
    assert max(moved) > 1e-3


def test_the_weights_left_are_those_last_said_to_be_kept() -> None:
    run = make_run(epochs=6)
    validations = of(finish(run), Validated)
    kept = [event for event in validations if event.is_best][-1]
    measured = read_card(run.model_path).metrics["validation"]
    assert (measured["top1"], measured["loss"]) == (kept.top1, kept.loss)


def test_early_stopping_ends_the_run() -> None:
    run = make_run(epochs=200, patience=1, lr=1e-9)
    assert of(finish(run), Finished)[0].reason == "early stopping"


def test_same_seed_same_weights_other_seed_other_weights() -> None:
    runs = [make_run(run_id=f"r{i}", seed=seed, epochs=1) for i, seed in enumerate((1, 1, 2))]
    for run in runs:
        finish(run)
    first, again, other = (digest(run.model_path) for run in runs)
    assert first == again
    assert first != other


def test_test_pictures_are_never_trained_or_selected_on() -> None:
    run = make_run()
    split = Split.from_json(run.split_path.read_bytes())
    parts = [{item for item, _ in part} for part in (split.train, split.validation, split.test)]
    assert not parts[0] & parts[1]
    assert not parts[2] & (parts[0] | parts[1])
    finish(run)
    assert read_card(run.model_path).metrics["validation"]["images"] == len(parts[1])


def test_a_loss_that_is_no_number_ends_with_advice_and_keeps_the_state() -> None:
    run = make_run(lr=1e18, epochs=20, grad_clip=0.0)
    process = start_training(run)
    assert process.wait(WAIT_SECONDS) == 2
    failed = of(list(read_events(run.events_path)), Failed)[0]
    assert "--lr" in failed.message
    assert run.state_path.exists()


def test_two_engines_never_share_a_run() -> None:
    run = make_run(epochs=30)
    first = start_training(run)
    wait_for(run, ModelBuilt)
    second = start_training(run)
    assert second.wait(WAIT_SECONDS) == 2
    assert first.poll() is None
    assert "another process" in run.log_path.read_text()
    first.kill()
    first.wait()


def test_missing_pictures_end_with_one_line_and_exit_code_3(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        for index in range(6):
            Image.new("RGB", (9, 9)).save(folder / name / f"{index}.png")
    run = make_run(str(folder))
    for path in folder.rglob("*.png"):
        path.write_bytes(b"not a picture")
    assert start_training(run).wait(WAIT_SECONDS) == 3
    failed = of(list(read_events(run.events_path)), Failed)[0]
    assert failed.exit_code == 3
    assert "\n" not in failed.message


def test_two_damaged_states_are_refused_with_one_line() -> None:
    run = make_run(epochs=30)
    process = start_training(run)
    wait_for(run, Checkpointed)
    process.kill()
    process.wait()
    for path in (run.state_path, run.predecessor_path):
        path.write_bytes(run.state_path.read_bytes()[:-1000])
    assert start_training(run).wait(WAIT_SECONDS) == 4
    assert "damaged" in of(list(read_events(run.events_path)), Failed)[0].message


def test_what_a_killed_engine_left_half_written_is_swept() -> None:
    run = make_run(epochs=1)
    leftover = run.path / ".state.safetensors.k1lled"
    leftover.write_bytes(b"half")
    finish(run)
    assert not leftover.exists()


@pytest.mark.skipif(os.name != "posix", reason="niceness is a POSIX notion")
def test_the_engine_gives_way_to_other_programs() -> None:
    run = make_run(epochs=30)
    process = start_training(run)
    wait_for(run, ModelBuilt)
    shown = subprocess.run(
        ["ps", "-o", "ni=", "-p", str(process.pid)], capture_output=True, text=True, check=True
    )
    environment = Path(f"/proc/{process.pid}/environ")
    if environment.exists():
        assert b"OMP_WAIT_POLICY=PASSIVE" in environment.read_bytes()
        assert b"GOMP_SPINCOUNT=10000" in environment.read_bytes()
    process.kill()
    process.wait()
    assert int(shown.stdout) >= 10
