"""Starting a training, watching it, and each way it can end."""

from __future__ import annotations

import json
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vixtui.runs import lock
from vixtui.runs.directory import RunDirectory, find_run, list_runs

QUICK = ("train", "digits", "--preset", "vit:tiny", "--epochs", "3")


def _until(ready: Callable[[], object], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _only_run() -> RunDirectory:
    _until(list_runs)
    return list_runs()[0]


def _wait_for_steps(run: RunDirectory) -> None:
    _until(lambda: run.progress().steps)


def test_training_ends_with_results_and_the_next_commands(vixtui):
    result = vixtui(*QUICK, "--name", "mine")
    assert result.code == 0
    assert "90.0 % of 30 pictures (95 % interval 70.0 to 97.0 %)" in result.out
    assert "weakest classes" in result.out
    assert "predicted" in result.out
    assert "measured 300 MB" in result.out
    assert "vixtui predict --model mine" in result.err


def test_without_a_preset_the_best_recommendation_is_named(vixtui):
    result = vixtui("train", "--epochs", "3")
    assert result.code == 0
    assert _only_run().config().preset in result.err


def test_options_reach_the_recipe(vixtui):
    options = {
        "batch-size": 32, "lr": 0.004, "weight-decay": 0.1, "label-smoothing": 0.2, "ema": 0.5,
        "crop": 0.2, "color-jitter": 0.3, "erase": 0.4, "patience": 7, "redraw-features": 50,
        "warmup": 0.1, "grad-clip": 2.0, "mixup": 0.3, "cutmix": 0.6,
    }  # fmt: skip
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    flags += [
        "--balance",
        "loss",
        "--recompute",
        "mlp",
        "--set",
        "pooling=class",
        "--set",
        "dropout = 0.1",
    ]
    assert (
        vixtui(*QUICK, *flags, "--seed", "9", "--precision", "fp32", "--flip", "--no-cache").code
        == 0
    )
    config = _only_run().config()
    for name, value in options.items():
        assert getattr(config.recipe, name.replace("-", "_")) == value
    assert config.data.horizontal_flip
    assert config.recipe.balance == "loss"
    assert not config.plan.cache
    assert (config.seed, config.plan.precision, config.plan.recompute) == (9, "fp32", "mlp")
    assert (config.model.pooling, config.model.dropout) == ("class", 0.1)
    assert "without" not in config.plan.basis


def test_a_changed_model_is_planned_from_a_trace_of_its_own(vixtui):
    peaks = []
    for options in ((), ("--set", "pooling=class")):
        result = vixtui(*QUICK, *options, "--name", f"run-{len(peaks)}", "--budget", "4GB")
        assert result.code == 0
        assert ("tracing a step of the changed model" in result.err) == bool(options)
        peaks.append(find_run(f"run-{len(peaks)}").config().plan.predicted_peak_bytes)
    assert peaks[1] > 1.1 * peaks[0]
    refused = vixtui(*QUICK, "--set", "pooling=median")
    assert refused.code == 2
    assert "tracing" not in refused.err


def test_augmentation_off_changes_nothing_but_what_is_asked_for(vixtui):
    assert vixtui(*QUICK, "--augment", "off", "--crop", "0.1").code == 0
    config = _only_run().config()
    recipe = config.recipe
    assert not config.data.horizontal_flip
    assert (recipe.crop, recipe.color_jitter, recipe.erase) == (0.1, 0, 0)
    assert (recipe.trivial, recipe.mixup, recipe.cutmix) == (0, 0, 0)


def test_stdout_is_pure_json(vixtui):
    result = vixtui(*QUICK, "--json")
    events = [json.loads(line) for line in result.out.splitlines()]
    assert events[0]["type"] == "RunStarted"
    assert events[0]["run"] == _only_run().id
    assert events[-1]["type"] == "Finished"
    assert [event["seq"] for event in events] == list(range(len(events)))


def test_detach_returns_at_once_and_attach_watches(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    result = vixtui(*QUICK, "--detach", "--json")
    run = _only_run()
    assert json.loads(result.out)["run"] == run.id
    _wait_for_steps(run)
    assert vixtui("runs", "stop", run.id).code == 0
    assert "not at work" in vixtui("attach", run.id).err


def test_a_hint_can_be_typed_as_it_stands(vixtui, monkeypatch, tmp_path):
    """It names the home that an option chose, and not one that the next command knows of, too."""
    elsewhere = str(tmp_path / "my runs")
    told = vixtui("--home", elsewhere, *QUICK, "--name", "mine", "--detach").err
    hint = told.partition("watch it with: ")[2].strip()
    assert hint == f"vixtui --home '{elsewhere}' attach mine"
    _until(lambda: RunDirectory(Path(elsewhere, "runs", "mine")).state() == "done")
    monkeypatch.setenv("VIXTUI_HOME", str(tmp_path / "home"))
    told = vixtui(*shlex.split(hint)[1:]).err
    assert f"vixtui --home '{elsewhere}' runs show mine" in told
    monkeypatch.delenv("VIXTUI_HOME_OPTION")  # as in another process
    monkeypatch.setenv("VIXTUI_HOME", elsewhere)
    assert ": vixtui runs show mine" in vixtui("attach", "mine").err
    assert ": vixtui runs show mine" in vixtui("--home", elsewhere, "attach", "mine").err


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_ctrl_c_and_a_kill_of_the_command_stop_and_save(start, name):
    process = start(*QUICK, FAKE_ENGINE="slow")
    run = _only_run()
    _wait_for_steps(run)
    process.send_signal(getattr(signal, name))
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130
    assert run.state() == "stopped"
    assert f"vixtui runs resume {run.id}" in err.decode()


def test_ctrl_c_while_the_engine_starts_is_not_lost(start):
    process = start(*QUICK, FAKE_ENGINE="slow")
    run = _only_run()
    _until(run.log_path.exists)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert run.state() == "stopped"


def test_ctrl_c_on_attach_only_leaves(vixtui, start, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "slow")
    vixtui(*QUICK, "--detach")
    run = _only_run()
    _wait_for_steps(run)
    process = start("attach", run.id)
    process.stderr.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=240)
    assert process.returncode == 130
    assert run.alive()
    assert vixtui("runs", "stop", run.id).code == 0


def test_a_killed_engine_is_noticed_and_explained(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "killed")
    result = vixtui(*QUICK)
    assert result.code == 5
    assert "memory ran out" in result.err.splitlines()[-1]


@pytest.mark.skipif(not lock.oom_kills(), reason="only Linux counts such kills")
def test_an_engine_that_the_kernel_ended_for_lack_of_memory_is_no_guess(vixtui, monkeypatch):
    before = lock.oom_kills()
    monkeypatch.setattr(lock, "oom_kills", lambda: {file: n + 9 for file, n in before.items()})
    monkeypatch.setenv("FAKE_ENGINE", "killed")
    result = vixtui(*QUICK)
    assert result.code == 5
    line = result.err.splitlines()[-1]
    assert line.startswith("error: memory ran out, and the system ended the engine (")


def test_a_failed_run_exits_with_the_code_of_its_error(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "failed")
    result = vixtui(*QUICK)
    assert result.code == 3
    assert result.err.splitlines()[-1] == "error: 3 pictures are damaged"


def test_an_engine_that_cannot_start_points_to_the_log(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "broken")
    result = vixtui(*QUICK)
    assert result.code == 1
    assert f"with code 3: cannot start ({_only_run().log_path})" in result.err


def test_an_engine_without_memory_to_start_says_so(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "broken")
    monkeypatch.setenv("FAKE_LAST_WORDS", "ImportError: \x1b[2Jlibtorch.so: failed to map segment")
    result = vixtui(*QUICK)
    assert result.code == 5
    assert "ulimit -v" in result.err
    assert "\x1b" not in result.err


def test_a_preset_that_does_not_fit_exits_5(vixtui):
    result = vixtui(*QUICK, "--budget", "1MB")
    assert result.code == 5
    assert "vit:tiny does not fit 1.00 MB" in result.err
    assert "it needs --budget" in result.err
    assert list_runs() == []


def test_a_public_set_without_download_exits_2(vixtui):
    result = vixtui("train", "cifar10")
    assert result.code == 2
    assert "--download" in result.err


@pytest.mark.parametrize("value", ["nan", "-1", "0", "inf"])
def test_a_learning_rate_must_make_sense(vixtui, value):
    result = vixtui(*QUICK, "--lr", value)
    assert result.code == 2
    assert list_runs() == []


def test_weights_to_begin_with_are_checked_before_a_run_is_made(vixtui, tmp_path):
    missing = vixtui(*QUICK, "--init", str(tmp_path / "nothing.safetensors"))
    assert missing.code == 2
    (tmp_path / "model.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    foreign = vixtui(*QUICK, "--init", str(tmp_path / "model.pt"))
    assert foreign.code == 4
    assert "PyTorch" in foreign.err
    assert list_runs() == []


def test_folds_are_trained_in_turn_and_summed_up(vixtui):
    result = vixtui(*QUICK, "--folds", "3", "--name", "cv")
    assert result.code == 0
    assert "90.0 % ± 0.0 % (sd)" in result.out
    configs = [run.config() for run in list_runs()]
    assert [config.id for config in configs] == ["cv-fold1", "cv-fold2", "cv-fold3"]
    assert [(config.data.fold, config.data.folds) for config in configs] == [(1, 3), (2, 3), (3, 3)]


def test_folds_do_not_tell_of_the_split_that_they_replace(vixtui, pictures):
    result = vixtui("train", str(pictures), *QUICK[2:], "--folds", "2")
    assert result.code == 0
    assert "70/10/20" not in result.err


def test_interrupted_folds_go_on_under_their_name(vixtui, monkeypatch):
    monkeypatch.setenv("FAKE_ENGINE", "failed")
    broken = vixtui(*QUICK, "--folds", "2", "--name", "cv")
    assert broken.code == 3
    assert "--name cv" in broken.err
    monkeypatch.delenv("FAKE_ENGINE")
    again = vixtui(*QUICK, "--folds", "2", "--name", "cv", "--json")
    assert again.code == 0
    summary = json.loads(again.out.splitlines()[-1])
    assert [fold["run"] for fold in summary["folds"]] == ["cv-fold1", "cv-fold2"]
    assert summary["mean_top1"] == 0.9
    other = vixtui(*QUICK, "--folds", "2", "--name", "cv", "--lr", "0.1")
    assert other.code == 2
    assert "set to something else" in other.err


def test_one_fold_and_folds_in_the_background_are_refused(vixtui):
    one = vixtui(*QUICK, "--folds", "1")
    assert one.code == 2
    assert "nothing to train on" in one.err
    assert vixtui(*QUICK, "--folds", "3", "--detach").code == 2
    assert list_runs() == []


def test_more_mixed_pictures_than_there_are_is_refused(vixtui):
    result = vixtui("train", "shapes", "--preset", "vit:tiny", "--mixup", "0.7")
    assert result.code == 2
    assert "--mixup, --cutmix" in result.err
